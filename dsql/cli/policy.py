"""`dsql policy`: AWS's policy documents, and what they would decide.

A policy is managed, and attached to users and roles, or with --user or --role it is that one's own.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import time
from pathlib import Path

from dsql.cli.errors import CommandError
from dsql.cli.identity import (
    Action,
    Desk,
    add_actions,
    add_json,
    add_name,
    add_owner,
    print_json,
    print_table,
    read_policy,
    run_action,
)
from dsql.control.identities import AccessKey, AttachedPolicy, Identities, ManagedPolicy
from dsql.control.resources import arn_of, read_resource, resource_policy
from dsql.iam.request import AccessRequest, request_context

_EPILOG = """examples:
  dsql policy put connects policy.json && dsql policy attach connects --user app
  dsql policy put office policy.json --role writer
  dsql policy list --user app
  dsql policy simulate dsql:DbConnect --user app --db-user app --source-ip 10.0.0.7"""
_DENIED = 1
_ANY = "*"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = _EPILOG
    add_actions(parser, _ACTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out."""
    return run_action(_ACTIONS, arguments)


def _put(desk: Desk) -> int:
    arguments, owner = desk.arguments, desk.owner()
    document = read_policy(arguments.file)
    with desk.store.changing() as identities:
        if owner:
            identities.put_policy(AttachedPolicy(owner, arguments.name, document))
        else:
            identities.put_managed(ManagedPolicy(arguments.name, document))
    return 0


def _get(desk: Desk) -> int:
    owner, name = desk.owner(), desk.arguments.name
    identities = desk.store.identities()
    found = (
        identities.policies_of(owner)
        if owner
        else [(policy.name, policy.document) for policy in identities.managed]
    )
    document = dict(found).get(name)
    if document is None:
        raise CommandError(f"there is no policy {name!r}")
    return print_json(document)


def _list(desk: Desk) -> int:
    identities, owner = desk.store.identities(), desk.owner()
    if owner:
        identities.owner(owner)
    found = [one for one in _all(identities) if not owner or owner in one[2]]
    if desk.arguments.json:
        names = ("name", "kind", "holders")
        members = [dict(zip(names, one, strict=True)) for one in found]
        return print_json({"policies": members})
    rows = ((name, kind, " ".join(holders)) for name, kind, holders in found)
    return print_table(("name", "kind", "of"), rows)


def _all(identities: Identities) -> list[tuple[str, str, list[str]]]:
    """Return name, kind and holders of every policy."""
    managed = [
        (one.name, "managed", [o.arn for o in identities.owners() if one.name in o.attached])
        for one in identities.managed
    ]
    return managed + [(one.name, "inline", [one.principal]) for one in identities.policies]


def _delete(desk: Desk) -> int:
    with desk.store.changing() as identities:
        identities.delete_policy(desk.arguments.name, desk.owner())
    return 0


def _attach(desk: Desk) -> int:
    with desk.store.changing() as identities:
        identities.attach(desk.arguments.name, desk.owner())
    return 0


def _detach(desk: Desk) -> int:
    with desk.store.changing() as identities:
        identities.detach(desk.arguments.name, desk.owner())
    return 0


def _simulate(desk: Desk) -> int:
    """Print what would be decided; the status is 0 if it is allowed, else 1."""
    arguments, owner = desk.arguments, desk.owner()
    desk.store.identities().owner(owner)
    resource = read_resource(desk.layout, arguments.cluster) if arguments.cluster else None
    if arguments.cluster and resource is None:
        raise CommandError(f"there is no cluster {arguments.cluster!r}", 2)
    context = request_context(
        {} if resource is None else resource.tags, arguments.source_ip or "", time.time()
    )
    if arguments.db_user:
        context["dsql:dbuser"] = (arguments.db_user,)
    context |= {key.lower(): (value,) for key, value in arguments.context or ()}
    region = "" if resource is None else resource.region
    arn = _ANY if resource is None else arn_of(region, desk.account, resource.identifier)
    request = AccessRequest(owner, arguments.permission, arn, context)
    decision = desk.store.decide(AccessKey("", "", owner), request, resource_policy(resource))
    reason = "" if decision.allowed else decision.message(request)
    if arguments.json:
        print(json.dumps({"allowed": decision.allowed, "reason": reason}, indent=2))
    else:
        print("allowed" if decision.allowed else f"denied: {reason}")
    return 0 if decision.allowed else _DENIED


def _named_options(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_owner(parser, required=False)


def _put_options(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="an identity policy, as AWS has them"
    )
    add_owner(parser, required=False)


def _list_options(parser: argparse.ArgumentParser) -> None:
    add_owner(parser, required=False)
    add_json(parser)


def _attach_options(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_owner(parser, required=True)


def _simulate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("permission", metavar="PERMISSION", help="such as dsql:DbConnect")
    add_owner(parser, required=True)
    parser.add_argument("--cluster", default="", metavar="ID", help="on this one, with its policy")
    parser.add_argument(
        "--db-user", default="", metavar="NAME", help="as this user of the database"
    )
    parser.add_argument("--source-ip", type=_parse_address, metavar="IP", help="from there")
    parser.add_argument(
        "--context",
        action="append",
        type=_parse_pair,
        metavar="KEY=VALUE",
        help="another condition key; may be repeated",
    )
    add_json(parser)


def _parse_pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _parse_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IP address") from None


_ACTIONS = {
    "put": Action(_put, "Make a policy, or give it another document", _put_options),
    "get": Action(_get, "Print a policy", _named_options),
    "list": Action(_list, "List policies, and whose they are", _list_options),
    "delete": Action(_delete, "Delete a policy", _named_options),
    "attach": Action(_attach, "Attach a managed policy to a user or role", _attach_options),
    "detach": Action(_detach, "Take a managed policy from a user or role", _attach_options),
    "simulate": Action(
        _simulate, "Say whether a user or role may do something, and why not", _simulate_options
    ),
}
