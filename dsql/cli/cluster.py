"""`dsql cluster`: clusters by way of the AWS API, as `aws dsql` has them, with fewer words.

It calls whatever the environment points at (`dsql up` writes the variables); without any, the installation
in --data, with its first key.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from dsql.cli.connecting import first_credentials
from dsql.cli.errors import CommandError
from dsql.cli.options import add_data_option
from dsql.control.layout import Layout
from dsql.control.running import control_address

_EPILOG = """examples:
  dsql cluster create --tag Name=orders --wait
  dsql cluster list --json | jq -r '.clusters[].identifier'
  dsql cluster update ID --no-deletion-protection && dsql cluster delete ID --wait"""
_WAITER = {"Delay": 1, "MaxAttempts": 120}
_ACTIVE, _GONE = "cluster_active", "cluster_not_exists"

Answer = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (_, summary, options) in _ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=f"{summary}.")
        add_data_option(action)
        action.add_argument("--json", action="store_true", help="print JSON instead of a table")
        options(action)


def run(arguments: argparse.Namespace) -> int:
    """Call the API and print what it answers."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = _client(arguments)
    call = _ACTIONS[arguments.action][0]
    try:
        answer = call(client, arguments)
    except ClientError as error:
        told = error.response["Error"]
        raise CommandError(f"{told['Code']}: {told['Message']}") from None
    except BotoCoreError as error:
        raise CommandError(str(error)) from None
    answer.pop("ResponseMetadata", None)
    print(json.dumps(answer, indent=2, default=str) if arguments.json else _table(answer))
    return 0


def _client(arguments: argparse.Namespace) -> Any:
    import boto3

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if os.environ.get("AWS_ENDPOINT_URL_DSQL"):
        return boto3.client("dsql", region_name=region)
    layout = Layout(arguments.data)
    address = control_address(layout)
    if address is None:
        raise CommandError(
            f"no AWS API was ever served from {arguments.data}: start it with dsql up"
        )
    key = first_credentials(layout)
    records = layout.cluster_identifiers()
    record = layout.read_cluster(records[0]) if records else None
    return boto3.client(
        "dsql",
        region_name=record.region if record is not None else region,
        endpoint_url=address[0],
        verify=str(layout.ca_certificate.absolute()),
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=key.session_token or None,
    )


def _create(client: Any, arguments: argparse.Namespace) -> Answer:
    given: Answer = {"deletionProtectionEnabled": arguments.deletion_protection is not False}
    if arguments.tag:
        given["tags"] = dict(arguments.tag)
    made: Answer = client.create_cluster(**given)
    if arguments.wait:
        client.get_waiter(_ACTIVE).wait(identifier=made["identifier"], WaiterConfig=_WAITER)
        made["status"] = "ACTIVE"
    return made


def _list(client: Any, _arguments: argparse.Namespace) -> Answer:
    found: Answer = client.get_paginator("list_clusters").paginate().build_full_result()
    return found


def _get(client: Any, arguments: argparse.Namespace) -> Answer:
    found: Answer = client.get_cluster(identifier=arguments.identifier)
    return found


def _update(client: Any, arguments: argparse.Namespace) -> Answer:
    changed: Answer = client.update_cluster(
        identifier=arguments.identifier, deletionProtectionEnabled=arguments.deletion_protection
    )
    return changed


def _delete(client: Any, arguments: argparse.Namespace) -> Answer:
    deleted: Answer = client.delete_cluster(identifier=arguments.identifier)
    if arguments.wait:
        client.get_waiter(_GONE).wait(identifier=arguments.identifier, WaiterConfig=_WAITER)
        deleted["status"] = "DELETED"
    return deleted


def _tag(client: Any, arguments: argparse.Namespace) -> Answer:
    arn = client.get_cluster(identifier=arguments.identifier)["arn"]
    if arguments.tags:
        client.tag_resource(resourceArn=arn, tags=dict(arguments.tags))
    if arguments.remove:
        client.untag_resource(resourceArn=arn, tagKeys=arguments.remove)
    found: Answer = client.list_tags_for_resource(resourceArn=arn)
    return found


def _wait(client: Any, arguments: argparse.Namespace) -> Answer:
    waiter = client.get_waiter(_GONE if arguments.gone else _ACTIVE)
    waiter.wait(identifier=arguments.identifier, WaiterConfig=_WAITER)
    status = "DELETED" if arguments.gone else "ACTIVE"
    return {"identifier": arguments.identifier, "status": status}


def _table(answer: Mapping[str, Any]) -> str:
    """Return lines for people: a list's members one a line, else a name and a value."""
    if "clusters" in answer:
        lines = [f"{'IDENTIFIER':<26}  ARN"]
        return "\n".join([*lines, *(f"{c['identifier']}  {c['arn']}" for c in answer["clusters"])])
    return "\n".join(f"{name:<26} {_shown(value)}" for name, value in answer.items())


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={member}" for name, member in value.items())
    return str(value)


def _parse_tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _add_identifier(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("identifier", metavar="ID", help="the cluster's identifier")


def _add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="return when it is done")


def _add_protection(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "--deletion-protection",
        action=argparse.BooleanOptionalAction,
        required=required,
        help="whether the cluster cannot be deleted",
    )


def _create_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tag", action="append", type=_parse_tag, metavar="KEY=VALUE", help="may be repeated"
    )
    _add_protection(parser)
    _add_wait(parser)


def _update_options(parser: argparse.ArgumentParser) -> None:
    _add_identifier(parser)
    _add_protection(parser, required=True)


def _delete_options(parser: argparse.ArgumentParser) -> None:
    _add_identifier(parser)
    _add_wait(parser)


def _tag_options(parser: argparse.ArgumentParser) -> None:
    _add_identifier(parser)
    parser.add_argument("tags", nargs="*", type=_parse_tag, metavar="KEY=VALUE", help="to set")
    parser.add_argument("--remove", action="append", metavar="KEY", help="may be repeated")


def _wait_options(parser: argparse.ArgumentParser) -> None:
    _add_identifier(parser)
    parser.add_argument("--gone", action="store_true", help="until it does not exist any more")


_Call = Callable[[Any, argparse.Namespace], Answer]
_Options = Callable[[argparse.ArgumentParser], None]
# name -> (what it does, one line for --help, its options)
_ACTIONS: dict[str, tuple[_Call, str, _Options]] = {
    "create": (_create, "Make a cluster", _create_options),
    "list": (_list, "List all clusters", lambda _: None),
    "get": (_get, "Describe a cluster", _add_identifier),
    "update": (_update, "Change a cluster", _update_options),
    "delete": (_delete, "Delete a cluster and all of its data", _delete_options),
    "tag": (_tag, "Set and remove tags, and show those that there are", _tag_options),
    "wait": (_wait, "Wait until a cluster is active, or gone", _wait_options),
}
