"""How soon statements end that are cancelled, time out or lose their client, in phases of many kinds.

    python bench/cancels.py                 every phase in both profiles, as a table of Markdown
    python bench/cancels.py --only COPY     those with the word in their name
    python bench/cancels.py --times 10      each so many times; the latest counts

Each is let run for `RUNS_SECONDS`. The client notes when it hears of the end; a client that has gone
cannot, so there it is the time until the agent, asked every few milliseconds, knows of no session.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psycopg
import server
from attacks import PROFILES, connect
from psycopg.pq import DiagnosticField, ExecStatus

from dsql.control.layout import Layout
from dsql.control.running import read_processes
from dsql.rpc.boot import current_boot
from placement.client import AgentClient
from storage.board import WATERMARK, Board
from storage.environment import ENVIRONMENT

RUNS_SECONDS = 0.3
ROWS = 200_000
_BLOCK = b"".join(b"%d\tsome text of a row\n" % number for number in range(1_000))
_CALL = "md5(repeat('x', 60000000))"
_GONE_SECONDS_MAX, _LOOK_SECONDS = 10.0, 0.005
_PACE_SECONDS = 0.02

Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Phase:
    """`run` works on a connection until the server ends it, and returns the SQLSTATE.

    `begin` comes before, with libpq's variables to open others with; None where `text` is all.
    `meanwhile` is what the server is in until the end, given its data directory.
    """

    name: str
    text: str
    profiles: tuple[str, ...] = PROFILES
    run: Callable[[psycopg.Connection, str], str] | None = None
    begin: Callable[[psycopg.Connection, Variables], None] | None = None
    meanwhile: Callable[[Path], AbstractContextManager[object]] = nullcontext


class Latest(NamedTuple):
    """How statements ended, and after how long the last of them."""

    outcome: str
    milliseconds: float


def _code(result: psycopg.pq.PGresult) -> str:
    code = result.error_field(DiagnosticField.SQLSTATE)
    return "answered" if code is None else code.decode()


def _execute(connection: psycopg.Connection, text: str) -> str:
    return _code(connection.pgconn.exec_(text.encode()))


def _end(raw: psycopg.pq.abc.PGconn) -> str:
    """Return the SQLSTATE of what is answered now, up to the end of the answer."""
    codes = []
    while (result := raw.get_result()) is not None:
        codes.append(_code(result))
    return codes[0]


def _copy_in(connection: psycopg.Connection, text: str) -> str:
    """Send rows until the server says something; so slowly that libpq need not read while it sends."""
    raw = connection.pgconn
    if raw.exec_(text.encode()).status != ExecStatus.COPY_IN:
        return "refused"
    while not select.select([raw.socket], [], [], _PACE_SECONDS)[0]:
        raw.put_copy_data(_BLOCK)
    raw.put_copy_end()
    return _end(raw)


def _copy_out(connection: psycopg.Connection, text: str) -> str:
    raw = connection.pgconn
    if raw.exec_(text.encode()).status != ExecStatus.COPY_OUT:
        return "refused"
    while raw.get_copy_data(0)[0] > 0:
        pass
    return _end(raw)


def _wait_for_job(connection: psycopg.Connection, _text: str) -> str:
    connection.execute("drop index if exists big_b")
    found = connection.execute("create index async big_b on big (b)").fetchone()
    assert found is not None
    return _execute(connection, f"call sys.wait_for_job('{found[0]}')")


def _begin_replay(connection: psycopg.Connection, variables: Variables) -> None:
    """Have a transaction read for long, write, and be in conflict with another one."""
    connection.execute("begin")
    connection.execute("select count(*) from generate_series(1, 2000000) a where a % 7 = 3")
    connection.execute("update one set a = a + 1")
    with connect(variables) as other:
        other.execute("update one set a = a + 1")


@contextmanager
def _behind(data: Path) -> Iterator[None]:
    """Have all zones stand still, with replicas that have not come as far as what was committed."""
    layout = Layout(data)
    zones = [one.process_id for name, one in read_processes(layout).items() if name.endswith(".az")]
    for pid in zones:
        os.kill(pid, signal.SIGSTOP)
    boards = [
        Board(path / "storage" / ENVIRONMENT / "board", current_boot(), create=True)
        for cluster in layout.cluster_identifiers()
        for path in layout.replicas(cluster)
    ]
    come = [board.words[WATERMARK] for board in boards]
    for board in boards:
        board.words[WATERMARK] = 0
    try:
        yield
    finally:
        for board, watermark in zip(boards, come, strict=True):
            board.words[WATERMARK] = watermark
            board.close()
        for pid in zones:
            os.kill(pid, signal.SIGCONT)


PHASES = (
    Phase("parsing", "select " + "1 + a, " * 200_000 + "1"),
    Phase("planning", "select " + ", ".join(f"(select {n} + a)" for n in range(20_000)) + " x"),
    Phase("running", "select count(*) from generate_series(1, 100000000) a where a % 7 = 3"),
    Phase("sorting", "select md5(a::text) v from generate_series(1, 5000000) a order by v offset 9"),
    Phase("one call after the other over 60 MB", "select " + " || ".join([_CALL] * 40)),
    Phase("sleeping", "select pg_sleep(60)"),
    Phase("COPY FROM", "copy big from stdin", ("postgres",), run=_copy_in),
    Phase("COPY TO", "copy (select repeat('x', 1000) from generate_series(1, 100000000)) to stdout",
          run=_copy_out),
    Phase("index build", "create index on big (b)", ("postgres",)),
    Phase("CALL that waits for a job", "", ("dsql",), run=_wait_for_job),
    Phase("a commit's replay", "commit", ("postgres",), begin=_begin_replay),
    Phase("waiting for a replica", "select a from one", meanwhile=_behind),
)  # fmt: skip


def cancelled(phase: Phase, started: server.Throwaway) -> tuple[str, float]:
    """Return the outcome, and how many seconds after a CancelRequest it was there."""
    variables = started.variables
    with connect(variables) as connection, phase.meanwhile(started.directory / "data"):
        if phase.begin is not None:
            phase.begin(connection, variables)
        asked: list[float] = []

        def cancel() -> None:
            asked.append(time.monotonic())
            connection.cancel_safe()

        timer = threading.Timer(RUNS_SECONDS, cancel)
        timer.start()
        outcome = (phase.run or _execute)(connection, phase.text)
        ended = time.monotonic()
        timer.cancel()
        timer.join()
    return outcome, ended - asked[0] if asked else float("nan")


def timed_out(phase: Phase, started: server.Throwaway) -> tuple[str, float]:
    """Return the outcome, and how many seconds after the statement_timeout it was there."""
    with connect(started.variables) as connection:
        connection.execute(f"set statement_timeout = {round(RUNS_SECONDS * 1000)}")
        with phase.meanwhile(started.directory / "data"):
            began = time.monotonic()
            outcome = (phase.run or _execute)(connection, phase.text)
            return outcome, time.monotonic() - began - RUNS_SECONDS


def abandoned(phase: Phase, started: server.Throwaway) -> tuple[str, float]:
    """Return how many seconds after its client's end an agent has no session any more."""
    data = started.directory / "data"
    connection = connect(started.variables)
    if phase.begin is not None:
        phase.begin(connection, started.variables)
    work = threading.Thread(target=_left_alone, args=(phase, connection), daemon=True)
    with phase.meanwhile(data):
        work.start()
        time.sleep(RUNS_SECONDS)
        ours = socket.socket(fileno=os.dup(connection.pgconn.socket))
        ours.shutdown(socket.SHUT_RDWR)
        left = time.monotonic()
        return asyncio.run(_until_gone(str(Layout(data).socket("agent")), left))


