from __future__ import annotations

import fcntl
import operator
import struct

import pytest

from placement import seccomp
from placement.seccomp import build_filter, build_thread_filter

_HOLDS = {0x15: operator.eq, 0x25: operator.gt, 0x35: operator.ge}
ALLOW, EPERM, KILL = 0x7FFF0000, 0x00050001, 0x80000000
X86_64, AARCH64 = 0xC000003E, 0xC00000B7


def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Run a classic BPF program over one system call."""
    six = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *six)
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        code, jump_true, jump_false, value = instructions[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code in _HOLDS:
            position += jump_true if _HOLDS[code](accumulator, value) else jump_false
        else:
            assert code == 0x06
            return int(value)


@pytest.mark.parametrize(
    ("machine", "architecture", "read", "socket"),
    [("x86_64", X86_64, 0, 41), ("aarch64", AARCH64, 63, 198)],
)
def test_reading_is_allowed_and_opening_a_socket_is_not(
    machine: str, architecture: int, read: int, socket: int
) -> None:
    program = build_filter(machine)
    assert verdict(program, architecture, read) == ALLOW
    assert verdict(program, architecture, socket) == EPERM


@pytest.mark.parametrize(
    ("machine", "architecture", "column"), [("x86_64", X86_64, 0), ("aarch64", AARCH64, 1)]
)
def test_exactly_the_listed_calls_are_allowed(machine: str, architecture: int, column: int) -> None:
    program = build_filter(machine)
    calls = seccomp._ALLOWED | seccomp._ALLOWED_TO_CONFINE
    listed = {pair[column] for pair in calls.values()}
    listed.add(seccomp._FCNTL[column])
    if machine == "x86_64":
        listed |= set(seccomp._ALLOWED_ON_X86_64.values())
    allowed = {number for number in range(1000) if verdict(program, architecture, number) == ALLOW}
    assert allowed == listed


def test_foreign_architecture_kills_the_process() -> None:
    """A 32-bit system call has other numbers, and would slip through."""
    assert verdict(build_filter("x86_64"), 0x40000003, 3) == KILL


def test_x32_numbers_are_refused() -> None:
    assert verdict(build_filter("x86_64"), X86_64, 0x40000000) == EPERM


@pytest.mark.parametrize(("machine", "ioctl"), [("x86_64", 16), ("aarch64", 29)])
def test_only_the_non_blocking_ioctl_is_allowed(machine: str, ioctl: int) -> None:
    program = build_filter(machine)
    architecture = X86_64 if machine == "x86_64" else AARCH64
    assert verdict(program, architecture, ioctl, 1, 0x5421) == ALLOW
    assert verdict(program, architecture, ioctl, 1, 0x5412) == EPERM


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        (15, 1234, ALLOW),  # PR_SET_NAME, an address
        (4, 0, ALLOW),  # PR_SET_DUMPABLE: no
        (4, 1, EPERM),
        (1, 9, EPERM),  # PR_SET_PDEATHSIG
        (1, 0, EPERM),
        (38, 1, EPERM),
        (22, 0, EPERM),  # PR_SET_SECCOMP
    ],
)
def test_process_may_not_make_itself_traceable(option: int, value: int, expected: int) -> None:
    for machine, architecture, prctl in (("x86_64", X86_64, 157), ("aarch64", AARCH64, 167)):
        assert verdict(build_filter(machine), architecture, prctl, option, value) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        *((command, ALLOW) for command in (fcntl.F_DUPFD, fcntl.F_SETFL, fcntl.F_DUPFD_CLOEXEC)),
        *((command, EPERM) for command in (fcntl.F_SETLK, fcntl.F_SETLKW, fcntl.F_OFD_SETLK)),
        *((command, EPERM) for command in (fcntl.F_SETLEASE, fcntl.F_SETPIPE_SZ, fcntl.F_SETOWN)),
    ],
)
def test_descriptors_are_duplicated_and_never_locked(command: int, expected: int) -> None:
    for machine, (column, architecture) in seccomp.ARCHITECTURES.items():
        number = seccomp._FCNTL[column]
        assert verdict(build_filter(machine), architecture, number, 0, command) == expected


THREAD_FLAGS = 0x3D0F00
FORK_FLAGS, VFORK_FLAGS, NEW_USER_NAMESPACE = 0x01200011, 0x00004111, 0x10000000


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (THREAD_FLAGS, ALLOW),
        (FORK_FLAGS, EPERM),
        (VFORK_FLAGS, EPERM),
        (THREAD_FLAGS | NEW_USER_NAMESPACE, EPERM),
        (THREAD_FLAGS & ~0x10000, EPERM),  # a process that shares its memory
    ],
)
def test_clone_makes_threads_only_and_none_when_they_are_closed(flags: int, expected: int) -> None:
    for machine, architecture, clone in (("x86_64", X86_64, 56), ("aarch64", AARCH64, 220)):
        assert verdict(build_filter(machine), architecture, clone, flags) == expected
        assert verdict(build_thread_filter(machine), architecture, clone, flags) == EPERM


def test_clone3_is_said_to_be_missing_so_that_the_c_library_falls_back() -> None:
    for machine, (_, architecture) in seccomp.ARCHITECTURES.items():
        assert verdict(build_filter(machine), architecture, 435) == 0x00050026


def test_the_second_filter_refuses_a_third_and_leaves_the_rest_to_the_first() -> None:
    for machine, (column, architecture) in seccomp.ARCHITECTURES.items():
        program = build_thread_filter(machine)
        refused = {n for n in range(1000) if verdict(program, architecture, n) == EPERM}
        assert refused == {seccomp._CLONE[column], seccomp._SECCOMP[column]}
