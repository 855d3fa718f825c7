"""File access by allow-list, no TCP, no abstract sockets, no signals outside: the Landlock kernel module.

See https://docs.kernel.org/userspace-api/landlock.html. Every access right that the kernel's ABI version
knows is handled, which denies it, and then granted below the given paths. Landlock does not look at
descriptors that are already open.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from placement.kernel import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_GET_VERSION = 1
_RULE_PATH_BENEATH = 1

READ_FILE, READ_DIR = 1 << 2, 1 << 3
READ = READ_FILE | READ_DIR
_FILE_RIGHTS = {
    1: 13,
    2: 14,
    3: 15,
    5: 16,
}  # ABI version -> number of file access rights from then on
_NETWORK_ABI = 4
_NETWORK_RIGHTS = 0b11  # bind and connect TCP
_SCOPE_ABI = 6
_SCOPES = 0b11  # abstract Unix sockets and signals


def abi_version() -> int:
    """Return the kernel's Landlock version, 0 where there is none."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _GET_VERSION)
    except OSError:
        return 0


class Ruleset:
    """What this process will still be allowed. To be filled with `allow`, then `restrict`, once."""

    def __init__(self) -> None:
        """Raises OSError if the kernel has Landlock and yet fails."""
        self._version = version = abi_version()
        self._descriptor = -1
        if version == 0:
            return
        file_rights = (1 << max(n for abi, n in _FILE_RIGHTS.items() if abi <= version)) - 1
        attributes = struct.pack("=Q", file_rights)
        if version >= _NETWORK_ABI:
            attributes += struct.pack("=Q", _NETWORK_RIGHTS)
        if version >= _SCOPE_ABI:
            attributes += struct.pack("=Q", _SCOPES)
        self._descriptor = syscall(_CREATE_RULESET, attributes, len(attributes), 0)

    def allow(self, rules: Iterable[tuple[str | Path, int]]) -> None:
        """Add rules, (path, rights) each. Paths that do not exist are skipped. Raises OSError."""
        if self._version:
            for path, rights in rules:
                _allow(self._descriptor, path, rights)

    def restrict(self) -> list[str]:
        """Deny this process everything else, for ever. Needs no-new-privileges.

        Returns the names of what the kernel cannot restrict. Raises OSError if it fails where it
        should not.
        """
        if self._version == 0:
            return ["landlock"]
        try:
            syscall(_RESTRICT_SELF, self._descriptor, 0)
        finally:
            os.close(self._descriptor)
        missing = ["landlock network"] if self._version < _NETWORK_ABI else []
        return missing + (["landlock scopes"] if self._version < _SCOPE_ABI else [])


def _allow(ruleset: int, path: str | Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= ~READ_DIR  # a right of directories only
        rule = struct.pack("=Qi", rights, descriptor)
        syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
