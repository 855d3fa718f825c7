"""A filter that lets a query processor make only the system calls that its work needs.

The filter is a list of classic BPF instructions over `struct seccomp_data` (number, architecture,
arguments). It looks for the number among ranges of allowed ones; everything else fails with EPERM: sockets,
exec, fork, file locks, ptrace, mount, bpf, keyctl, io_uring, and whatever future kernels add. Threads can
be started until `close_threads` adds a second filter: a process has one besides its first.
When it is installed the kernel runs it for every number there is and keeps constant verdicts. So its
length costs nothing later on, but it does then, and ranges halve it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import struct
from functools import cache

from placement.kernel import MACHINE, PR_SET_DUMPABLE, PR_SET_NAME, syscall

_MODE_FILTER = 1
_RETURN_ALLOW = 0x7FFF0000
_RETURN_ERRNO = 0x00050000
_RETURN_KILL_PROCESS = 0x80000000
_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_NOT_LESS, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_FILTER_ALL_THREADS = 1
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4
_FIRST_ARGUMENT_OFFSET, _SECOND_ARGUMENT_OFFSET = 16, 24
_FIONBIO = 0x5421

# (x86_64, aarch64)
_SECCOMP = (317, 277)
# The hub of a query processor's sessions needs epoll, select for waits below a millisecond, and the timer
# of used processor time; they reach nothing but its own descriptors and itself.
_ALLOWED = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "lseek": (8, 62), "openat": (257, 56),
    "close": (3, 57), "close_range": (436, 436), "fstat": (5, 80), "newfstatat": (262, 79),
    "statx": (332, 291), "fstatfs": (138, 44), "statfs": (137, 43), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlinkat": (267, 78), "getcwd": (79, 17),
    "getdents64": (217, 61), "dup": (32, 23), "dup3": (292, 24), "ftruncate": (77, 46),
    "pipe2": (293, 59), "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226),
    "mremap": (25, 216), "madvise": (28, 233), "mincore": (27, 232), "brk": (12, 214),
    "recvfrom": (45, 207), "recvmsg": (47, 212),
    "sendto": (44, 206), "sendmsg": (46, 211), "shutdown": (48, 210), "getsockopt": (55, 209),
    "setsockopt": (54, 208), "getsockname": (51, 204), "getpeername": (52, 205),
    "ppoll": (271, 73), "pselect6": (270, 72), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22), "eventfd2": (290, 19), "futex": (202, 98), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "membarrier": (324, 283), "set_robust_list": (273, 99),
    "rseq": (334, 293), "restart_syscall": (219, 128), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "sigaltstack": (131, 132), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "times": (100, 153), "setitimer": (38, 103), "getitimer": (36, 102), "getpid": (39, 172),
    "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getrandom": (318, 278), "getrusage": (98, 165),
    "getrlimit": (97, 163), "sysinfo": (99, 179), "uname": (63, 160), "exit": (60, 93),
    "exit_group": (231, 94),
}  # fmt: skip
_ALLOWED_ON_X86_64 = {
    "open": 2, "stat": 4, "lstat": 6, "access": 21, "readlink": 89, "dup2": 33, "poll": 7,
    "select": 23, "epoll_wait": 232, "pause": 34, "time": 201, "alarm": 37,
}  # fmt: skip
# What is left to do of the sandbox when a process gets its cluster. Later on none of it gains anything.
_ALLOWED_TO_CONFINE = {
    "setgroups": (116, 159), "setresgid": (119, 149), "setresuid": (117, 147),
    "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446), "seccomp": _SECCOMP,
}  # fmt: skip
_IOCTL, _PRCTL, _FCNTL = (16, 29), (157, 167), (72, 25)
_CLONE, _CLONE3 = (56, 220), (435, 435)
# A thread as glibc makes it: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, two of TIDs.
_THREAD_FLAGS = 0x3D0F00
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def restrict() -> list[str]:
    """Install the filter for ever. Needs no-new-privileges.

    Returns ["seccomp"] if this kernel or architecture cannot, else [].
    """
    if MACHINE not in ARCHITECTURES:
        return ["seccomp"]
    return [] if _install(prepared_filter()) else ["seccomp"]


def close_threads() -> None:
    """Let none of the process's threads start another one, or install a filter, from now on.

    Only after `restrict` has succeeded. Raises OSError.
    """
    if not _install(_as_the_kernel_takes_it(build_thread_filter(MACHINE))):
        raise OSError(errno.ENOSYS, "a second filter is refused")


def _install(filter_: tuple[bytes, object]) -> bool:
    """Install a filter in all threads; return False where the kernel has none."""
    column, _ = ARCHITECTURES[MACHINE]
    try:
        stranger = syscall(_SECCOMP[column], _MODE_FILTER, _FILTER_ALL_THREADS, filter_[0])
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EINVAL):
            return False
        raise
    assert not stranger, "all threads have the same filters"
    return True


@cache
def prepared_filter() -> tuple[bytes, object]:
    """Return the filter of this machine as the kernel takes it, and what has to live as long as that."""
    return _as_the_kernel_takes_it(build_filter(MACHINE))


def _as_the_kernel_takes_it(program: bytes) -> tuple[bytes, object]:
    instructions = ctypes.create_string_buffer(program, len(program))
    return struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions)), instructions


def build_filter(machine: str) -> bytes:
    """Return the BPF program: 8 bytes per instruction (code, jump true, jump false, value)."""
    column, architecture = ARCHITECTURES[machine]
    numbers = sorted(pair[column] for pair in (_ALLOWED | _ALLOWED_TO_CONFINE).values())
    if machine == "x86_64":
        numbers = sorted([*numbers, *_ALLOWED_ON_X86_64.values()])
    program = [
        _instruction(_LOAD_WORD, _ARCHITECTURE_OFFSET),
        _instruction(_JUMP_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _RETURN_KILL_PROCESS),
        _instruction(_LOAD_WORD, _NUMBER_OFFSET),
    ]
    ranges, rest = _ranges(numbers), _rest(column)
    for left, (low, high) in zip(range(len(ranges) - 1, -1, -1), ranges, strict=True):
        behind = 2 * left  # instructions to the end of the ranges
        program += [
            _instruction(_JUMP_GREATER, high, 1, 0),
            _instruction(_JUMP_NOT_LESS, low, behind + len(rest) - 1, behind),
        ]
    return b"".join(program + rest)


def build_thread_filter(machine: str) -> bytes:
    """Return the program of the second filter. What else is refused, the first one refuses."""
    column, _ = ARCHITECTURES[machine]
    return b"".join(
        [
            _instruction(_LOAD_WORD, _NUMBER_OFFSET),
            _instruction(_JUMP_EQUAL, _CLONE[column], 1, 0),
            _instruction(_JUMP_EQUAL, _SECCOMP[column], 0, 1),
            _instruction(_RETURN, _RETURN_ERRNO | errno.EPERM),
            _instruction(_RETURN, _RETURN_ALLOW),
        ]
    )


def _rest(column: int) -> list[bytes]:
    """Return the end of the filter: what depends on arguments, the refusal, and last the permission."""
    return [
        # Of clone only threads. The flags of clone3 are out of sight, so glibc has to do without.
        _instruction(_JUMP_EQUAL, _CLONE[column], 0, 2),
        _instruction(_LOAD_WORD, _FIRST_ARGUMENT_OFFSET),
        _instruction(_JUMP_EQUAL, _THREAD_FLAGS, 16, 15),
        _instruction(_JUMP_EQUAL, _CLONE3[column], 0, 1),
        _instruction(_RETURN, _RETURN_ERRNO | errno.ENOSYS),
        # Of fcntl what duplicates and marks descriptors (O_ASYNC: SIGIO to the owner set by the seed): no
        # locks, leases, or sizes of pipes, and no owners, or others of the same user were sent signals.
        _instruction(_JUMP_EQUAL, _FCNTL[column], 0, 3),
        _instruction(_LOAD_WORD, _SECOND_ARGUMENT_OFFSET),
        _instruction(_JUMP_GREATER, fcntl.F_SETFL, 0, 11),
        _instruction(_JUMP_EQUAL, fcntl.F_DUPFD_CLOEXEC, 10, 9),
        _instruction(_JUMP_EQUAL, _PRCTL[column], 3, 0),
        # Of ioctl only what socket.settimeout does; terminals and devices stay out of reach.
        _instruction(_JUMP_EQUAL, _IOCTL[column], 0, 7),
        _instruction(_LOAD_WORD, _SECOND_ARGUMENT_OFFSET),
        _instruction(_JUMP_EQUAL, _FIONBIO, 6, 5),
        # Of prctl the process's name, and not to be traced.
        _instruction(_LOAD_WORD, _FIRST_ARGUMENT_OFFSET),
        _instruction(_JUMP_EQUAL, PR_SET_NAME, 4, 0),
        _instruction(_JUMP_EQUAL, PR_SET_DUMPABLE, 0, 2),
        _instruction(_LOAD_WORD, _SECOND_ARGUMENT_OFFSET),
        _instruction(_JUMP_EQUAL, 0, 1, 0),
        _instruction(_RETURN, _RETURN_ERRNO | errno.EPERM),
        _instruction(_RETURN, _RETURN_ALLOW),
    ]


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Return (first, last) of each run of consecutive numbers; `numbers` are sorted."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _instruction(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)
