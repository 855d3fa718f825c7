"""What an installation knows of identities: users, roles, access keys and policies, as `iam.json` has them.

Shapes and rules are those of AWS's IAM (https://docs.aws.amazon.com/IAM/latest/APIReference/), without
paths, groups and boundaries. A policy is *inline*, of one user or role, or *managed*: named in the account,
and attached to any number of them. Changes are made to an `Identities` that nobody else sees yet; each
raises IdentityError for what cannot be.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import string
from collections.abc import Iterator
from typing import Any

import msgspec

from dsql.iam.document import TRUST, parse_identity_policy, parse_policy

USERS_MAX, ROLES_MAX, MANAGED_MAX, KEYS_MAX = 5_000, 1_000, 1_500, 10_000
POLICIES_OF_ONE_MAX = 20  # inline and attached: each login is compared with all
POLICY_CHARACTERS_MAX = 6_144
SESSION_SECONDS = 3_600
SESSION_SECONDS_MIN, SESSION_SECONDS_MAX = 900, 43_200
NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
_ID_CHARACTERS = 17


class IdentityError(ValueError):
    """It cannot be. `name` is IAM's exception, the text says why."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class AccessKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """One key; times in seconds since 1970.

    The last four belong to temporary credentials, which no file has: `session_policy` is the JSON of a
    policy that narrows them, "" for none.
    """

    access_key_id: str
    secret_access_key: str
    principal: str
    active: bool = True
    session_token: str = ""
    issued_at: float = 0.0
    expires_at: float = 0.0
    session_policy: str = ""

    def usable(self, now: float) -> bool:
        """True if the key is switched on and has not ended."""
        return self.active and not (self.expires_at and self.expires_at <= now)


class AttachedPolicy(msgspec.Struct, frozen=True):
    """An inline policy, as AWS's JSON, and whose it is: a user's or role's ARN."""

    principal: str
    name: str
    document: dict[str, Any]


class ManagedPolicy(msgspec.Struct, frozen=True):
    """A policy with a name of its own."""

    name: str
    document: dict[str, Any]


class User(msgspec.Struct):
    """One user. `attached` are names of managed policies; another user of this name has another id."""

    name: str
    identifier: str
    arn: str
    created_at: float = 0.0
    attached: list[str] = []


class Role(msgspec.Struct):
    """One role. `trust`: the policy of who may assume it, None for nobody.

    Sessions that began before `sessions_from` (seconds since 1970) have ended.
    """

    name: str
    identifier: str
    arn: str
    created_at: float = 0.0
    attached: list[str] = []
    trust: dict[str, Any] | None = None
    session_seconds_max: int = SESSION_SECONDS
    sessions_from: float = 0.0


