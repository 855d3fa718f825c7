"""Attacks a server of each profile, and writes what came of it into the tables of docs/SECURITY.md.

python bench/security.py                  some ten minutes, best while nothing else runs
python bench/security.py --file PATH      into another file, which has the same headings
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import cancels
import server
from attack_statements import ATTACKS, WIDE
from attacks import PROFILES, Seen, Watch, run

DOCUMENT = Path(__file__).parent.parent / "docs" / "SECURITY.md"
SHOWN_MIB_MIN = 100
_TIMES = 3
_ATTACKS, _ENDS, _WIDE = (
    "### What `make attacks` prints",
    "### How soon statements end",
    "### What wide statements cost",
)


def cell(seen: Seen) -> str:
    """Return what one attack got: how it ended, when, and with how much memory."""
    said = [seen.outcome]
    if seen.cancelled_ms is not None:
        said.append(f"{seen.cancelled_ms:.0f} ms after the cancel")
    else:
        digits = 1 if seen.processor_seconds >= 0.1 else 2
        said.append(f"{seen.processor_seconds:.{digits}f} s")
    if seen.memory_mib > SHOWN_MIB_MIN:
        said.append(f"{seen.memory_mib} MiB")
    if not seen.alive:
        said.append("**and the session ended**")
    return ", ".join(said)


def with_table(document: str, heading: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a document with other rows in the first table below a heading. Raises ValueError."""
    start = document.index("\n|---", document.index(f"{heading}\n"))
    start = document.index("\n", start + 1) + 1
    end = start
    while document.startswith("|", end):
        end = document.find("\n", end) + 1 or len(document)
    lines = ("| " + " | ".join(one.replace("|", "\\|") for one in row) + " |\n" for row in rows)
    return document[:start] + "".join(lines) + document[end:]


def attacked() -> dict[str, dict[str, str]]:
    """Return the cells of all attacks by their names and profiles."""
    cells: dict[str, dict[str, str]] = {attack.name: {} for attack in (*ATTACKS, *WIDE)}
    for profile in PROFILES:
        with server.throwaway(profile) as (variables, port, _):
            watch = Watch(port)
            for attack in (*ATTACKS, *WIDE):
                seen = run(attack, variables, watch)
                cells[attack.name][profile] = cell(seen)
                print(f"{profile}: {attack.name}: {cell(seen)}", flush=True)
    return cells


def ended() -> list[tuple[str, ...]]:
    """Return the rows about phases: cancel in both profiles, statement_timeout, client gone in both."""
    found: dict[str, dict[str, tuple[str, ...]]] = {phase.name: {} for phase in cancels.PHASES}
    for profile in PROFILES:
        with server.throwaway(profile) as started:
            cancels.fill(started.variables)
            for phase in cancels.PHASES:
                if profile in phase.profiles:
                    latest = cancels.measure(phase, profile, started, _TIMES)
                    shown = tuple(
                        "" if one is None else f"{one.milliseconds:.0f}" for one in latest
                    )
                    found[phase.name][profile] = shown
                    print(f"{profile}: {phase.name}: {shown}", flush=True)
    rows = []
    for name, by_profile in found.items():
        dsql, postgres = (by_profile.get(profile, ("", "", "")) for profile in PROFILES)
        rows.append((name, dsql[0], postgres[0], postgres[1], dsql[2], postgres[2]))
    return rows


def main() -> None:
    """Parse the command line, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, default=DOCUMENT, help="what to write into")
    path: Path = parser.parse_args().file
    document = path.read_text()
    cells = attacked()
    for heading, attacks in ((_ATTACKS, ATTACKS), (_WIDE, WIDE)):
        rows = ([one.name, *(cells[one.name][profile] for profile in PROFILES)] for one in attacks)
        document = with_table(document, heading, rows)
    path.write_text(with_table(document, _ENDS, ended()))


if __name__ == "__main__":
    main()
