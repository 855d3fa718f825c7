"""The installation's small IAM: whose key a request is signed with, and what its principal may do.

`iam.json` (`dsql.control.identities`) has users, roles, keys and policies; its mode is 0600. Nothing is
allowed unless a policy says so. With each request it is looked whether the file was replaced, so that what
is taken away is refused from then on: what is kept in between, parsed policies and opened session tokens,
is never older than the file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.control.identities import (
    AccessKey,
    AttachedPolicy,
    Identities,
    Role,
    User,
    new_access_key,
    owner_arn,
)
from dsql.control.session_tokens import Claims, new_claims, new_seal, open_token, seal_token
from dsql.iam.document import (
    TRUST,
    MalformedPolicyError,
    Policy,
    parse_identity_policy,
    parse_policy,
    read_document,
)
from dsql.iam.evaluation import Grants, decide, decide_trust
from dsql.iam.request import AccessRequest, Decision, mapped_identity

TOKENS_MAX, SESSION_POLICIES_MAX = 1_024, 256
_EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["dsql:*", "sts:*"], "Resource": "*"}],
}
_NOTHING = parse_identity_policy(
    {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}},
)
_NOBODY = Policy(())
_log = logging.getLogger(__name__)


class _Owner(NamedTuple):
    """A user or role with its policies, read."""

    itself: User | Role
    policies: tuple[Policy, ...]


class AccessKeyStore:
    """The identities of one iam.json, read again whenever the file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._open_token: Callable[[str], Claims | None]
        self._take(Identities())

    def find(self, access_key_id: str, session_token: str = "") -> AccessKey | None:
        """Return the key with this id, and of temporary credentials this token; None for no such."""
        self._refresh()
        if not session_token:
            return self._keys.get(access_key_id)
        claims = self._open_token(session_token)
        if claims is None or claims.access_key_id != access_key_id:
            return None
        owner = self._owners.get(claims.owner)
        if owner is None or not _is_whose(owner.itself, claims):
            return None
        return _key_of(claims, session_token)

    def keys(self) -> list[AccessKey]:
        """Return every key, in the order of the file."""
        self._refresh()
        return list(self._keys.values())

    def identities(self) -> Identities:
        """Return all that there is; nobody else sees what is done to it."""
        self._refresh()
        return msgspec.convert(msgspec.to_builtins(self._identities), Identities)

    def role(self, arn: str) -> Role | None:
        """Return the role with this ARN."""
        self._refresh()
        found = self._owners.get(arn)
        return found.itself if found is not None and isinstance(found.itself, Role) else None

    def decide(
        self, key: AccessKey, request: AccessRequest, resource: Policy | None = None
    ) -> Decision:
        """Decide a request by its principal's policies and `resource`, that of what it is about."""
        self._refresh()
        return decide(self._described(key, request), self._grants(key), resource)

    def decide_trust(self, key: AccessKey, request: AccessRequest) -> Decision:
        """Decide whether the role that a request is about may be assumed."""
        self._refresh()
        owner = self._owners.get(request.resource)
        trust = _NOBODY if owner is None else _trust_of(owner.itself)
        return decide_trust(self._described(key, request), self._grants(key), trust)

    def begin_session(
        self, role: Role, session: str, now: float, seconds: int, policy: str
    ) -> AccessKey:
        """Return credentials of a new session of a role. Raises OSError."""
        seal = self._seal()
        claims = new_claims(role.arn, role.identifier, session, now, now + seconds, policy)
        return _key_of(claims, seal_token(seal, claims))

    def identifier(self, principal: str) -> str:
        """Return a principal's unique id, as IAM has them: of a session, the role's and its own name."""
        self._refresh()
        return self._identifier(principal)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Identities]:
        """Yield all that there is, and write what has become of it. Another process waits meanwhile.

        Nothing is written if there is an exception. Raises OSError.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            identities = self.identities()
            yield identities
            text = json.dumps(msgspec.to_builtins(identities), indent=2)
            write_atomically(self._path, text.encode(), PRIVATE)
        finally:
            os.close(lock)

    def add(self, key: AccessKey, policies: Sequence[AttachedPolicy] = ()) -> None:
        """Add or replace a key, and attach policies; who is new is made.

        Raises MalformedPolicyError, IdentityError.
        """
        with self.changing() as identities:
            for principal in (key.principal, *(policy.principal for policy in policies)):
                identities.ensure(principal)
            identities.put_key(key)
            for policy in policies:
                identities.put_policy(policy)

    def remove(self, access_key_id: str) -> bool:
        """Remove a key; return False if it was not known."""
        with self.changing() as identities:
            left = [key for key in identities.keys if key.access_key_id != access_key_id]
            found = len(left) < len(identities.keys)
            identities.keys = left
        return found

    def _identifier(self, principal: str) -> str:
        role = mapped_identity(principal)
        owner = self._owners.get(role)
        found = "" if owner is None else owner.itself.identifier
        return found if role == principal else f"{found}:{principal.rpartition('/')[2]}"

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._version = None
            self._take(Identities())
            return
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        if version != self._version:
            try:
                self._take(msgspec.json.decode(self._path.read_bytes(), type=Identities))
            except msgspec.DecodeError as error:
                raise OSError(
                    errno.EINVAL, f"is no list of access keys ({error})", self._path
                ) from None
            self._version = version

    def _take(self, identities: Identities) -> None:
        identities.complete()
        self._identities = identities
        self._keys = {key.access_key_id: key for key in identities.keys}
        self._owners = _read_owners(identities)
        seal = identities.seal
        self._open_token = functools.lru_cache(TOKENS_MAX)(lambda token: open_token(seal, token))

    def _seal(self) -> str:
        self._refresh()
        if not self._identities.seal:
            with self.changing() as identities:
                identities.seal = identities.seal or new_seal()
            self._refresh()
        return self._identities.seal

    def _grants(self, key: AccessKey) -> Grants:
        owner = self._owners.get(mapped_identity(key.principal))
        session = _session_policy(key.session_policy) if key.session_policy else None
        return Grants(() if owner is None else owner.policies, session)

    def _described(self, key: AccessKey, request: AccessRequest) -> AccessRequest:
        """Add what only we know of the principal to a request's condition keys."""
        known: dict[str, tuple[str, ...]] = {"aws:userid": (self._identifier(key.principal),)}
        if key.session_token:
            known["aws:tokenissuetime"] = (str(key.issued_at),)
            known["aws:multifactorauthpresent"] = ("false",)
        return request._replace(context={**request.context, **known})


