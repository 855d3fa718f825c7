"""Runs statements of the grammar until it is interrupted: `python -m fuzz` in tests/, see --help.

With --compare it does what clients do with them, here and on a PostgreSQL that it starts, and prints what
is answered differently, with the seed and the number of the act.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from itertools import count

from fuzz.comparison import compare
from fuzz.grammar import Grammar
from fuzz.runner import UnexpectedEndError, new_database, run
from reference import running

STATEMENTS_PER_SEED = 200


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run_alone(seed: int, depth: int) -> Counter[str]:
    """Run a seed's statements here, and say which ended in what PostgreSQL would not end them in."""
    grammar, database, outcomes = Grammar(seed, depth), new_database(), Counter[str]()
    for _ in range(STATEMENTS_PER_SEED):
        try:
            outcomes[run(database, grammar.statement())] += 1
        except UnexpectedEndError as failure:
            outcomes["failed"] += 1
            say(f"seed {seed}: {failure}")
    return outcomes


def main() -> None:
    """Run until interrupted, or for one seed. SIGTERM interrupts too, so that PostgreSQL is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--first", type=int, default=1_000, help="begin with this seed")
    parser.add_argument("--depth", type=int, default=3, help="how far queries nest")
    parser.add_argument("--compare", action="store_true", help="with a PostgreSQL's answers")
    options = parser.parse_args()
    seeds = count(options.first) if options.seed is None else [options.seed]
    if not options.compare:
        for seed in seeds:
            outcomes = run_alone(seed, options.depth)
            say(f"seed {seed}: {dict(outcomes.most_common(8))}")
        return
    with running() as directory:
        for seed in seeds:
            found = compare(seed, STATEMENTS_PER_SEED, directory, options.depth)
            say("\n".join([*found.differences, f"seed {seed}: {dict(found.outcomes)}"]))


if __name__ == "__main__":
    main()
