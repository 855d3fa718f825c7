"""Statements that want too much, and what they get: error, times and memory, measured from outside.

    python bench/attacks.py                 every attack in both profiles, as a table of Markdown
    python bench/attacks.py --only sort     those with the word in their name
    python bench/attacks.py --profile dsql
    python bench/attacks.py --cancels       how soon a cancel ends statements that take time before
                                            they run, at moments all over it

Each attack has a connection of its own to a server of its own. Memory is the largest resident set that any
process of the server had meanwhile, looked at every few milliseconds. `processor` is the processor time
of the one that used most, which tells more than `seconds` where other work keeps the machine busy.
`cancelled` is how long after a CancelRequest the statement ended, for attacks that would run on; `after`
says whether the same session answered the next statement.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import server
import workloads
from attack_statements import ATTACKS, PREPARATIONS, WIDE, Attack

PATIENCE_SECONDS = 30.0
CANCEL_AFTER_SECONDS = 0.5
CANCEL_MOMENTS = 12
SAMPLE_SECONDS = 0.005
PROFILES = ("dsql", "postgres")


@dataclass(slots=True)
class Seen:
    """What one attack got."""

    outcome: str
    seconds: float
    processor_seconds: float
    cancelled_ms: float | None
    memory_mib: int
    alive: bool


@dataclass(slots=True)
class Canceled:
    """How an attack went by itself, how often a cancel ended it, and what the latest answer to one was."""

    whole: Seen
    times: int
    latest_ms: float
    at_seconds: float


class Watch:
    """Keeps what any process of a server's tree has had at most: resident set, processor time."""

    def __init__(self, port: int) -> None:
        self._root = workloads.listener(port)
        self.peak_bytes = 0
        self.processor_seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch while the block runs."""
        self.peak_bytes, ended = 0, threading.Event()
        before = self.computed()
        thread = threading.Thread(target=self._sample, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            used = (ticks - before.get(pid, 0) for pid, ticks in self.computed().items())
            self.processor_seconds = max(used, default=0) / os.sysconf("SC_CLK_TCK")

    def computed(self) -> dict[int, int]:
        """Return the clock ticks that each process has computed for."""
        found = {}
        for pid in workloads.tree(self._root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[pid] = int(fields[11]) + int(fields[12])
        return found

    def _sample(self, ended: threading.Event) -> None:
        page, pids, looked = os.sysconf("SC_PAGESIZE"), workloads.tree(self._root), time.monotonic()
        while not ended.wait(SAMPLE_SECONDS):
            if time.monotonic() - looked > 0.2:
                pids, looked = workloads.tree(self._root), time.monotonic()
            for pid in pids:
                try:
                    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
                except (FileNotFoundError, ProcessLookupError):
                    continue
                self.peak_bytes = max(self.peak_bytes, resident)


def run(
    attack: Attack, variables: Mapping[str, str], watch: Watch, after: float | None = None
) -> Seen:
    """Connect, attack, cancel `after` so many seconds, and look whether the session is still there."""
    with connect(variables) as connection, watch.running():
        cancelled_at: list[float] = []
        if after is None:
            after = CANCEL_AFTER_SECONDS if attack.endless else PATIENCE_SECONDS
        timer = threading.Timer(after, _cancel, (connection, cancelled_at))
        timer.start()
        started = time.monotonic()
        outcome = _outcome(connection, attack.text, attack.parameters)
        ended = time.monotonic()
        timer.cancel()
        cancelled_ms = (ended - cancelled_at[0]) * 1000 if cancelled_at else None
        alive = _outcome(connection, "select 1") == "answered"
    times = ended - started, watch.processor_seconds, cancelled_ms
    return Seen(outcome, *times, watch.peak_bytes >> 20, alive)


def cancel_often(attack: Attack, variables: Mapping[str, str], watch: Watch) -> Canceled:
    """Run a statement to its end, and once more for each of some moments at which it is cancelled."""
    whole = run(attack, variables, watch)
    found: list[tuple[float, float]] = []
    for part in range(1, CANCEL_MOMENTS):
        moment = whole.seconds * part / CANCEL_MOMENTS
        seen = run(attack, variables, watch, moment)
        if seen.outcome == "57014" and seen.cancelled_ms is not None:
            found.append((seen.cancelled_ms, moment))
    latest, moment = max(found, default=(0.0, 0.0))
    return Canceled(whole, len(found), latest, moment)


def connect(variables: Mapping[str, str]) -> psycopg.Connection:
    """Open a connection as libpq's variables say."""
    names = {"PGHOST": "host", "PGHOSTADDR": "hostaddr", "PGPORT": "port", "PGUSER": "user"}
    names |= {"PGDATABASE": "dbname", "PGPASSWORD": "password", "PGSSLROOTCERT": "sslrootcert"}
    chosen = {parameter: variables[name] for name, parameter in names.items() if name in variables}
    return psycopg.connect(**chosen, sslmode="verify-full", autocommit=True)


def _cancel(connection: psycopg.Connection, cancelled_at: list[float]) -> None:
    cancelled_at.append(time.monotonic())
    connection.cancel_safe()


def _outcome(connection: psycopg.Connection, text: str, parameters: int = 0) -> str:
    try:
        if parameters:
            values = [str(number).encode() for number in range(parameters)]
            result = connection.pgconn.exec_params(text.encode(), values)
        else:
            result = connection.pgconn.exec_(text.encode())
    except psycopg.OperationalError as error:
        return f"connection lost: {str(error).strip()[:60]}"
    if connection.pgconn.status != psycopg.pq.ConnStatus.OK:
        return "connection lost"
    code = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
    return "answered" if code is None else code.decode()


def _row(profile: str, attack: Attack, seen: Seen) -> str:
    cancelled = "" if seen.cancelled_ms is None else f"{seen.cancelled_ms:.0f}"
    cells = (
        attack.name,
        profile,
        seen.outcome,
        f"{seen.seconds:.2f}",
        f"{seen.processor_seconds:.2f}",
        cancelled,
        str(seen.memory_mib),
    )
    return "| " + " | ".join((*cells, "yes" if seen.alive else "**no**")) + " |"


def _cancel_row(profile: str, attack: Attack, seen: Canceled) -> str:
    cells = (attack.name, profile, seen.whole.outcome, f"{seen.whole.seconds:.2f}", str(seen.times))
    cells += (f"{seen.latest_ms:.0f}", f"{seen.at_seconds:.2f}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Parse the command line and attack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[""], help="words in the attacks' names")
    parser.add_argument("--profile", choices=PROFILES, nargs="+", default=PROFILES)
    parser.add_argument("--cancels", action="store_true", help="at which moments cancels come late")
    arguments = parser.parse_args()
    columns = ("attack", "profile", "outcome", "seconds")
    if arguments.cancels:
        columns += ("times cancelled", "latest, ms", "then after, s")
    else:
        columns += ("processor, s", "cancelled after, ms", "memory, MiB", "after")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    attacks = PREPARATIONS if arguments.cancels else (*ATTACKS, *WIDE)
    chosen = [one for one in attacks if any(word in one.name for word in arguments.only)]
    for profile in arguments.profile:
        with server.throwaway(profile) as (variables, port, _):
            watch = Watch(port)
            for attack in chosen:
                if arguments.cancels:
                    seen = cancel_often(attack, variables, watch)
                    print(_cancel_row(profile, attack, seen), flush=True)
                else:
                    print(_row(profile, attack, run(attack, variables, watch)), flush=True)


if __name__ == "__main__":
    main()