def ensure_first_key(store: AccessKeyStore, account: str) -> AccessKey:
    """Return the first key, making one that may connect to every cluster if there is none."""
    existing = store.keys()
    if existing:
        return existing[0]
    principal = owner_arn(account, "user", "administrator")
    key = new_access_key(principal)
    store.add(key, [AttachedPolicy(principal, "administrator", _EVERYTHING)])
    return key


def _key_of(claims: Claims, token: str) -> AccessKey:
    return AccessKey(
        claims.access_key_id,
        claims.secret_access_key,
        claims.principal,
        session_token=token,
        issued_at=claims.issued_at,
        expires_at=claims.expires_at,
        session_policy=claims.policy,
    )


def _is_whose(owner: User | Role, claims: Claims) -> bool:
    """Return whether a session is still one of its role: the same one, which has not ended it."""
    since = owner.sessions_from if isinstance(owner, Role) else 0.0
    return owner.identifier == claims.owner_id and claims.issued_at >= since


def _read_owners(identities: Identities) -> dict[str, _Owner]:
    documents: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for inline in identities.policies:
        documents.setdefault(inline.principal, []).append((inline.name, inline.document))
    managed = {one.name: _read_policy(one.name, one.document) for one in identities.managed}
    found = {}
    for owner in identities.owners():
        own = [
            _read_policy(f"{owner.arn}/{name}", one) for name, one in documents.get(owner.arn, [])
        ]
        attached = [managed.get(name, _NOTHING) for name in owner.attached]
        found[owner.arn] = _Owner(owner, (*own, *attached))
    return found


def _read_policy(name: str, document: dict[str, Any]) -> Policy:
    try:
        return parse_identity_policy(document)
    except MalformedPolicyError as error:  # somebody has edited the file
        _log.error("policy %s denies everything until it is mended: %s", name, error)
        return _NOTHING


def _trust_of(owner: User | Role) -> Policy:
    trust = owner.trust if isinstance(owner, Role) else None
    try:
        return _NOBODY if trust is None else parse_policy(trust, TRUST)
    except MalformedPolicyError as error:
        _log.error("nobody may assume %s until its trust policy is mended: %s", owner.arn, error)
        return _NOBODY


@functools.lru_cache(SESSION_POLICIES_MAX)
def _session_policy(text: str) -> Policy:
    return parse_identity_policy(read_document(text))
