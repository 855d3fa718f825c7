"""What `dsql user`, `role`, `policy` and `key` have in common.

They work on the data directory itself, for whoever may write there; relays and control plane notice at
once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dsql.cli.errors import CommandError, reason
from dsql.cli.options import add_data_option
from dsql.control.access_keys import AccessKeyStore
from dsql.control.clusters import DEFAULT_ACCOUNT, list_clusters
from dsql.control.identities import NAME, AccessKey, IdentityError, owner_arn
from dsql.control.layout import Layout
from dsql.iam.document import MalformedPolicyError, read_document


class Desk(NamedTuple):
    """An installation's identities, and what the user has said."""

    layout: Layout
    store: AccessKeyStore
    arguments: argparse.Namespace

    @property
    def account(self) -> str:
        """The account of the installation's clusters."""
        found = (cluster.account for cluster in list_clusters(self.layout))
        return next(found, DEFAULT_ACCOUNT)

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a `user` or `role`."""
        return owner_arn(self.account, kind, name)

    def owner(self) -> str:
        """Return the ARN that --user or --role means, "" for neither."""
        arguments = self.arguments
        if arguments.user:
            return self.arn("user", arguments.user)
        return self.arn("role", arguments.role) if arguments.role else ""


class Action(NamedTuple):
    """One word behind the command: what it does and returns as its status, its line, its options."""

    run: Callable[[Desk], int]
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]


def add_actions(parser: argparse.ArgumentParser, actions: Mapping[str, Action]) -> None:
    """Add the words of a command, with their options."""
    words = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, action in actions.items():
        found = words.add_parser(name, help=action.summary, description=f"{action.summary}.")
        add_data_option(found)
        action.add_options(found)


def run_action(actions: Mapping[str, Action], arguments: argparse.Namespace) -> int:
    """Carry out the word that was given. Raises CommandError."""
    layout = Layout(arguments.data)
    if not layout.access_keys.exists():
        raise CommandError(f"there is no installation in {arguments.data}; make one with `dsql up`")
    with reporting():
        store = AccessKeyStore(layout.access_keys)
        return actions[arguments.action].run(Desk(layout, store, arguments))


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Turn what cannot be into a line for the user."""
    try:
        yield
    except IdentityError as error:
        raise CommandError(str(error)) from None
    except MalformedPolicyError as error:
        raise CommandError(f"this is no policy: {error}") from None
    except OSError as error:
        raise CommandError(f"cannot use {error.filename}: {reason(error)}") from error


def read_policy(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file is. Raises CommandError, MalformedPolicyError."""
    found = read_document(path.read_bytes())
    if not isinstance(found, dict):
        raise CommandError(f"{path} is no policy: it is no JSON object")
    return found


def print_json(value: object) -> int:
    """Print for programs."""
    print(json.dumps(value, indent=2))
    return 0


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Print for people: columns as wide as what is in them."""
    lines = [tuple(name.upper() for name in names), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def print_credentials(key: AccessKey, arn: str, *, as_json: bool) -> int:
    """Print a key for a shell to read, or for a program."""
    shown = {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        **({"AWS_SESSION_TOKEN": key.session_token} if key.session_token else {}),
    }
    if as_json:
        return print_json(shown | {"arn": arn})
    print("".join(f"export {name}={value}\n" for name, value in shown.items()), end="")
    return 0


def moment(seconds: float) -> str:
    """Return a time as people read it; nothing for one that nobody knows."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) if seconds else "-"


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add NAME."""
    parser.add_argument("name", metavar="NAME", type=parse_name, help="its name")


def add_attach(parser: argparse.ArgumentParser) -> None:
    """Add --attach."""
    parser.add_argument(
        "--attach",
        action="append",
        type=parse_name,
        metavar="POLICY",
        help="a managed policy to attach; may be repeated",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_owner(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add --user and --role, of which one is given."""
    owner = parser.add_mutually_exclusive_group(required=required)
    owner.add_argument("--user", type=parse_name, metavar="NAME", help="whose it is")
    owner.add_argument("--role", type=parse_name, metavar="NAME", help="the same for a role")


def parse_name(text: str) -> str:
    """Return what can be a name. Raises ArgumentTypeError."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a name")
    return text
