"""Runs suites of clients here and on a real PostgreSQL: python -m compatibility [--directory D] SUITE...

Of each suite it prints how many tests pass on PostgreSQL, how many of these pass here, and the others by
their cause. Sources and Python environments are kept in the directory, and so is what was printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from compatibility.results import Results, cause_of, passed
from compatibility.servers import cluster, postgresql
from compatibility.sources import GITHUB, Place
from compatibility.suites import SUITES, Suite

_EXAMPLES = 2  # of each cause


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the suites that are named, by default all."""
    parser = argparse.ArgumentParser(prog="compatibility", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--directory", type=Path, default=Path("/tmp/dsql-compatibility"))
    parser.add_argument(
        "--origin", default=GITHUB, help="URL or path of a repository (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    for name in options.suites or SUITES:
        suite = SUITES[name]
        directory = options.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        _report(suite, *_run(suite, Place(directory, options.origin)))


def _run(suite: Suite, place: Place) -> tuple[Results, Results]:
    run = suite.prepare(place)
    with postgresql() as variables:
        theirs = run(variables, "postgresql")
    with tempfile.TemporaryDirectory(prefix="dc") as data, cluster(Path(data)) as variables:
        ours = run(variables, "here")
    return theirs, ours


def _report(suite: Suite, theirs: Results, ours: Results) -> None:
    wanted = passed(theirs)
    missed = wanted - passed(ours)
    print(f"{suite.name} {suite.version}: {len(wanted) - len(missed)} of {len(wanted)}")
    causes = defaultdict(list)
    for name in sorted(missed):
        causes[cause_of(ours.get(name, "was not run"))].append(name)
    for cause, names in sorted(causes.items(), key=lambda item: -len(item[1])):
        print(f"{len(names):6} {cause}")
        for name in names[:_EXAMPLES]:
            print(f"       {name[-120:]}")


main()
