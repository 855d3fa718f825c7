"""`dsql user`: the installation's users, to whom access keys and policies belong."""

from __future__ import annotations

import argparse
import time

from dsql.cli.identity import (
    Action,
    Desk,
    add_actions,
    add_attach,
    add_json,
    add_name,
    moment,
    print_json,
    print_table,
    run_action,
)
from dsql.control.identities import User, new_access_key

_EPILOG = """examples:
  dsql user create app && dsql policy attach connects --user app
  dsql user create ops --key --json
  dsql user list
  dsql user delete app"""


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
        user = identities.create_user(desk.account, arguments.name, time.time())
        for policy in arguments.attach or ():
            identities.attach(policy, user.arn)
        key = new_access_key(user.arn) if arguments.key else None
        if key is not None:
            identities.put_key(key)
    shown = {"name": user.name, "arn": user.arn, "id": user.identifier}
    if key is not None:
        shown["AWS_ACCESS_KEY_ID"] = key.access_key_id
        shown["AWS_SECRET_ACCESS_KEY"] = key.secret_access_key
    return _show(shown, as_json=arguments.json)


def _list(desk: Desk) -> int:
    identities = desk.store.identities()

    def keys_of(user: User) -> list[str]:
        return [key.access_key_id for key in identities.keys if key.principal == user.arn]

    if desk.arguments.json:
        members = [
            {
                "name": user.name,
                "arn": user.arn,
                "id": user.identifier,
                "createdAt": user.created_at,
                "keys": keys_of(user),
                "policies": identities.policy_names_of(user.arn),
            }
            for user in identities.users
        ]
        return print_json({"users": members})
    rows = (
        (
            user.name,
            moment(user.created_at),
            " ".join(keys_of(user)),
            " ".join(identities.policy_names_of(user.arn)),
        )
        for user in identities.users
    )
    return print_table(("name", "created (UTC)", "keys", "policies"), rows)


def _delete(desk: Desk) -> int:
    with desk.store.changing() as identities:
        identities.delete_owner(desk.arn("user", desk.arguments.name))
    return 0


def _show(shown: dict[str, str], *, as_json: bool) -> int:
    if as_json:
        return print_json(shown)
    for name, value in shown.items():
        print(f"{name:<22} {value}")
    return 0


def _create_options(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_attach(parser)
    parser.add_argument(
        "--key", action="store_true", help="make an access key as well, and print it"
    )
    add_json(parser)


_ACTIONS = {
    "create": Action(_create, "Make a user", _create_options),
    "list": Action(_list, "List all users, with their keys and policies", add_json),
    "delete": Action(_delete, "Delete a user, with its keys and inline policies", add_name),
}
