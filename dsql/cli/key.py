"""`dsql key`: access keys of the installation's users, and the policies that say what those may do."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from dsql.cli.errors import CommandError
from dsql.cli.identity import (
    Action,
    Desk,
    add_actions,
    add_json,
    add_owner,
    print_credentials,
    print_json,
    print_table,
    read_policy,
    run_action,
)
from dsql.cli.options import add_expires_in_option
from dsql.control.access_keys import AccessKeyStore
from dsql.control.identities import AccessKey, AttachedPolicy, new_access_key
from dsql.iam.document import VERSIONS
from dsql.iam.request import mapped_identity

_EPILOG = """examples:
  dsql key create --user app --allow dsql:DbConnect
  dsql key create --user ops --policy policy.json --json
  dsql key create --role writer --allow dsql:DbConnect --expires-in 900
  dsql key disable AKIA..."""
_SESSION, _SESSION_SECONDS = "dsql-key", 3600


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = _EPILOG
    add_actions(parser, _ACTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out."""
    return run_action(_ACTIONS, arguments)


def _create(desk: Desk) -> int:
    arguments, owner = desk.arguments, desk.owner()
    if arguments.user:
        key = new_access_key(owner)
        desk.store.add(key, list(_policies(owner, arguments)))
    else:
        key = _session_of(desk, owner)
    return print_credentials(key, mapped_identity(key.principal), as_json=arguments.json)


def _session_of(desk: Desk, arn: str) -> AccessKey:
    """Begin a session of a role, which is made if need be."""
    with desk.store.changing() as identities:
        identities.ensure(arn)
        for policy in _policies(arn, desk.arguments):
            identities.put_policy(policy)
    role = desk.store.role(arn)
    assert role is not None, "it was made"
    return desk.store.begin_session(role, _SESSION, time.time(), desk.arguments.expires_in, "")


def _policies(owner: str, arguments: argparse.Namespace) -> Iterator[AttachedPolicy]:
    if arguments.policy is not None:
        yield AttachedPolicy(owner, arguments.policy.stem, read_policy(arguments.policy))
    if arguments.allow:
        statement = {"Effect": "Allow", "Action": arguments.allow, "Resource": "*"}
        yield AttachedPolicy(owner, "allow", {"Version": VERSIONS[0], "Statement": statement})


def _list(desk: Desk) -> int:
    identities = desk.store.identities()
    found = [(key, identities.policy_names_of(key.principal)) for key in identities.keys]
    if desk.arguments.json:
        members = [
            {
                "key": key.access_key_id,
                "active": key.active,
                "arn": key.principal,
                "policies": policies,
            }
            for key, policies in found
        ]
        return print_json({"keys": members})
    rows = (
        (key.access_key_id, "on" if key.active else "off", key.principal, " ".join(policies))
        for key, policies in found
    )
    return print_table(("key", "is", "of", "policies"), rows)


def _enable(desk: Desk) -> int:
    return _switch(desk, active=True)


def _disable(desk: Desk) -> int:
    return _switch(desk, active=False)


def _switch(desk: Desk, *, active: bool) -> int:
    desk.store.add(replace(_known(desk.store, desk.arguments.key), active=active))
    return 0


def _remove(desk: Desk) -> int:
    desk.store.remove(_known(desk.store, desk.arguments.key).access_key_id)
    return 0


def _known(store: AccessKeyStore, access_key_id: str) -> AccessKey:
    key = store.find(access_key_id)
    if key is None:
        raise CommandError(f"there is no access key {access_key_id!r}")
    return key


def _create_options(parser: argparse.ArgumentParser) -> None:
    add_owner(parser, required=True)
    add_expires_in_option(parser, _SESSION_SECONDS)
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="an identity policy, as AWS has them"
    )
    parser.add_argument(
        "--allow",
        action="append",
        metavar="ACTION",
        help="an action, such as dsql:DbConnect, on every cluster; may be repeated",
    )
    add_json(parser)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="the access key's id")


_ACTIONS = {
    "create": Action(
        _create, "Make a key for a user, or a session of a role, with policies", _create_options
    ),
    "list": Action(_list, "List all keys, and the policies of their users", add_json),
    "enable": Action(_enable, "Switch a key on again", _add_key),
    "disable": Action(_disable, "Switch a key off", _add_key),
    "remove": Action(_remove, "Remove a key; its user stays", _add_key),
}