async def _until_gone(agent: str, left: float) -> tuple[str, float]:
    asked = AgentClient(agent)
    try:
        while time.monotonic() < left + _GONE_SECONDS_MAX:
            status = await asked.status()
            if status["sessions"] == 0:
                return "gone", time.monotonic() - left
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await asked.close()
    return "there", float("inf")


def _left_alone(phase: Phase, connection: psycopg.Connection) -> None:
    try:
        (phase.run or _execute)(connection, phase.text)
    except (psycopg.Error, OSError):
        return


def _latest(found: list[tuple[str, float]]) -> Latest:
    outcomes = sorted({outcome for outcome, _ in found})
    return Latest(", ".join(outcomes), max(seconds for _, seconds in found) * 1000)


def _shown(latest: Latest | None) -> str:
    return "" if latest is None else f"{latest.outcome}, {latest.milliseconds:.0f}"


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[""], help="words in the phases' names")
    parser.add_argument("--profile", choices=PROFILES, nargs="+", default=PROFILES)
    parser.add_argument("--times", type=int, default=3, help="the latest of so many counts")
    arguments = parser.parse_args()
    print("| phase | profile | cancel, ms | statement_timeout, ms | client gone, ms |")
    print("|---|---|---|---|---|", flush=True)
    for profile in arguments.profile:
        with server.throwaway(profile) as started:
            fill(started.variables)
            for phase in PHASES:
                if profile in phase.profiles and any(w in phase.name for w in arguments.only):
                    cells = measure(phase, profile, started, arguments.times)
                    shown = (phase.name, profile, *map(_shown, cells))
                    print(f"| {' | '.join(shown)} |", flush=True)


def fill(variables: Variables) -> None:
    """Make the tables that phases work on."""
    with connect(variables) as connection:
        connection.execute("create table big (a int, b text)")
        connection.execute("create table one (a int)")
        connection.execute("insert into one values (1)")
        for start in range(0, ROWS, 2_000):
            rows = f"select a, md5(a::text) from generate_series({start}, {start + 1_999}) a"
            connection.execute(f"insert into big {rows}")


def measure(
    phase: Phase, profile: str, started: server.Throwaway, times: int
) -> tuple[Latest | None, Latest | None, Latest | None]:
    """Return the latest end by a cancel, a statement_timeout, and without a client; None: not measured."""
    may = profile == "postgres" and phase.begin is None  # set a statement_timeout
    return (
        _latest([cancelled(phase, started) for _ in range(times)]),
        _latest([timed_out(phase, started) for _ in range(times)]) if may else None,
        _latest([abandoned(phase, started) for _ in range(times)]),
    )


if __name__ == "__main__":
    main()
