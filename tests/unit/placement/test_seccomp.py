from __future__ import annotations

import struct

import pytest

from placement.seccomp import build_filter

ALLOW, EPERM, KILL = 0x7FFF0000, 0x00050001, 0x80000000
X86_64, AARCH64 = 0xC000003E, 0xC00000B7


def verdict(program: bytes, architecture: int, number: int, second_argument: int = 0) -> int:
    """Run a classic BPF program over one system call."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, 0, second_argument, 0, 0, 0, 0)
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        code, jump_true, jump_false, value = instructions[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            position += jump_true if accumulator == value else jump_false
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


def test_foreign_architecture_kills_the_process() -> None:
    """A 32-bit system call has other numbers, and would slip through."""
    assert verdict(build_filter("x86_64"), 0x40000003, 3) == KILL


def test_x32_numbers_are_refused() -> None:
    assert verdict(build_filter("x86_64"), X86_64, 0x40000000) == EPERM


@pytest.mark.parametrize(("machine", "ioctl"), [("x86_64", 16), ("aarch64", 29)])
def test_only_the_non_blocking_ioctl_is_allowed(machine: str, ioctl: int) -> None:
    program = build_filter(machine)
    architecture = X86_64 if machine == "x86_64" else AARCH64
    assert verdict(program, architecture, ioctl, 0x5421) == ALLOW
    assert verdict(program, architecture, ioctl, 0x5412) == EPERM
