"""What `dsql doctor` looks at, one function for each kind of thing. They change nothing that stays.

A check looks at a `Host` and yields findings. BROKEN is what `dsql up` could not run with; LACKING is what
it runs without, at a cost that the text tells.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import fcntl
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from dsql.cli.sandbox_trial import missing_parts
from dsql.limits import CONNECTIONS_MAX, PROCESS_MEMORY_BYTES_MAX
from dsql.rpc.process import pidfd_of_thread_works

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE
DESCRIPTORS_NEEDED = CONNECTIONS_MAX + 2_000
ROOM_NEEDED, ROOM_WANTED = 256 * MEBIBYTE, 4 * GIBIBYTE
BACKLOG_WANTED = 4_096
SLOW_SYNC_SECONDS = 0.02
_SYNCS = 20
_MACHINES = ("x86_64", "aarch64")
_STA_UNSYNC = 0x40  # adjtimex(2)
_EARLIEST = 1_767_225_600  # 2026-01-01: a clock before that was never set


class Severity(enum.IntEnum):
    """How bad a finding is; also the exit status."""

    FINE = 0
    LACKING = 1
    BROKEN = 2


class Finding(NamedTuple):
    """What was looked at, how it is, and what to do about it."""

    what: str
    severity: Severity
    text: str
    advice: str = ""


class Host(NamedTuple):
    """What is to be run here: on which data directory (absolute), and where clients connect."""

    data: Path
    listen: tuple[str, int]

    @property
    def folder(self) -> Path:
        """The data directory, or the nearest folder above it that exists."""
        return next(path for path in (self.data, *self.data.parents) if path.is_dir())


def _judge(what: str, fine: bool, text: str, advice: str, *, needed: bool = False) -> Finding:
    worse = Severity.BROKEN if needed else Severity.LACKING
    return Finding(what, Severity.FINE if fine else worse, text, advice)


def check_machine(host: Host) -> Iterator[Finding]:
    """Operating system, processor, Python."""
    del host
    system, machine = platform.system(), platform.machine()
    yield _judge(
        "machine",
        system == "Linux" and machine in _MACHINES,
        f"{system} {platform.release()} on {machine}, {len(os.sched_getaffinity(0))} processors",
        f"use Linux on {' or '.join(_MACHINES)}",
        needed=True,
    )
    yield _judge(
        "python",
        sys.version_info >= (3, 11),
        platform.python_version(),
        "use Python 3.11 or newer",
        needed=True,
    )


def check_libraries(host: Host) -> Iterator[Finding]:
    """What pyproject.toml requires."""
    del host
    missing = []
    for requirement in importlib.metadata.requires("dsql") or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement:
            continue
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    text = f"missing: {', '.join(missing)}" if missing else "all that the server needs"
    yield _judge("libraries", not missing, text, "pip install dsql", needed=True)


def check_kernel(host: Host) -> Iterator[Finding]:
    """What of the kernel is used outside of sandboxes."""
    del host
    yield _judge("/proc", Path("/proc/self/stat").exists(), "mounted", "mount it", needed=True)
    yield _judge(
        "thread pidfds",
        pidfd_of_thread_works(),
        "a zone's death is noticed at once",
        "with Linux 6.9 or newer the death of a zone is noticed some 50 ms sooner",
    )


def check_sandbox(host: Host) -> Iterator[Finding]:
    """The parts of a query processor's sandbox, tried in a process of their own."""
    del host
    missing = missing_parts()
    text = f"missing: {', '.join(missing)}" if missing else "every part works"
    yield _judge(
        "sandbox",
        not missing,
        text,
        "clusters of one host are separated by less: see docs/SECURITY.md; a container must allow "
        "seccomp(2) and landlock(7)",
    )
    yield _judge(
        "user ids",
        os.geteuid() == 0,
        "each cluster gets its own" if os.geteuid() == 0 else "all clusters share this user's",
        "run as root, with a system service's hardening, where clusters do not trust each other",
    )


def check_clocks(host: Host) -> Iterator[Finding]:
    """The wall clock, and who keeps it."""
    del host
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    yield _judge(
        "clock",
        time.time() > _EARLIEST,
        now,
        "set the clock: tokens are refused 5 minutes off, and certificates are not valid yet",
    )
    kept = _clock_is_kept()
    yield _judge(
        "clock's keeper",
        kept,
        "synchronised with others" if kept else "nobody synchronises it with others",
        "run chrony or systemd-timesyncd, so that tokens of other hosts stay valid here",
    )
    source = _read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    yield _judge(
        "clock source",
        source not in ("hpet", "acpi_pm", "jiffies"),
        source or "unknown",
        "this one takes a microsecond or more to read: see the kernel's log why tsc is not used",
    )


