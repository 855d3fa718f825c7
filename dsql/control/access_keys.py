"""The installation's small IAM: access keys, whom they belong to, and what those may do.

`iam.json` holds two lists. A key has AWS's shapes (20 characters `AKIA...`, 40 of secret) and belongs to a
principal, an ARN. To a principal policies are attached, AWS's documents (`dsql.iam`); nothing is allowed
unless one says so. There are no groups or boundaries. The file is read again when it changed, so that what
is taken away is refused from then on; its mode is 0600.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
import string
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.iam.document import MalformedPolicyError, Policy, parse_identity_policy
from dsql.iam.evaluation import decide
from dsql.iam.request import AccessRequest, Decision, mapped_identity

_ID_ALPHABET = string.ascii_uppercase + "234567"
_TOKEN_BYTES = 96
_REMEMBERED_SECONDS = (
    86_400.0  # so long it is said that credentials have ended, and not that they are none
)
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
_EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "dsql:*", "Resource": "*"}],
}
_NOTHING = parse_identity_policy(
    {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}},
)
_log = logging.getLogger(__name__)


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


class AttachedPolicy(msgspec.Struct, frozen=True):
    """An identity policy, as AWS's JSON, and whose it is: a user's or role's ARN."""

    principal: str
    name: str
    document: dict[str, Any]


class AccessDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What iam.json holds."""

    keys: list[AccessKey] = []
    policies: list[AttachedPolicy] = []


class AccessKeyStore:
    """The keys and policies of one iam.json, read again whenever the file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._keys: dict[str, AccessKey] = {}
        self._attached: list[AttachedPolicy] = []
        self._policies: dict[str, list[Policy]] = {}

    def find(self, access_key_id: str) -> AccessKey | None:
        """Return the key with this id, None if it is not known."""
        self._refresh()
        return self._keys.get(access_key_id)

    def keys(self) -> list[AccessKey]:
        """Return every key, in the order of the file."""
        self._refresh()
        return list(self._keys.values())

    def policies(self) -> list[AttachedPolicy]:
        """Return every policy, in the order of the file."""
        self._refresh()
        return list(self._attached)

    def decide(self, request: AccessRequest, resource: Policy | None = None) -> Decision:
        """Decide a request by its principal's policies and `resource`, that of what it is about."""
        self._refresh()
        own = self._policies.get(mapped_identity(request.principal), [])
        return decide(request, own, resource)

    def add(self, key: AccessKey, policies: Sequence[AttachedPolicy] = ()) -> None:
        """Add or replace a key, and attach policies. Raises MalformedPolicyError."""
        for policy in policies:
            parse_identity_policy(policy.document)
        names = {(policy.principal, policy.name) for policy in policies}
        with self._changing():
            known = [one for one in self._keys.values() if not _is_long_over(one)]
            keys = {one.access_key_id: one for one in (*known, key)}
            others = [one for one in self._attached if (one.principal, one.name) not in names]
            self._write(AccessDocument(list(keys.values()), [*others, *policies]))

    def remove(self, access_key_id: str) -> bool:
        """Remove a key; return False if it was not known. Its principal's policies go with the last one."""
        with self._changing():
            keys = dict(self._keys)
            removed = keys.pop(access_key_id, None)
            if removed is None:
                return False
            owners = {mapped_identity(key.principal) for key in keys.values()}
            gone = {mapped_identity(removed.principal)} - owners
            left = [policy for policy in self._attached if policy.principal not in gone]
            self._write(AccessDocument(list(keys.values()), left))
            return True

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold what another process has changed, and let none change it meanwhile."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refresh()
            yield
        finally:
            os.close(lock)

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._version = None
            self._take(AccessDocument())
            return
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        if version != self._version:
            try:
                self._take(msgspec.json.decode(self._path.read_bytes(), type=AccessDocument))
            except msgspec.DecodeError as error:
                raise OSError(
                    errno.EINVAL, f"is no list of access keys ({error})", self._path
                ) from None
            self._version = version

    def _take(self, document: AccessDocument) -> None:
        self._keys = {key.access_key_id: key for key in document.keys}
        self._attached = document.policies
        self._policies = {}
        for attached in document.policies:
            of_principal = self._policies.setdefault(attached.principal, [])
            try:
                of_principal.append(parse_identity_policy(attached.document))
            except MalformedPolicyError as error:  # somebody has edited the file
                name = f"{attached.principal}/{attached.name}"
                _log.error("policy %s denies everything until it is mended: %s", name, error)
                of_principal.append(_NOTHING)

    def _write(self, document: AccessDocument) -> None:
        text = json.dumps(msgspec.to_builtins(document), indent=2)
        write_atomically(self._path, text.encode(), PRIVATE)


def new_access_key(principal: str) -> AccessKey:
    """Return a fresh long-lived key for `principal`."""
    return AccessKey(_identifier("AKIA"), _secret(), principal)


def new_session_key(role: str, name: str, expires_at: float) -> AccessKey:
    """Return credentials of a session of a role, as AssumeRole gives them; `role` is the role's ARN."""
    principal = role.replace(":iam:", ":sts:", 1).replace(":role/", ":assumed-role/", 1)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    return AccessKey(
        _identifier("ASIA"),
        _secret(),
        f"{principal}/{name}",
        session_token=token,
        expires_at=expires_at,
    )


def _identifier(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))


def _secret() -> str:
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))


def _is_long_over(key: AccessKey) -> bool:
    return 0 < key.expires_at < time.time() - _REMEMBERED_SECONDS


def ensure_first_key(store: AccessKeyStore, account: str) -> AccessKey:
    """Return the first key, making one that may connect to every cluster if there is none."""
    existing = store.keys()
    if existing:
        return existing[0]
    principal = f"arn:aws:iam::{account}:user/administrator"
    key = new_access_key(principal)
    store.add(key, [AttachedPolicy(principal, "administrator", _EVERYTHING)])
    return key
