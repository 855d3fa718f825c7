"""Runs simulations outside of the test suite, from the `tests` folder:

python -m simulation --seeds 1000            so many seeds, from --from on (a random one by default)
python -m simulation                         until interrupted
python -m simulation --seed 17               one seed again; --trace prints what happened
python -m simulation --seeds 100 --mutant unsynced_appends --theme trimming
python -m simulation --seeds 100 --survey    how many of them notice each rule that is switched off
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
import traceback
from collections.abc import Iterator

from .mutants import MUTANTS
from .probes import PROBES
from .scenario import run
from .seeds import Outcome, Runner, Summary, summarize

_REPORT_SECONDS = 30.0


def main() -> int:
    """Return 1 if a seed has failed."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", type=int, help="run so many")
    parser.add_argument("--from", type=int, dest="first", help="the first seed")
    parser.add_argument("--trace", action="store_true", help="print what happens in --seed")
    parser.add_argument("--mutant", default="", help="switch a rule off (mutants.py)")
    parser.add_argument("--theme", default="", help="what the seeds are about (themes.py)")
    parser.add_argument("--survey", action="store_true", help="switch off one rule after the other")
    parser.add_argument(
        "--processes", type=int, default=0, help="one for each processor by default"
    )
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _run_one(arguments)
    first = arguments.first
    if first is None:
        first = random.SystemRandom().randrange(1 << 32)
    last = None if arguments.seeds is None else first + arguments.seeds
    seeds = itertools.count(first) if last is None else range(first, last)
    with Runner(arguments.processes) as runner:
        if arguments.survey:
            return _survey(runner, arguments)
        outcomes = runner.outcomes(seeds, arguments.mutant, arguments.theme)
        summary = summarize(_told(outcomes))
    _report(summary)
    return bool(summary.failures)


def _survey(runner: Runner, arguments: argparse.Namespace) -> int:
    """Return 1 if a mutant was noticed by no seed."""
    seeds = range(arguments.first or 0, (arguments.first or 0) + (arguments.seeds or 100))
    silent = 0
    for mutant in [arguments.mutant] if arguments.mutant else MUTANTS:
        outcomes = runner.outcomes(seeds, mutant, arguments.theme)
        caught = {outcome.seed: outcome.error for outcome in outcomes if outcome.error}
        told = f"{mutant:28} {len(caught):4} of {len(seeds)}"
        if caught:
            first = min(caught)
            told += f", first {first}: {caught[first].strip().splitlines()[-2][:80]}"
        print(told, flush=True)
        silent += not caught
    return bool(silent)


def _run_one(arguments: argparse.Namespace) -> int:
    try:
        result = run(
            arguments.seed,
            mutant=arguments.mutant,
            theme=arguments.theme,
            tracing=arguments.trace,
        )
    except Exception as error:
        print(*(getattr(error, "lines", None) or []), sep="\n")
        traceback.print_exc()
        return 1
    print(*result.lines, sep="\n")
    print(result)
    return 0


def _told(results: Iterator[Outcome]) -> Iterator[Outcome]:
    """Pass outcomes on, tell of failures at once, and of progress now and then; end with Ctrl-C."""
    count = 0
    began = told = time.monotonic()
    try:
        for outcome in results:
            count += 1
            if outcome.error:
                print(
                    f"seed {outcome.seed} failed: python -m simulation --seed {outcome.seed} --trace"
                )
                print(outcome.error, flush=True)
            now = time.monotonic()
            if now - told >= _REPORT_SECONDS:
                told = now
                print(f"{count} seeds, {count / (now - began):.1f}/s", flush=True)
            yield outcome
    except KeyboardInterrupt:
        return


def _report(summary: Summary) -> None:
    print(
        f"{summary.seeds} seeds, {len(summary.failures)} failed: "
        f"{sorted(outcome.seed for outcome in summary.failures)}"
    )
    print(
        "totals:",
        ", ".join(f"{count:.0f} {name}" for name, count in sorted(summary.totals.items())),
    )
    print("faults:", ", ".join(f"{count} {name}" for name, count in sorted(summary.faults.items())))
    silent = [probe for probe in PROBES if probe not in summary.probes]
    print("roads that no seed has taken:", ", ".join(silent) or "none")


if __name__ == "__main__":
    sys.exit(main())
