"""The options of `dsql relay`, `dsql az`, ... : what a role that starts alone can be told."""

from __future__ import annotations

import argparse
from functools import partial

from dsql.cli.options import (
    add_api_options,
    add_data_option,
    add_door_options,
    add_link_option,
    add_memory_option,
    add_park_option,
    add_processes_option,
    add_rate_options,
    parse_link,
    parse_listen,
    parse_name,
    parse_relay_name,
)
from dsql.control.clusters import DEFAULT_ACCOUNT, DEFAULT_REGION, PROFILES
from dsql.limits import CONNECTION_BURST, CONNECTION_RATE_PER_SECOND, CONNECTION_SECONDS_MAX

AGENT_DRAIN_SECONDS = 30.0
IN_A_ZONE = ("relay", "agent", "host", "journal", "adjudicator", "storage", "az")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of a role."""
    role = parser.prog.split()[-1]
    zone = " --az us-east-1a" if role in IN_A_ZONE else ""
    zone = " --azs us-east-1a us-east-1b us-east-1c" if role == "control" else zone
    parser.epilog = f"example:\n  dsql {role} --data .dsql{zone}"
    add_data_option(parser)
    parser.add_argument("--log-level", default="info", help="debug, info, warning or error")
    parser.add_argument("--ready-descriptor", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--supervisor", type=int, help=argparse.SUPPRESS)
    if role == "az":
        parser.add_argument(
            "--chaos", action="store_true", help="let `dsql chaos` cut the zone off"
        )
    if role in IN_A_ZONE:
        needed = role not in ("relay", "agent")
        parser.add_argument("--az", required=needed, default="", help="zone, e.g. us-east-1a")
    if role == "relay":
        _add_relay_options(parser)
    if role == "control":
        add_api_options(parser)
        parser.add_argument(
            "--relay",
            type=parse_listen,
            metavar="HOST:PORT",
            help="where the console's queries go (default: to the relays on this host)",
        )
        _add_cluster_options(parser)
    if role in ("placement", "agent", "host"):
        parser.epilog += f"\n  dsql {role} --data .dsql{zone} --link 10.0.0.1:5440"
        add_link_option(parser)
    if role in ("placement", "host"):
        add_rate_options(parser, CONNECTION_RATE_PER_SECOND, CONNECTION_BURST)
    if role in ("agent", "host"):
        _add_agent_options(parser)
    if role in ("agent", "host", "seed"):
        _add_names(parser, role)
    if role == "agent":
        _add_actions(
            parser,
            {
                "drain": "have the one that runs end in peace",
                "reseed": "have the next seed, with the code of then, replace all query processors",
            },
            AGENT_DRAIN_SECONDS,
            "it may take to give its sessions away",
        )


def _add_relay_options(parser: argparse.ArgumentParser) -> None:
    assert parser.epilog is not None
    parser.epilog += (
        "\n  dsql relay --data copy --az us-east-1a --listen 0.0.0.0:5432 --placement 10.0.0.1:5440"
    )
    parser.add_argument(
        "--listen", type=parse_listen, default="127.0.0.1:5432", help="HOST:PORT for clients"
    )
    parser.add_argument(
        "--placement",
        type=parse_link,
        metavar="ADDRESS:PORT",
        help="the link of the host that serves (default: this host serves)",
    )
    parser.add_argument(
        "--name", type=parse_relay_name, default="relay-1", help="its own among the relays"
    )
    add_door_options(parser)
    _add_actions(
        parser,
        {"drain": "have the one that runs end in peace"},
        CONNECTION_SECONDS_MAX,
        "sessions that it copies may go on",
    )


def _add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Add what new clusters are like."""
    parser.add_argument("--region", default=DEFAULT_REGION, help="default: %(default)s")
    parser.add_argument("--account", default=DEFAULT_ACCOUNT, help="default: %(default)s")
    parser.add_argument("--azs", nargs="+", required=True, metavar="AZ", help="their zones")
    parser.add_argument(
        "--profile", choices=PROFILES, default="dsql", help="of new clusters (default: dsql)"
    )


def _add_agent_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--warm", type=int, default=4, help="query processors kept ready")
    add_processes_option(parser)
    add_park_option(parser)
    add_memory_option(parser)
    parser.add_argument("--no-sandbox", action="store_true", help="do not confine query processors")


def _add_names(parser: argparse.ArgumentParser, role: str) -> None:
    """Add what tells the agents of one host, and their seeds, apart; `dsql host` has the first of each."""
    if role == "host":
        parser.set_defaults(name="agent", seed="seed")
        return
    parser.add_argument(
        "--name",
        type=partial(parse_name, role),
        default=role,
        help=f"its own, if there are several on this host: {role}-2 (default: %(default)s)",
    )
    if role == "agent":
        parser.add_argument(
            "--seed",
            type=partial(parse_name, "seed"),
            default="seed",
            metavar="NAME",
            help="the seed that forks for it, and for nobody else (default: %(default)s)",
        )


def _add_actions(
    parser: argparse.ArgumentParser, actions: dict[str, str], seconds: float, purpose: str
) -> None:
    texts = (f"{name}: {text}" for name, text in actions.items())
    parser.add_argument("action", nargs="?", choices=tuple(actions), help="; ".join(texts))
    parser.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        metavar="S",
        help=f"how long {purpose} in a drain (default: %(default)s)",
    )
