"""AWS policy documents: the JSON that people write, checked and in a form that can be evaluated.

Source of the grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html.
An identity policy is attached to whom it speaks of; a resource policy says so (`Principal`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dsql.iam.condition import Condition, parse_conditions
from dsql.iam.patterns import literal, marked

VERSIONS = ("2012-10-17", "2008-10-17")
STATEMENTS_MAX = 200
WORDS_MAX = 500  # patterns and values of a policy: each login may be compared with all
_DOCUMENT = {"Version", "Id", "Statement"}
_STATEMENT = {
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
    *("Resource", "NotResource", "Condition"),
}
_ACCOUNT = re.compile("[0-9]{12}")
_ACTION = re.compile(r"\*|\*:\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_ANY_RESOURCE = ("*",)


class MalformedPolicyError(ValueError):
    """The text is no policy; the message says why."""


class Kind(NamedTuple):
    """A kind of policies: whether it says whom it speaks of, and of what."""

    names_principals: bool
    names_resources: bool = True


IDENTITY = Kind(names_principals=False)
RESOURCE = Kind(names_principals=True)
TRUST = Kind(names_principals=True, names_resources=False)  # a role's: who may assume it


class Names(NamedTuple):
    """Marked patterns of actions or resources, or names of principals.

    `excluded`: all that match none of them.
    """

    patterns: tuple[str, ...]
    excluded: bool = False


class Statement(NamedTuple):
    """One statement. `principals` is None in an identity policy."""

    allows: bool
    principals: Names | None
    actions: Names
    resources: Names
    conditions: tuple[Condition, ...] = ()


class Policy(NamedTuple):
    """A document's statements, in order."""

    statements: tuple[Statement, ...]


def parse_policy(document: object, kind: Kind) -> Policy:
    """Return the policy that decoded JSON is. Raises MalformedPolicyError."""
    whole = _object(document, "The policy", _DOCUMENT)
    version = whole.get("Version", VERSIONS[1])
    if version not in VERSIONS:
        raise MalformedPolicyError(f"Version must be one of {', '.join(VERSIONS)}")
    statements = whole.get("Statement")
    listed = statements if isinstance(statements, list) else [statements]
    if not listed or len(listed) > STATEMENTS_MAX:
        raise MalformedPolicyError(f"Statement must have 1 to {STATEMENTS_MAX} members")
    variables = version == VERSIONS[0]
    policy = Policy(tuple(_statement(member, kind, variables=variables) for member in listed))
    if sum(map(_words_in, policy.statements)) > WORDS_MAX:
        raise MalformedPolicyError(f"The policy must have {WORDS_MAX} patterns and values at most")
    return policy


def parse_identity_policy(document: object) -> Policy:
    """Return a user's, a role's or a session's policy as decoded JSON. Raises MalformedPolicyError."""
    return parse_policy(document, IDENTITY)


def parse_resource_policy(text: str) -> Policy:
    """Return the policy that a text is. Raises MalformedPolicyError."""
    return parse_policy(read_document(text), RESOURCE)


def read_document(text: str | bytes) -> Any:
    """Return a text's JSON, in which no name stands twice. Raises MalformedPolicyError."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedPolicyError(f"The policy is not valid JSON: {error}") from None


def _words_in(statement: Statement) -> int:
    names = (statement.actions, statement.resources, statement.principals)
    conditions = (len(condition.values) for condition in statement.conditions)
    return sum(len(one.patterns) for one in names if one is not None) + sum(conditions)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice in an object")
    return found


def _statement(member: object, kind: Kind, *, variables: bool) -> Statement:
    fields = _object(member, "A statement", _STATEMENT)
    if fields.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicyError("Effect must be Allow or Deny")
    principals = _principals(fields)
    if kind.names_principals != (principals is not None):
        must = "must have a" if kind.names_principals else "cannot have a"
        raise MalformedPolicyError(f"A statement of this kind of policy {must} Principal")
    try:
        actions = _actions(fields)
        resources = _resources(fields, kind, variables=variables)
        conditions = parse_conditions(fields.get("Condition", {}), variables=variables)
    except MalformedPolicyError:
        raise
    except ValueError as error:
        raise MalformedPolicyError(str(error)) from None
    return Statement(fields["Effect"] == "Allow", principals, actions, resources, conditions)


def _actions(fields: Mapping[str, Any]) -> Names:
    """Return the actions of a statement, which do not differ in their case."""
    words, excluded = _listed(fields, "Action")
    for word in words:
        if not _ACTION.fullmatch(word):
            raise MalformedPolicyError(f"Invalid action: {word!r}")
    return Names(tuple(marked(word.lower()) for word in words), excluded)


def _resources(fields: Mapping[str, Any], kind: Kind, *, variables: bool) -> Names:
    if not kind.names_resources:
        if "Resource" in fields or "NotResource" in fields:
            raise MalformedPolicyError("A trust policy cannot have a Resource")
        return Names(tuple(map(marked, _ANY_RESOURCE)))
    words, excluded = _listed(fields, "Resource")
    for word in words:
        if not word.startswith(("arn:", *_ANY_RESOURCE)):
            raise MalformedPolicyError(f'Resource {word!r} must be in ARN format or "*"')
    return Names(tuple(marked(w if variables else literal(w)) for w in words), excluded)


def _listed(fields: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], bool]:
    """Return what a statement has under NAME or NotNAME, and whether it is the latter."""
    if (name in fields) == (f"Not{name}" in fields):
        raise MalformedPolicyError(f"A statement must have either {name} or Not{name}")
    excluded = name not in fields
    return _words(fields[f"Not{name}" if excluded else name], name), excluded


def _principals(fields: Mapping[str, Any]) -> Names | None:
    if "Principal" in fields and "NotPrincipal" in fields:
        raise MalformedPolicyError("A statement must have either Principal or NotPrincipal")
    excluded = "NotPrincipal" in fields
    value = fields.get("NotPrincipal" if excluded else "Principal")
    if value is None:
        return None
    if value == "*":
        return Names(("*",), excluded)
    kinds = _object(value, "Principal", {"AWS", "Service", "Federated", "CanonicalUser"})
    # What is no AWS principal is nobody who could sign a request here.
    return Names(tuple(map(_principal, _words(kinds.get("AWS", []), "Principal"))), excluded)


def _principal(word: str) -> str:
    """Return an ARN, or `*`. An account's number stands for the account."""
    if _ACCOUNT.fullmatch(word):
        return f"arn:aws:iam::{word}:root"
    if word != "*" and ("*" in word or not word.startswith("arn:")):
        raise MalformedPolicyError(f"Invalid principal in policy: {word!r}")
    return word


def _words(value: object, name: str) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise MalformedPolicyError(f"{name} must be a string, or a list of strings")
    return tuple(words)


def _object(value: object, what: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedPolicyError(f"{what} must be an object")
    unknown = sorted(value.keys() - known)
    if unknown:
        raise MalformedPolicyError(f"{what} cannot have {', '.join(map(repr, unknown))}")
    return value
