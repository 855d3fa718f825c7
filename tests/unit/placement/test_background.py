from __future__ import annotations

from placement.background import RETRY_SECONDS, BackgroundRuns


def test_runs_of_one_cluster_never_overlap() -> None:
    runs = BackgroundRuns()
    assert runs.wanted("c")
    assert not runs.wanted("c")
    assert runs.wanted("d")


def test_jobs_wanted_during_a_run_get_exactly_one_more_run() -> None:
    runs = BackgroundRuns()
    runs.wanted("c")
    runs.started(1, "c")
    runs.wanted("c")
    runs.wanted("c")
    assert runs.ended(1)
    runs.started(2, "c")
    assert not runs.ended(2)
    assert runs.wanted("c")


def test_end_of_a_session_is_no_end_of_a_run() -> None:
    runs = BackgroundRuns()
    runs.wanted("c")
    runs.started(1, "c")
    assert not runs.ended(2)
    assert not runs.wanted("c")


def test_run_of_a_lost_query_processor_is_repeated_later() -> None:
    runs = BackgroundRuns()
    runs.wanted("c")
    runs.started(1, "c")
    runs.lost(1, 10.0)
    assert list(runs.due(10.0)) == []
    assert list(runs.due(10.0 + RETRY_SECONDS)) == ["c"]
    assert list(runs.due(20.0)) == []


def test_cluster_is_looked_at_once_after_its_first_query_processor() -> None:
    runs = BackgroundRuns()
    runs.assigned("c", 0.0)
    runs.assigned("c", 0.0)
    assert list(runs.due(RETRY_SECONDS)) == ["c"]
    assert list(runs.due(RETRY_SECONDS)) == []
