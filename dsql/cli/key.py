"""`dsql key`: access keys of the installation's users, and the policies that say what those may do.

It works on the data directory itself, for whoever may write there; relays and control plane notice at once.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dsql.cli.errors import CommandError, reason
from dsql.cli.options import add_data_option, add_expires_in_option
from dsql.control.access_keys import AccessKeyStore
from dsql.control.clusters import DEFAULT_ACCOUNT, list_clusters
from dsql.control.identities import AccessKey, AttachedPolicy, IdentityError, new_access_key
from dsql.control.layout import Layout
from dsql.iam.document import VERSIONS, MalformedPolicyError
from dsql.iam.request import mapped_identity

_EPILOG = """examples:
  dsql key create --user app --allow dsql:DbConnect
  dsql key create --user ops --policy policy.json --json
  dsql key create --role writer --allow dsql:DbConnect --expires-in 900
  dsql key disable AKIA..."""
_SESSION, _SESSION_SECONDS = "dsql-key", 3600
_USER = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (_, summary) in _ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=f"{summary}.")
        add_data_option(action)
        if name in ("create", "list"):
            action.add_argument("--json", action="store_true", help="print JSON")
        else:
            action.add_argument("key", metavar="KEY", help="the access key's id")
        if name == "create":
            _add_policy_options(action)


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out."""
    layout = Layout(arguments.data)
    if not layout.access_keys.exists():
        raise CommandError(f"there is no installation in {arguments.data}; make one with `dsql up`")
    try:
        _ACTIONS[arguments.action][0](layout, AccessKeyStore(layout.access_keys), arguments)
    except IdentityError as error:
        raise CommandError(str(error)) from None
    except MalformedPolicyError as error:
        raise CommandError(f"this is no policy: {error}") from None
    except OSError as error:
        raise CommandError(f"cannot use {error.filename}: {reason(error)}") from error
    return 0


def _create(layout: Layout, store: AccessKeyStore, arguments: argparse.Namespace) -> None:
    account = next((cluster.account for cluster in list_clusters(layout)), DEFAULT_ACCOUNT)
    if arguments.user:
        key = new_access_key(f"arn:aws:iam::{account}:user/{arguments.user}")
        store.add(key, list(_policies(key.principal, arguments)))
    else:
        role = f"arn:aws:iam::{account}:role/{arguments.role}"
        key = _session_of(store, role, arguments)
    owner = mapped_identity(key.principal)
    shown = {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        **({"AWS_SESSION_TOKEN": key.session_token} if key.session_token else {}),
    }
    if arguments.json:
        print(json.dumps(shown | {"arn": owner}, indent=2))
    else:
        print("".join(f"export {name}={value}\n" for name, value in shown.items()), end="")


def _session_of(store: AccessKeyStore, arn: str, arguments: argparse.Namespace) -> AccessKey:
    """Begin a session of a role, which is made if need be."""
    with store.changing() as identities:
        identities.ensure(arn)
        for policy in _policies(arn, arguments):
            identities.put_policy(policy)
    role = store.role(arn)
    assert role is not None, "it was made"
    return store.begin_session(role, _SESSION, time.time(), arguments.expires_in, "")


def _policies(owner: str, arguments: argparse.Namespace) -> Iterator[AttachedPolicy]:
    if arguments.policy is not None:
        yield AttachedPolicy(owner, arguments.policy.stem, _read(arguments.policy))
    if arguments.allow:
        statement = {"Effect": "Allow", "Action": arguments.allow, "Resource": "*"}
        yield AttachedPolicy(owner, "allow", {"Version": VERSIONS[0], "Statement": statement})


def _list(_layout: Layout, store: AccessKeyStore, arguments: argparse.Namespace) -> None:
    identities = store.identities()
    keys = [
        {
            "key": key.access_key_id,
            "active": key.active,
            "arn": key.principal,
            "policies": [name for name, _ in identities.policies_of(key.principal)],
        }
        for key in store.keys()  # noqa: SIM118 - it is no mapping
    ]
    if arguments.json:
        print(json.dumps({"keys": keys}, indent=2))
        return
    for key in keys:
        state = "on" if key["active"] else "off"
        print(f"{key['key']}  {state:<3}  {key['arn']}  {' '.join(key['policies'])}")  # type: ignore[arg-type]


def _enable(_layout: Layout, store: AccessKeyStore, arguments: argparse.Namespace) -> None:
    store.add(replace(_known(store, arguments.key), active=True))


def _disable(_layout: Layout, store: AccessKeyStore, arguments: argparse.Namespace) -> None:
    store.add(replace(_known(store, arguments.key), active=False))


def _remove(_layout: Layout, store: AccessKeyStore, arguments: argparse.Namespace) -> None:
    store.remove(_known(store, arguments.key).access_key_id)


def _known(store: AccessKeyStore, access_key_id: str) -> AccessKey:
    key = store.find(access_key_id)
    if key is None:
        raise CommandError(f"there is no access key {access_key_id!r}")
    return key


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}") from None


def _add_policy_options(parser: argparse.ArgumentParser) -> None:
    owner = parser.add_mutually_exclusive_group(required=True)
    owner.add_argument("--user", type=_parse_user, help="whose it is")
    owner.add_argument(
        "--role", type=_parse_user, help="make credentials of a session of this role instead"
    )
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


def _parse_user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a name")
    return text


# name -> (what it does, one line for --help)
_ACTIONS: dict[str, tuple[Callable[[Layout, AccessKeyStore, argparse.Namespace], None], str]] = {
    "create": (_create, "Make a key for a user, with policies that are added to the user's"),
    "list": (_list, "List all keys, and the policies of their users"),
    "enable": (_enable, "Switch a key on again"),
    "disable": (_disable, "Switch a key off"),
    "remove": (_remove, "Remove a key; its user stays"),
}
