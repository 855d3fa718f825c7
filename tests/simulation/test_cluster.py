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


# How many seeds it may take to catch each; most are caught within a quarter of that.
CAUGHT_WITHIN = {
    "unfenced_appends": 60,
    "unsynced_appends": 30,
    "unsynced_files": 80,
    "unsynced_directories": 40,
    "forgotten_promises": 10,
    "unsynced_promises": 30,
    "lonely_commits": 40,
    "early_publication": 20,
    "late_publication": 10,
    "told_after_publication": 10,
    "shared_clock": 200,
    "ignored_floor": 40,
    "unlocked_reads": 10,
    "unread_premises": 10,
    "forgotten_findings": 10,
    "unchecked_horizon": 100,
    "blind_retry": 60,
    "minority_elections": 60,
    "shortest_log_taken_over": 40,
    "leader_on_demand": 10,
    "unchecked_clock": 40,
    "forgotten_outcomes": 40,
    "unburied_transactions": 20,
}
# The same, of the seeds that are about what they take (themes.py).
CAUGHT_WITHIN_THEME = {
    ("trimming", "trimming_ahead_of_logs"): 60,
    ("fetching", "unshared_frames"): 120,
    ("promising", "unconfirmed_votes"): 160,
}


def _check_noticed(error: str) -> None:
    assert error
    assert not any(word in error for word in ("TypeError", "AttributeError")), "the mutant itself"


@pytest.mark.parametrize("mutant", CAUGHT_WITHIN)
def test_a_rule_that_is_switched_off_is_noticed(runner, mutant):
    _check_noticed(runner.catches(mutant, range(CAUGHT_WITHIN[mutant])))


@pytest.mark.parametrize(("theme", "mutant"), CAUGHT_WITHIN_THEME)
def test_a_rule_that_is_switched_off_is_noticed_where_it_is_the_theme(runner, theme, mutant):
    seeds = range(CAUGHT_WITHIN_THEME[theme, mutant])
    _check_noticed(runner.catches(mutant, seeds, theme))
