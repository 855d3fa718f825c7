"""Keeps a set of role processes running: starts them, keeps their logs, restarts the dead, stops them all.

Each role runs in its own session, so that Ctrl-C reaches only the supervisor, and writes its log to a pipe.
Through another pipe it says once that it is ready, and then ever again that its loop turns. One whose
loop stands still writes its stacks into its log and is killed. All end with the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dsql.cli.heart import BEAT
from dsql.cli.logs import RotatingFile
from dsql.control.layout import Layout
from dsql.control.running import RoleProcess, write_processes
from dsql.rpc.process import condition_of
from dsql.rpc.tick import next_tick
from dsql.rpc.watchdog import DUMP_SIGNAL, HANG_SECONDS, LOOK_SECONDS, Watchdog

logger = logging.getLogger(__name__)

STOP_SECONDS = 2.5  # after that, what is left is killed; the roles have a second or two each
BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 5.0
STEADY_SECONDS = 2.0  # who ran this long starts again without delay
_DUMP_SECONDS = 1.0  # for a role that stands still to write its stacks
_READ_BYTES = 65_536


class RoleSpec(NamedTuple):
    """A role's name (also of its log) and the words after `dsql`.

    `serves_clients`: it is stopped before the others, on which it rests to the end of its sessions.
    """

    name: str
    arguments: tuple[str, ...]
    serves_clients: bool = False


class RoleFailedError(Exception):
    """A role ended before it was ready for the first time. `last_words`: the last line of its log."""

    def __init__(self, name: str, last_words: str) -> None:
        super().__init__(f"{name}: {last_words}" if last_words else name)
        self.name = name
        self.last_words = last_words


class Role:
    """One role, over all of its processes."""

    def __init__(
        self, spec: RoleSpec, data: Path, hang_seconds: float, on_start: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.restarts = 0
        self.hangs = 0
        self._hang_seconds = hang_seconds
        self._watchdog = Watchdog(hang_seconds)
        self._on_start = on_start
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._data = data
        self._log = RotatingFile(Layout(data).log(spec.name))
        self._last_words = b""
        self._backoff = BACKOFF_SECONDS_MIN
        self._stopping = False
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Keep the role running until `stop`. Raises RoleFailedError if it never became ready."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            started = loop.time()
            self._start()
            self._on_start()
            await self._ended.wait()
            if self._stopping:
                return
            if not self.ready.done():
                raise RoleFailedError(self.spec.name, _message_of(self._last_words))
            steady = loop.time() - started >= STEADY_SECONDS
            self._backoff = (
                BACKOFF_SECONDS_MIN if steady else min(self._backoff * 2, BACKOFF_SECONDS_MAX)
            )
            logger.warning("role died", extra={"role": self.spec.name, "again_in": self._backoff})
            await asyncio.sleep(self._backoff)
            self.restarts += 1

    async def watch(self) -> None:
        """Look once whether the role's loop stands still; if so, have it say where, and kill it."""
        process = self.process
        if process is None or self._ended.is_set() or self._stopping:
            return
        if self._watchdog.has_beaten() or not self._watchdog.is_hung(condition_of(process.pid)):
            return
        self.hangs += 1
        self._watchdog = Watchdog(self._hang_seconds)
        details = {"role": self.spec.name, "process_id": process.pid}
        logger.error("the loop of a role stands still; its stacks are in its log", extra=details)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(DUMP_SIGNAL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _DUMP_SECONDS)
            process.kill()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the process a signal and do not start it again."""
        self._stopping = True
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def ended(self) -> None:
        """Return once no process of the role runs."""
        if self.process is not None:
            await self._ended.wait()

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _start(self) -> None:
        ready_end, child_end = os.pipe()
        command = [sys.executable, "-P", "-m", "dsql.cli.main", *self.spec.arguments]
        command += ["--data", str(self._data), "--ready-descriptor", str(child_end)]
        command += ["--supervisor", str(os.getpid())]
        self._ended.clear()
        self._watchdog = Watchdog(self._hang_seconds)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(child_end,),
            start_new_session=True,
        )
        os.close(child_end)
        assert self.process.stdout is not None
        loop = asyncio.get_running_loop()
        loop.add_reader(ready_end, self._on_ready_pipe, ready_end)
        output = self.process.stdout.fileno()
        os.set_blocking(output, False)
        loop.add_reader(output, self._on_output, output)
        watch = os.pidfd_open(self.process.pid)
        loop.add_reader(watch, self._on_exit, watch)

    def _on_ready_pipe(self, descriptor: int) -> None:
        said = os.read(descriptor, _READ_BYTES)
        if not said:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
            return
        self._watchdog.beat(said.count(BEAT))
        if not self.ready.done():
            self.ready.set_result(None)

    def _on_output(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            # The role and all who inherited its stderr have gone; the exit is seen apart.
            asyncio.get_running_loop().remove_reader(descriptor)
            return
        self._log.write(data)
        self._last_words = data.rstrip().rpartition(b"\n")[2] or self._last_words

    def _on_exit(self, watch: int) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(watch)
        os.close(watch)
        self.process.wait()
        self._on_output(self.process.stdout.fileno())
        loop.remove_reader(self.process.stdout.fileno())
        self.process.stdout.close()
        self._ended.set()


class Supervisor:
    """All roles of one installation. A loop may stand still for `hang_seconds`, 0: for ever."""

    def __init__(self, data: Path, hang_seconds: float = HANG_SECONDS) -> None:
        self._data = data
        self.hang_seconds = hang_seconds
        self._roles: dict[str, Role] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._watching: list[asyncio.Task[None]] = []

    def start(self, specs: Sequence[RoleSpec]) -> None:
        """Start roles, all at once."""
        started = [Role(spec, self._data, self.hang_seconds, self._publish) for spec in specs]
        for role in started:
            self._roles[role.spec.name] = role
            self._running[role.spec.name] = asyncio.create_task(role.run())
        self._watching.append(asyncio.create_task(_watch(started)))

    async def wait_ready(self) -> None:
        """Return once every role has been ready. Raises RoleFailedError if one ends before."""
        running = self._running.values()
        while waiting := [role.ready for role in self._roles.values() if not role.ready.done()]:
            await asyncio.wait([*waiting, *running], return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                if task.done():
                    await task  # raises what ended it

    async def stop(self) -> None:
        """Stop every role: with SIGTERM, then, after STOP_SECONDS, with SIGKILL."""
        roles = list(self._roles.values())
        await _stop([role for role in roles if role.spec.serves_clients])
        await _stop([role for role in roles if not role.spec.serves_clients])
        tasks = [*self._running.values(), *self._watching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for role in roles:
            role.close()

    def _publish(self) -> None:
        """Tell `dsql status` the processes."""
        processes = {
            name: RoleProcess(role.process.pid, role.restarts, role.hangs)
            for name, role in self._roles.items()
            if role.process is not None
        }
        with contextlib.suppress(OSError):
            write_processes(Layout(self._data), processes)


async def _watch(roles: Sequence[Role]) -> None:
    """Look at all of them at once: an idle server is woken no more often than it must be."""
    while True:
        await next_tick(LOOK_SECONDS)
        await asyncio.gather(*(role.watch() for role in roles))


async def _stop(roles: Sequence[Role]) -> None:
    for role in roles:
        role.stop()
    ended = asyncio.gather(*(role.ended() for role in roles))
    try:
        await asyncio.wait_for(asyncio.shield(ended), STOP_SECONDS)
    except TimeoutError:
        for role in roles:
            role.stop(signal.SIGKILL)
        await ended


def _message_of(line: bytes) -> str:
    """Return the message of a log line, or the line if it is not one of ours."""
    text = line.decode(errors="replace").strip()
    try:
        record = json.loads(text)
        exception = str(record.get("exception", "")).strip().rpartition("\n")[2]
        return exception or str(record["message"])
    except (ValueError, KeyError, AttributeError):
        return text
