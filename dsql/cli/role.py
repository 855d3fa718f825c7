"""`dsql role`: roles, which whom they trust may be for a while, by AssumeRole."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from dsql.cli.identity import (
    Action,
    Desk,
    add_actions,
    add_attach,
    add_json,
    add_name,
    moment,
    parse_name,
    print_credentials,
    print_json,
    print_table,
    read_policy,
    run_action,
)
from dsql.cli.options import number_within
from dsql.control.identities import (
    SESSION_SECONDS,
    SESSION_SECONDS_MAX,
    SESSION_SECONDS_MIN,
    Role,
)
from dsql.iam.document import VERSIONS

_EPILOG = """examples:
  dsql role create writer --trust-user app --attach connects
  dsql role create auditor --trust trust.json --max-session 43200
  eval "$(dsql role assume writer --session laptop)"
  dsql role end-sessions writer"""
_SESSION = "dsql-role"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = _EPILOG
    add_actions(parser, _ACTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out."""
    return run_action(_ACTIONS, arguments)


def _create(desk: Desk) -> int:
    arguments = desk.arguments
    with desk.store.changing() as identities:
        role = identities.create_role(
            desk.account, arguments.name, _trust(desk), time.time(), arguments.max_session
        )
        for policy in arguments.attach or ():
            identities.attach(policy, role.arn)
    if arguments.json:
        return print_json(_described(role, []))
    print(role.arn)
    return 0


def _trust(desk: Desk) -> dict[str, Any] | None:
    """Return the trust policy that the options say; without any of them nobody is trusted."""
    arguments = desk.arguments
    if arguments.trust is not None:
        return read_policy(arguments.trust)
    trusted = [desk.arn("user", name) for name in arguments.trust_user or ()]
    trusted += [desk.account] if arguments.trust_account else []
    if not trusted:
        return None
    statement = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    return {"Version": VERSIONS[0], "Statement": [statement]}


def _list(desk: Desk) -> int:
    identities = desk.store.identities()
    found = [(role, identities.policy_names_of(role.arn)) for role in identities.roles]
    if desk.arguments.json:
        return print_json({"roles": [_described(role, policies) for role, policies in found]})
    rows = (
        (role.name, moment(role.created_at), str(role.session_seconds_max), " ".join(policies))
        for role, policies in found
    )
    return print_table(("name", "created (UTC)", "session (s)", "policies"), rows)


def _get(desk: Desk) -> int:
    identities = desk.store.identities()
    role = identities.owner(_arn(desk))
    assert isinstance(role, Role), "its ARN is one of a role"
    return print_json(_described(role, identities.policy_names_of(role.arn)))


def _delete(desk: Desk) -> int:
    with desk.store.changing() as identities:
        identities.delete_owner(_arn(desk))
    return 0


def _trust_anew(desk: Desk) -> int:
    with desk.store.changing() as identities:
        identities.set_trust(_arn(desk), read_policy(desk.arguments.file))
    return 0


def _assume(desk: Desk) -> int:
    arguments = desk.arguments
    role = desk.store.identities().owner(_arn(desk))
    assert isinstance(role, Role), "its ARN is one of a role"
    key = desk.store.begin_session(role, arguments.session, time.time(), arguments.seconds, "")
    return print_credentials(key, key.principal, as_json=arguments.json)


def _end_sessions(desk: Desk) -> int:
    with desk.store.changing() as identities:
        role = identities.owner(_arn(desk))
        assert isinstance(role, Role), "its ARN is one of a role"
        role.sessions_from = time.time()
    return 0


def _arn(desk: Desk) -> str:
    return desk.arn("role", desk.arguments.name)


def _described(role: Role, policies: list[str]) -> dict[str, Any]:
    return {
        "name": role.name,
        "arn": role.arn,
        "id": role.identifier,
        "createdAt": role.created_at,
        "maxSessionDuration": role.session_seconds_max,
        "sessionsFrom": role.sessions_from,
        "trust": role.trust,
        "policies": policies,
    }


def _create_options(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--trust", type=Path, metavar="FILE", help="a trust policy, as AWS has them")
    trust.add_argument(
        "--trust-user",
        action="append",
        type=parse_name,
        metavar="USER",
        help="a user who may assume it; may be repeated",
    )
    trust.add_argument(
        "--trust-account",
        action="store_true",
        help="whoever has a policy that allows sts:AssumeRole may assume it",
    )
    add_attach(parser)
    _add_seconds(parser, "--max-session", "the longest session")
    add_json(parser)


def _trust_options(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="a trust policy, as AWS has them")


def _assume_options(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    parser.add_argument(
        "--session", type=parse_name, default=_SESSION, metavar="NAME", help="what it is called"
    )
    _add_seconds(parser, "--seconds", "how long it lasts")
    add_json(parser)


def _add_seconds(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument(
        name,
        type=number_within(SESSION_SECONDS_MIN, SESSION_SECONDS_MAX),
        default=SESSION_SECONDS,
        metavar="SECONDS",
        help=f"{text}, {SESSION_SECONDS_MIN} to {SESSION_SECONDS_MAX} (default: %(default)s)",
    )


_ACTIONS = {
    "create": Action(
        _create, "Make a role; without --trust... only `assume` below is a way in", _create_options
    ),
    "list": Action(_list, "List all roles, with their policies", add_json),
    "get": Action(_get, "Show a role and whom it trusts, as JSON", add_name),
    "trust": Action(_trust_anew, "Say anew who may assume a role", _trust_options),
    "assume": Action(
        _assume, "Print credentials of a session of a role, for a shell", _assume_options
    ),
    "end-sessions": Action(_end_sessions, "End all sessions that a role has", add_name),
    "delete": Action(_delete, "Delete a role, with its sessions and inline policies", add_name),
}
