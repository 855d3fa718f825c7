"""Running many seeds on all processors."""

from __future__ import annotations

import gc
import multiprocessing
import os
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .scenario import Result, run


@dataclass
class Outcome:
    """What became of one seed: a result, or the text of an error."""

    seed: int
    result: Result | None
    error: str = ""


@dataclass
class Summary:
    """What many seeds came to."""

    seeds: int
    totals: Counter[str]
    faults: Counter[str]
    probes: Counter[str]
    failures: list[Outcome]


def run_one(task: tuple[int, str, str]) -> Outcome:
    """Run a seed, with a mutant and about a theme if they are named."""
    seed, mutant, theme = task
    try:
        return Outcome(seed, run(seed, mutant=mutant, theme=theme))
    except Exception as error:
        return Outcome(seed, None, "".join(traceback.format_exception(error)[-25:]))


def _keep_modules() -> None:
    """Let the collection after each run not look at what was there before all runs."""
    gc.collect()
    gc.freeze()


class Runner:
    """So many processes that run seeds, by default one for each processor. Close it by `with`."""

    def __init__(self, processes: int = 0) -> None:
        self._processes = processes or os.cpu_count() or 1
        context = multiprocessing.get_context("spawn")
        self._pool = context.Pool(self._processes, initializer=_keep_modules)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def outcomes(
        self, seeds: Iterable[int], mutant: str = "", theme: str = ""
    ) -> Iterator[Outcome]:
        """Run seeds, and yield their outcomes as they come."""
        tasks = ((seed, mutant, theme) for seed in seeds)
        return self._pool.imap_unordered(run_one, tasks)

    def catches(self, mutant: str, seeds: range, theme: str = "") -> str:
        """Return the first error that a mutant makes, "" if it makes none. Stops soon after it.

        The first of the seeds is tried alone.
        """
        workers = self._processes
        for start in range(1 - workers, len(seeds), workers):
            some = seeds[max(0, start) : start + workers]
            for outcome in self.outcomes(some, mutant, theme):
                if outcome.error:
                    return outcome.error
        return ""


def summarize(results: Iterable[Outcome]) -> Summary:
    """Add outcomes up."""
    summary = Summary(0, Counter(), Counter(), Counter(), [])
    for outcome in results:
        summary.seeds += 1
        result = outcome.result
        if result is None:
            summary.failures.append(outcome)
            continue
        for name in ("attempts", "committed", "aborted", "epochs", "events", "seconds"):
            summary.totals[name] += getattr(result, name)
        summary.faults.update(result.faults)
        summary.probes.update(result.probes)
    return summary
