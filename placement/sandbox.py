"""What a query processor may still do once it belongs to a cluster: nearly nothing.

It is assumed to be hostile to other tenants, because it runs the statements of one. A process closes as
much of its sandbox as it can while it is warm, the rest when it gets its cluster. After `confine` it

- has another user id than every other cluster's processes (as root), or no capability in its own user
  namespace (as anyone else), can gain no privilege and cannot be traced or dumped;
- reads its cluster's storage replicas and clock, libraries and time zones, and opens nothing else, nothing
  at all for writing (Landlock); what it writes came to it open, and is its own (`storage.reader_slot`);
- opens no socket, starts no process and no thread but one, executes nothing (seccomp);
- holds few descriptors besides its sessions' sockets and not more memory than it is given: beyond that an
  allocation fails, and with it the statement; writes no file but its temporary one, leaves no core dump
  (resource limits).

Where the kernel lacks a part, the others still hold, and the part's name is returned to be logged.
"""

from __future__ import annotations

import os
import resource
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path

from dsql.control.layout import Layout
from dsql.limits import (
    PROCESS_MEMORY_BYTES_MAX,
    SESSIONS_PER_PROCESS_MAX,
    STATEMENTS_AT_THEIR_LIMIT,
    TEMPORARY_BYTES_MAX,
)
from dsql.session.control import Assign
from placement import kernel, landlock, seccomp
from storage.client import files_for_readers

# A socket for each session, and what the process itself has: its control socket, epoll, clock, temporary
# file, and for each zone two for its slot, two for the replica, one to the adjudicator.
DESCRIPTORS_MAX = SESSIONS_PER_PROCESS_MAX + 200
# What a query processor writes is its temporary file, opened beforehand and shared by its sessions, and
# perhaps its log.
FILE_BYTES_MAX = STATEMENTS_AT_THEIR_LIMIT * TEMPORARY_BYTES_MAX + 64 * 1024 * 1024
SYSTEM_FILES = (
    "/usr/share/zoneinfo",
    "/proc/sys/kernel/random/boot_id",  # tells whether a replica is of this boot
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
)
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000


def prepare() -> None:
    """Compute what every `Sandbox` needs; called once before the forks, so that none of them has to."""
    kernel.give_back_large_blocks()
    kernel.share_one_heap()
    _library_directories()
    if kernel.MACHINE in seccomp.ARCHITECTURES:
        seccomp.prepared_filter()


class Sandbox:
    """One process's, made while it is warm so that little is left to do when it gets its cluster."""

    def __init__(self, memory_bytes: int = PROCESS_MEMORY_BYTES_MAX) -> None:
        """Close what does not depend on the cluster. Raises OSError if a part fails that should not.

        `memory_bytes` is what the process may take besides what it has now.
        """
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        self._ruleset = landlock.Ruleset()
        self._ruleset.allow((path, landlock.READ) for path in _library_directories())
        self._ruleset.allow((path, landlock.READ) for path in SYSTEM_FILES)
        self._missing = [] if os.geteuid() == 0 else _leave_namespaces()
        _limit_resources(memory_bytes)
        self._is_filtered = not (missing := seccomp.restrict())
        if missing:  # as root it counts the processes of the cluster's user
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        self._missing += missing

    def confine(self, assignment: Assign, start_thread: Callable[[], object]) -> list[str]:
        """Give up, for ever, all that serving `assignment` does not need.

        `start_thread` starts the only thread that there will be besides this one. It has to come after
        Landlock and the change of user, which hold for a thread and those that it starts.
        Returns the parts that this kernel does not have. Raises OSError if a part fails that should not;
        the process must end then. The working directory is the data directory.
        """
        kernel.set_name(f"dsql: {assignment.cluster[:8]}")
        self._ruleset.allow(_file_rules(assignment))
        missing = self._missing + self._ruleset.restrict()
        if assignment.uid is not None:
            _become(assignment.uid)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        if self._is_filtered:
            start_thread()
            seccomp.close_threads()
        return missing


def leave_open(assignment: Assign, start_thread: Callable[[], object]) -> list[str]:
    """Do nothing where Sandbox.confine would close everything: for debugging."""
    del assignment, start_thread
    return ["all"]


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _leave_namespaces() -> list[str]:
    try:
        kernel.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC)
    except OSError:
        return ["user namespace"]
    return []


def _limit_resources(memory_bytes: int) -> None:
    for limit, value in (
        (resource.RLIMIT_DATA, _data_bytes() + memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, DESCRIPTORS_MAX),
        (resource.RLIMIT_FSIZE, FILE_BYTES_MAX),
    ):
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def _data_bytes() -> int:
    """Return how much memory of its own the process has now, as RLIMIT_DATA counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


def _file_rules(assignment: Assign) -> list[tuple[str | Path, int]]:
    layout = Layout(Path())
    replicas = [layout.storage(az, assignment.cluster) for az in assignment.azs]
    if assignment.uid is not None:
        # Which of the files may be read, their modes say (see placement.replica_access).
        rules: list[tuple[str | Path, int]] = [
            (replica, landlock.READ_FILE) for replica in replicas
        ]
    else:
        # Everything belongs to our own user, so files are named; later replicas stay closed.
        files = (path for replica in replicas for path in files_for_readers(replica))
        rules = [(path, landlock.READ_FILE) for path in files]
    rules.append((layout.clock(assignment.cluster), landlock.READ))
    return rules


@cache
def _library_directories() -> frozenset[str]:
    """Return where modules may still be imported from."""
    paths = sysconfig.get_paths()
    known = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    project = Path(__file__).resolve().parent.parent
    packages = {str(project / name) for name in ("dsql", "adjudicator", "journal", "storage")}
    return frozenset(known | packages) | {
        path for path in sys.path if path.endswith("dist-packages")
    }
