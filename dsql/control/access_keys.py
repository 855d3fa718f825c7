"""The installation's small IAM: access keys, whom they belong to, and who may connect to what.

`iam.json` holds two lists. A key has AWS's shapes (20 characters `AKIA...`, 40 of secret) and belongs to a
principal, an ARN. A statement allows or denies actions on cluster ARNs to principals, with the wildcards
`*` and `?`; as in AWS, nothing is allowed unless a statement says so, and one Deny beats every Allow.
There are no conditions, groups or boundaries. The file is read again when it changed; its mode is 0600.
"""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from dsql.control.atomic_file import PRIVATE, write_atomically

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
_ASSUMED_ROLE = re.compile(r"arn:(aws[^:]*):sts::(\d{12}):assumed-role/([^/]+)/.+")


class AccessKey(msgspec.Struct, frozen=True):
    """One key. `session_token` and `expires_at` (seconds since 1970) belong to temporary credentials."""

    access_key_id: str
    secret_access_key: str
    principal: str
    active: bool = True
    session_token: str = ""
    expires_at: float = 0.0

    def usable(self, now: float) -> bool:
        """True if the key is switched on and has not ended."""
        return self.active and not (self.expires_at and self.expires_at <= now)


class Statement(msgspec.Struct, frozen=True):
    """Who may (or may not) do what to which clusters; every entry may hold wildcards."""

    effect: Literal["Allow", "Deny"]
    principals: list[str]
    actions: list[str]
    resources: list[str]

    def covers(self, principal: str, action: str, resource: str) -> bool:
        """True if this statement speaks about the request."""
        return (
            _any_match(self.principals, principal)
            and _any_match(self.actions, action)
            and _any_match(self.resources, resource)
        )


class AccessDocument(msgspec.Struct, frozen=True):
    """What iam.json holds."""

    keys: list[AccessKey] = []
    statements: list[Statement] = []


class AccessKeyStore:
    """The keys and statements of one iam.json, read again whenever the file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._keys: dict[str, AccessKey] = {}
        self._statements: list[Statement] = []

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return the key with this id, None if it is not known."""
        self._refresh()
        return self._keys.get(access_key_id)

    def keys(self) -> list[AccessKey]:
        """Return every key, in the order of the file."""
        self._refresh()
        return list(self._keys.values())

    def allows(self, principal: str, action: str, resource: str) -> bool:
        """Return whether `principal` may do `action` (`dsql:DbConnect`) to `resource` (a cluster's ARN)."""
        self._refresh()
        covering = [s for s in self._statements if s.covers(principal, action, resource)]
        return bool(covering) and all(statement.effect == "Allow" for statement in covering)

    def add(self, key: AccessKey, statements: Sequence[Statement] = ()) -> None:
        """Add or replace a key and append statements."""
        self._refresh()
        others = [
            known for known in self._keys.values() if known.access_key_id != key.access_key_id
        ]
        self._write(AccessDocument([*others, key], [*self._statements, *statements]))

    def remove(self, access_key_id: str) -> bool:
        """Remove a key; return False if it was not known."""
        self._refresh()
        if access_key_id not in self._keys:
            return False
        others = [key for key in self._keys.values() if key.access_key_id != access_key_id]
        self._write(AccessDocument(others, self._statements))
        return True

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._version, self._keys, self._statements = None, {}, []
            return
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        if version != self._version:
            document = msgspec.json.decode(self._path.read_bytes(), type=AccessDocument)
            self._keys = {key.access_key_id: key for key in document.keys}
            self._statements = document.statements
            self._version = version

    def _write(self, document: AccessDocument) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(msgspec.to_builtins(document), indent=2)
        write_atomically(self._path, text.encode(), PRIVATE)


def new_access_key(principal: str) -> AccessKey:
    """Return a fresh long-lived key for `principal`."""
    identifier = "AKIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))
    secret = "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))
    return AccessKey(identifier, secret, principal)


def ensure_first_key(store: AccessKeyStore, account: str) -> AccessKey:
    """Return the first key, making one that may connect to every cluster if there is none."""
    existing = store.keys()
    if existing:
        return existing[0]
    principal = f"arn:aws:iam::{account}:user/administrator"
    key = new_access_key(principal)
    store.add(key, [Statement("Allow", [principal], ["dsql:*"], ["*"])])
    return key


def mapped_identity(principal: str) -> str:
    """Return the ARN that `AWS IAM GRANT` maps: for a session of an assumed role, the role's own."""
    assumed = _ASSUMED_ROLE.fullmatch(principal)
    if assumed is None:
        return principal
    partition, account, role = assumed.groups()
    return f"arn:{partition}:iam::{account}:role/{role}"


def _any_match(patterns: Iterable[str], value: str) -> bool:
    return any(_matches(pattern, value) for pattern in patterns)


def _matches(pattern: str, value: str) -> bool:
    """Match with `*` (any run of characters) and `?` (any one), without fnmatch's bracket classes."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == value
    return _compile(pattern).fullmatch(value) is not None


@functools.lru_cache(1024)
def _compile(pattern: str) -> re.Pattern[str]:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(expression, re.DOTALL)
