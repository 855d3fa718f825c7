"""What a query processor may still do once it belongs to a cluster: nearly nothing.

It is assumed to be hostile to other tenants, because it runs the statements of one. After `confine` it

- has another user id than every other cluster's processes (as root), or no capability in its own user
  namespace (as anyone else), can gain no privilege and cannot be traced or dumped;
- reads its cluster's storage replicas and clock, Python's library and time zones, writes what the
  replicas' readers share with the writer, and opens nothing else (Landlock);
- opens no socket, starts no process or thread, executes nothing (seccomp);
- holds few descriptors, writes no large file, leaves no core dump (resource limits).

Where the kernel lacks a part, the others still hold, and the part's name is returned to be logged.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import sys
import sysconfig
from pathlib import Path

from dsql.session.control import Assign
from placement import kernel, landlock, seccomp

USER_IDS_FROM = 700_000
USER_IDS = 100_000
DESCRIPTORS_MAX = 128
FILE_BYTES_MAX = 64 * 1024 * 1024  # no query processor writes files, but its log may be one
WRITTEN_BY_READERS = ("lock.mdb", "board", "wake")  # see storage/environment.py
SYSTEM_FILES = ("/usr/share/zoneinfo", "/proc/sys/kernel/random/boot_id")
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000


def confine(assignment: Assign) -> list[str]:
    """Give up, for ever, all that serving `assignment` does not need.

    Returns the parts that this kernel does not have. Raises OSError if a part fails that should not;
    the process must end then.
    """
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    missing = landlock.restrict(_file_rules(assignment))
    missing += _leave_user(assignment.uid)
    _limit_resources()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.die_with_parent(signal.SIGKILL)  # forgotten with the change of user
    return missing + seccomp.restrict()


def _leave_user(uid: int | None) -> list[str]:
    if uid is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return []
    try:
        kernel.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC)
    except OSError:
        return ["user namespace"]
    return []


def _limit_resources() -> None:
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, DESCRIPTORS_MAX),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, FILE_BYTES_MAX),
    ):
        _, hard = resource.getrlimit(limit)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def _file_rules(assignment: Assign) -> list[tuple[Path, int]]:
    rules = [(Path(replica), landlock.READ) for replica in assignment.replicas]
    # Files that stand already; a missing one may only be made by the storage server.
    rules += [
        (path, landlock.READ_WRITE)
        for replica in assignment.replicas
        for path in Path(replica).rglob("*")
        if path.name in WRITTEN_BY_READERS
    ]
    rules.append((Path(assignment.clock), landlock.READ))
    rules += [(Path(path), landlock.READ) for path in _library_directories()]
    return rules + [(Path(path), landlock.READ) for path in SYSTEM_FILES]


def _library_directories() -> set[str]:
    """Return where modules may still be imported from."""
    paths = sysconfig.get_paths()
    known = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    project = Path(__file__).resolve().parent.parent
    packages = {str(project / name) for name in ("dsql", "adjudicator", "journal", "storage")}
    return known | packages | {path for path in sys.path if path.endswith("dist-packages")}


def open_to_user(assignment: Assign, root: Path) -> None:
    """Let the cluster's user read its replicas and register as a reader; called as root before `confine`.

    Directories and data become readable for the cluster's group, what readers share with the writer
    becomes writable, and all of it is closed to everybody else. The way there, from `root` down, may be
    walked but not listed.
    """
    if assignment.uid is None or os.geteuid() != 0:
        return
    for replica in map(Path, assignment.replicas):
        for parent in (root, *(p for p in replica.parents if p.is_relative_to(root))):
            parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXOTH)
        for path in (replica, *replica.rglob("*")):
            mode = 0o750 if path.is_dir() else 0o660 if path.name in WRITTEN_BY_READERS else 0o640
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, -1, assignment.uid)
                path.chmod(mode)