class Identities(msgspec.Struct, forbid_unknown_fields=True):
    """What iam.json holds. `seal` is the base64 of the key that session tokens are sealed with."""

    keys: list[AccessKey] = []
    policies: list[AttachedPolicy] = []
    users: list[User] = []
    roles: list[Role] = []
    managed: list[ManagedPolicy] = []
    seal: str = ""

    def complete(self) -> None:
        """Add who has keys or policies and was never made, as files of before have it.

        Temporary credentials that such a file has are left out.
        """
        self.keys = [key for key in self.keys if not key.session_token]
        principals = [key.principal for key in self.keys]
        for arn in dict.fromkeys(principals + [policy.principal for policy in self.policies]):
            self.ensure(arn, settled=True)

    def ensure(self, arn: str, *, settled: bool = False) -> None:
        """Make the user or role of an ARN unless there is one; `settled`: with the same id everywhere."""
        kind, name = _kind_and_name(arn)
        if not name or any(one.arn == arn for one in self.owners()):
            return
        if kind == "role":
            self.roles.append(Role(name, _id_of("AROA", arn if settled else ""), arn))
        elif kind == "user":
            self.users.append(User(name, _id_of("AIDA", arn if settled else ""), arn))

    def owners(self) -> Iterator[User | Role]:
        """Yield who may have policies."""
        yield from self.users
        yield from self.roles

    def owner(self, arn: str) -> User | Role:
        """Return the user or role with an ARN."""
        found = next((one for one in self.owners() if one.arn == arn), None)
        if found is None:
            kind, name = _kind_and_name(arn)
            raise IdentityError("NoSuchEntity", f"The {kind} with name {name} cannot be found.")
        return found

    def policies_of(self, arn: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the names and documents of a user's or role's policies: inline, then attached."""
        owner = next((one for one in self.owners() if one.arn == arn), None)
        attached = set(owner.attached) if owner is not None else set()
        inline = [(one.name, one.document) for one in self.policies if one.principal == arn]
        return inline + [(one.name, one.document) for one in self.managed if one.name in attached]

    def policy_names_of(self, arn: str) -> list[str]:
        """Return the names of a user's or role's policies: inline, then attached."""
        return [name for name, _ in self.policies_of(arn)]

    def create_user(self, account: str, name: str, now: float) -> User:
        """Make a user."""
        _check_count("users", len(self.users), USERS_MAX)
        user = User(name, _id_of("AIDA"), self._free(account, "user", name), now)
        self.users.append(user)
        return user

    def create_role(
        self,
        account: str,
        name: str,
        trust: dict[str, Any] | None,
        now: float,
        session_seconds_max: int = SESSION_SECONDS,
    ) -> Role:
        """Make a role that those may assume whom `trust` names."""
        _check_count("roles", len(self.roles), ROLES_MAX)
        if trust is not None:
            _check_size(trust)
            parse_policy(trust, TRUST)
        if not SESSION_SECONDS_MIN <= session_seconds_max <= SESSION_SECONDS_MAX:
            text = f"A session lasts {SESSION_SECONDS_MIN} to {SESSION_SECONDS_MAX} seconds."
            raise IdentityError("ValidationError", text)
        arn = self._free(account, "role", name)
        role = Role(name, _id_of("AROA"), arn, now, [], trust, session_seconds_max)
        self.roles.append(role)
        return role

    def delete_owner(self, arn: str) -> None:
        """Remove a user or a role, with its keys and inline policies; its sessions have ended."""
        self.owner(arn)
        self.users = [one for one in self.users if one.arn != arn]
        self.roles = [one for one in self.roles if one.arn != arn]
        self.keys = [one for one in self.keys if one.principal != arn]
        self.policies = [one for one in self.policies if one.principal != arn]

    def set_trust(self, arn: str, trust: dict[str, Any]) -> None:
        """Say anew who may assume a role. Sessions that there are go on."""
        role = self.owner(arn)
        if not isinstance(role, Role):
            raise IdentityError("ValidationError", f"{arn} is no role.")
        _check_size(trust)
        parse_policy(trust, TRUST)
        role.trust = trust

    def put_key(self, key: AccessKey) -> None:
        """Add a key, or replace the one with its id."""
        self.owner(key.principal)
        others = [one for one in self.keys if one.access_key_id != key.access_key_id]
        if len(others) == len(self.keys):
            _check_count("access keys", len(others), KEYS_MAX)
            self.keys = [*others, key]
        else:
            places = {one.access_key_id: one for one in self.keys} | {key.access_key_id: key}
            self.keys = list(places.values())

    def put_policy(self, policy: AttachedPolicy) -> None:
        """Give a user or role an inline policy, or another one of that name."""
        self.owner(policy.principal)
        check_policy(policy.name, policy.document)
        place = (policy.principal, policy.name)
        others = [one for one in self.policies if (one.principal, one.name) != place]
        self.policies = [*others, policy]
        self._check_policies(policy.principal)

    def put_managed(self, policy: ManagedPolicy) -> None:
        """Make a managed policy, or give another document to the one of that name."""
        check_policy(policy.name, policy.document)
        others = [one for one in self.managed if one.name != policy.name]
        _check_count("policies", len(others), MANAGED_MAX)
        self.managed = [*others, policy]

    def delete_policy(self, name: str, arn: str = "") -> None:
        """Remove an inline policy of `arn`, or a managed one that nobody has."""
        if arn:
            left = [one for one in self.policies if (one.principal, one.name) != (arn, name)]
            _check_found(name, len(left) < len(self.policies))
            self.policies = left
            return
        holders = [one.name for one in self.owners() if name in one.attached]
        if holders:
            text = f"The policy {name} is attached to {', '.join(holders[:5])}."
            raise IdentityError("DeleteConflict", text)
        rest = [one for one in self.managed if one.name != name]
        _check_found(name, len(rest) < len(self.managed))
        self.managed = rest

    def attach(self, name: str, arn: str) -> None:
        """Attach a managed policy to a user or role; again is no mistake."""
        _check_found(name, any(one.name == name for one in self.managed))
        owner = self.owner(arn)
        if name not in owner.attached:
            owner.attached.append(name)
        self._check_policies(arn)

    def detach(self, name: str, arn: str) -> None:
        """Take a managed policy from a user or role."""
        owner = self.owner(arn)
        _check_found(name, name in owner.attached)
        owner.attached.remove(name)

    def _free(self, account: str, kind: str, name: str) -> str:
        """Return the ARN of somebody new; names differ in more than their case."""
        if not NAME.fullmatch(name):
            raise IdentityError("ValidationError", f"{name!r} cannot be a name.")
        arn = owner_arn(account, kind, name)
        if any(one.arn.lower() == arn.lower() for one in self.owners()):
            text = f"{kind.capitalize()} with name {name} already exists."
            raise IdentityError("EntityAlreadyExists", text)
        return arn

    def _check_policies(self, arn: str) -> None:
        _check_count(f"policies of {arn}", len(self.policies_of(arn)) - 1, POLICIES_OF_ONE_MAX)


def owner_arn(account: str, kind: str, name: str) -> str:
    """Return the ARN of a `user` or `role`."""
    return f"arn:aws:iam::{account}:{kind}/{name}"


def new_access_key(principal: str) -> AccessKey:
    """Return a fresh long-lived key for `principal`."""
    return AccessKey(f"AKIA{_letters(16)}", new_secret(), principal)


def new_secret() -> str:
    """Return a secret access key."""
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))


def new_session_key_id() -> str:
    """Return the id of temporary credentials."""
    return f"ASIA{_letters(16)}"


def check_policy(name: str, document: dict[str, Any]) -> None:
    """Raises IdentityError, MalformedPolicyError for what is no identity policy."""
    if not NAME.fullmatch(name):
        raise IdentityError("ValidationError", f"{name!r} cannot be a policy's name.")
    _check_size(document)
    parse_identity_policy(document)


def _check_size(document: object) -> None:
    if len(json.dumps(document, separators=(",", ":"))) > POLICY_CHARACTERS_MAX:
        text = f"A policy has {POLICY_CHARACTERS_MAX} characters at most."
        raise IdentityError("LimitExceeded", text)


def _check_count(what: str, count: int, limit: int) -> None:
    if count >= limit:
        raise IdentityError("LimitExceeded", f"There may be {limit} {what} at most.")


def _check_found(name: str, found: bool) -> None:
    if not found:
        raise IdentityError("NoSuchEntity", f"The policy {name} was not found.")


def _kind_and_name(arn: str) -> tuple[str, str]:
    kind, _, name = arn.rpartition(":")[2].partition("/")
    return kind, name


def _id_of(prefix: str, arn: str = "") -> str:
    """Return a new id; with an ARN the one that every process finds for that."""
    if not arn:
        return prefix + _letters(_ID_CHARACTERS)
    digest = base64.b32encode(hashlib.sha256(arn.encode()).digest()).decode()
    return prefix + digest[:_ID_CHARACTERS]


def _letters(count: int) -> str:
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(count))