def _clock_is_kept() -> bool:
    """Tell whether somebody synchronises the kernel's clock; yes if it cannot be asked."""
    room = (ctypes.c_long * 64)()  # struct timex, whose first field says that nothing is set
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(room))
    status = ctypes.cast(ctypes.byref(room, 5 * ctypes.sizeof(ctypes.c_long)), _IntPointer)[0]
    return state < 0 or not status & _STA_UNSYNC


_IntPointer = ctypes.POINTER(ctypes.c_int)


def check_disk(host: Host) -> Iterator[Finding]:
    """The file system of the data directory: its room, its features, its syncs."""
    folder = host.folder
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(
            "data directory",
            Severity.BROKEN,
            f"{folder} cannot be written",
            "choose another --data, or give the folder to this user",
        )
        return
    free = shutil.disk_usage(folder).free
    severity = Severity(2 - (free >= ROOM_NEEDED) - (free >= ROOM_WANTED))
    text = f"{free / GIBIBYTE:.1f} GiB free in {folder}"
    yield Finding("room", severity, text, f"have {ROOM_WANTED // GIBIBYTE} GiB or more")
    yield from _try_files(folder)


def _try_files(folder: Path) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, MEBIBYTE)
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            seconds = statistics.median(_sync_seconds(file.fileno()) for _ in range(_SYNCS))
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        yield Finding(
            "files",
            Severity.BROKEN,
            f"{folder}: {error.strerror}",
            "use a local file system: ext4, xfs, btrfs or tmpfs",
        )
        return
    yield Finding("files", Severity.FINE, "locks, allocation and files without a name work")
    yield _judge(
        "sync",
        seconds < SLOW_SYNC_SECONDS,
        f"{seconds * 1e3:.2f} ms to have a small write on disk (median)",
        "every commit waits for two of these: use an SSD",
    )


def _sync_seconds(descriptor: int) -> float:
    os.pwrite(descriptor, os.urandom(512), 0)
    begun = time.perf_counter()
    os.fdatasync(descriptor)
    return time.perf_counter() - begun


def check_limits(host: Host) -> Iterator[Finding]:
    """Resource limits and memory."""
    del host
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    yield _judge(
        "open files",
        unlimited or hard >= DESCRIPTORS_NEEDED,
        "no limit" if unlimited else f"at most {hard}",
        f"{CONNECTIONS_MAX} connections need {DESCRIPTORS_NEEDED}: ulimit -Hn, LimitNOFILE= of systemd",
    )
    backlog = int(_read("/proc/sys/net/core/somaxconn") or 0)
    yield _judge(
        "somaxconn",
        backlog >= BACKLOG_WANTED,
        f"{backlog} connections may wait to be accepted",
        f"sysctl net.core.somaxconn={BACKLOG_WANTED}",
    )
    available = _available_memory()
    wanted = PROCESS_MEMORY_BYTES_MAX
    yield _judge(
        "memory",
        available >= wanted,
        f"{available / GIBIBYTE:.1f} GiB available",
        f"a query processor may take {wanted // GIBIBYTE} GiB: give `dsql up` a smaller --memory",
    )


def _available_memory() -> int:
    """Return bytes that new processes may take before the system swaps; a container's limit counts."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"))
    available = int(found.group(1)) * 1024 if found else 0
    limit = _read("/sys/fs/cgroup/memory.max")
    return min(available, int(limit)) if limit.isdecimal() else available


def check_port(host: Host) -> Iterator[Finding]:
    """Whether clients could connect where they are to."""
    address = f"{host.listen[0]}:{host.listen[1]}"
    family = socket.AF_INET6 if ":" in host.listen[0] else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(host.listen)
        except OSError as error:
            text = f"{address}: {error.strerror}; perhaps a cluster runs there: `dsql status`"
            yield Finding("port", Severity.LACKING, text, "choose another one with --listen")
            return
    yield Finding("port", Severity.FINE, f"{address} is free")


def check_programs(host: Host) -> Iterator[Finding]:
    """Programs that some commands start."""
    del host
    found = shutil.which("psql")
    yield _judge("psql", bool(found), found or "not installed", "install it for `dsql psql`")


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip()
    return ""


CHECKS: tuple[Callable[[Host], Iterator[Finding]], ...] = (
    check_machine,
    check_libraries,
    check_kernel,
    check_sandbox,
    check_clocks,
    check_disk,
    check_limits,
    check_port,
    check_programs,
)
