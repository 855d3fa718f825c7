"""A whole cluster under faults: no promise is broken on any seed, and broken rules are noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .seeds import Runner, Summary, summarize

FIXED_SEEDS = 100
_CHUNK = 10
_TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def runner():
    with Runner() as running:
        yield running


def _run(runner: Runner, seeds: range) -> Summary:
    summary = summarize(runner.outcomes(seeds))
    if summary.failures:
        first = min(summary.failures, key=lambda failure: failure.seed)
        replay = f"cd tests; python -m simulation --seed {first.seed} --trace"
        pytest.fail(f"{len(summary.failures)} seeds failed; to replay one: {replay}\n{first.error}")
    return summary


@pytest.mark.parametrize("first", range(0, FIXED_SEEDS, _CHUNK))
def test_no_promise_is_broken_on_fixed_seeds(runner, first):
    summary = _run(runner, range(first, first + _CHUNK))
    assert summary.totals["committed"] > 30 * _CHUNK
    assert summary.totals["aborted"] > 2 * _CHUNK
    assert summary.totals["epochs"] > 2 * _CHUNK
    assert sum(summary.faults.values()) > 5 * _CHUNK


def _tracing(hash_seed: str) -> subprocess.Popen[str]:
    program = "from simulation.scenario import run; print(*(run(seed).trace for seed in range(3)))"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(_TESTS)}
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_seed_gives_the_same_trace_whatever_hashes_are():
    traces, others = (
        running.communicate()[0].split() for running in (_tracing("1"), _tracing("2"))
    )
    assert traces == others
    assert len(set(traces)) == 3


# The seeds that it may take to catch each. The first one does as things are; when the program has changed
# another one may, and as many seeds from anywhere on do as well.
CAUGHT_WITHIN = {
    "unfenced_appends": range(7, 67),
    "unsynced_appends": range(4, 34),
    "unsynced_directories": range(1, 41),
    "forgotten_promises": range(10),
    "unsynced_promises": range(8, 38),
    "lonely_commits": range(1, 41),
    "early_publication": range(20),
    "late_publication": range(10),
    "told_after_publication": range(10),
    "ignored_floor": range(1, 41),
    "unlocked_reads": range(10),
    "unread_premises": range(1, 11),
    "forgotten_findings": range(3, 13),
    "unchecked_horizon": range(7, 107),
    "blind_retry": range(60),
    "minority_elections": range(5, 65),
    "shortest_log_taken_over": range(1, 41),
    "leader_on_demand": range(10),
    "forgotten_outcomes": range(1, 41),
    "unburied_transactions": range(15, 55),
}
# The same, of the seeds that are about what they take (themes.py).
CAUGHT_WITHIN_THEME = {
    ("clocks", "unchecked_clock"): range(1, 21),
    ("clocks", "shared_clock"): range(15, 95),
    ("crashing", "unsynced_files"): range(6, 86),
    ("trimming", "trimming_ahead_of_logs"): range(1, 61),
    ("fetching", "unshared_frames"): range(47, 167),
    ("promising", "unconfirmed_votes"): range(9, 169),
}


def _check_noticed(error: str) -> None:
    assert error
    assert not any(word in error for word in ("TypeError", "AttributeError")), "the mutant itself"


@pytest.mark.parametrize("mutant", CAUGHT_WITHIN)
def test_a_rule_that_is_switched_off_is_noticed(runner, mutant):
    _check_noticed(runner.catches(mutant, CAUGHT_WITHIN[mutant]))


@pytest.mark.parametrize(("theme", "mutant"), CAUGHT_WITHIN_THEME)
def test_a_rule_that_is_switched_off_is_noticed_where_it_is_the_theme(runner, theme, mutant):
    _check_noticed(runner.catches(mutant, CAUGHT_WITHIN_THEME[theme, mutant], theme))
