"""The `dsql` command: finds the subcommand's module, imports that one only, and runs it.

A subcommand's module has `configure(parser)`, which adds its options and examples, and
`run(arguments) -> int`, which returns the exit status. A `CommandError` ends with one line. Words after
`--` are another program's: a module that has one says so with `PASSES_ON`, and finds them in `passed_on`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Collection, Sequence
from types import ModuleType

from dsql.cli.errors import CommandError

# name -> (module, one line for --help)
COMMANDS = {
    "up": ("dsql.cli.up", "start a whole cluster on this host and keep it running"),
    "demo": ("dsql.cli.demo", "show a cluster at work: a shop, clients that buy, the console"),
    "init": ("dsql.cli.init", "make a data directory for roles that start alone"),
    "down": ("dsql.cli.down", "stop what `dsql up` started"),
    "status": ("dsql.cli.status", "show every role: zone, process, health, watermarks"),
    "usage": ("dsql.cli.usage", "show what a cluster has used: transactions, bytes, DPU"),
    "recover": ("dsql.cli.recover", "show each zone's log; choose one when most are lost"),
    "cluster": ("dsql.cli.cluster", "make, list, describe, protect and delete clusters"),
    "key": ("dsql.cli.key", "make, list, switch off and remove access keys"),
    "user": ("dsql.cli.user", "make, list and delete users"),
    "role": ("dsql.cli.role", "make, list, assume and delete roles, and end their sessions"),
    "policy": ("dsql.cli.policy", "write, attach and simulate policies"),
    "chaos": ("dsql.cli.chaos", "do a cluster harm, and measure how long its clients wait"),
    "psql": ("dsql.cli.psql", "open psql on a cluster, with a fresh token"),
    "env": ("dsql.cli.env", "print the variables that a program connects with, for a shell"),
    "token": ("dsql.cli.token", "print an authentication token"),
    "logs": ("dsql.cli.show_logs", "show what the roles have logged, and go on with -f"),
    "doctor": ("dsql.cli.doctor", "check whether this host has what a cluster needs"),
    "completion": ("dsql.cli.completion", "print completion for bash, zsh or fish"),
    "relay": ("dsql.cli.roles", "run a relay: TLS, authentication, hand-off"),
    "placement": ("dsql.cli.roles", "run the placement service"),
    "agent": ("dsql.cli.roles", "run a host agent: the pool of query processors"),
    "host": ("dsql.cli.roles", "run placement service and host agent in one process"),
    "control": ("dsql.cli.roles", "run the control plane: the AWS API for clusters"),
    "seed": ("dsql.cli.roles", "run a seed: it forks query processors for the agent"),
    "keeper": ("dsql.cli.roles", "run a keeper: it holds parked sessions while there is no agent"),
    "journal": ("dsql.cli.roles", "run the journal replicas of one zone"),
    "adjudicator": ("dsql.cli.roles", "run the adjudicators of one zone"),
    "storage": ("dsql.cli.roles", "run the storage replicas of one zone"),
    "az": ("dsql.cli.roles", "run journal, adjudicator and storage of one zone in one process"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 well, 1 failed, 2 misused."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = make_parser([word for word in words[:1] if word in COMMANDS])
    parsed = _parse(parser, words)
    if parsed.command is None:
        parser.print_help()
        return 2
    module = _module(parsed.command)
    try:
        status: int = module.run(parsed)
    except CommandError as error:
        print(f"dsql {parsed.command}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone
        return 1
    return status


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    passes_on = words[:1] and words[0] in COMMANDS and hasattr(_module(words[0]), "PASSES_ON")
    if not passes_on or "--" not in words:
        return parser.parse_args(words, argparse.Namespace(passed_on=[]))
    end = words.index("--")
    return parser.parse_args(words[:end], argparse.Namespace(passed_on=words[end + 1 :]))


def make_parser(configured: Collection[str]) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; the subcommands in `configured` have their options."""
    parser = argparse.ArgumentParser(
        prog="dsql",
        description="A self-hosted distributed SQL server with the architecture of Aurora DSQL.",
        epilog="examples:\n  dsql up\n  dsql psql\n  dsql status --json\n  dsql up --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in configured:
            _module(name).configure(command)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(COMMANDS[command][0])


if __name__ == "__main__":
    sys.exit(main())
