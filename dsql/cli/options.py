"""Options that several commands have."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path

from dsql.cli.errors import CommandError, reason
from dsql.control.running import DEFAULT_HOST, DEFAULT_PORT
from dsql.limits import (
    CANCEL_BURST,
    CANCEL_RATE_PER_SECOND,
    CLUSTERS_MAX,
    OPEN_LOGINS_MAX,
    OPEN_LOGINS_PER_ADDRESS_MAX,
    PARK_SECONDS,
    PROCESS_MEMORY_BYTES_MAX,
    TOKEN_SECONDS_MAX,
)

DEFAULT_DATA = ".dsql"
MEBIBYTE = 1024 * 1024
_MEMORY_MIN = 128  # with less, statements that are within their own limits fail


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add --data."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(DEFAULT_DATA),
        metavar="DIR",
        help=f"data directory (default: ./{DEFAULT_DATA})",
    )


def add_cluster_argument(parser: argparse.ArgumentParser) -> None:
    """Add CLUSTER."""
    parser.add_argument(
        "cluster", nargs="?", default="", metavar="CLUSTER", help="needed if there are several"
    )


def add_expires_in_option(parser: argparse.ArgumentParser, seconds: int) -> None:
    """Add --expires-in of a token, with its default."""
    parser.add_argument(
        "--expires-in",
        type=number_within(1, TOKEN_SECONDS_MAX),
        default=seconds,
        metavar="SECONDS",
        help=f"1 to {TOKEN_SECONDS_MAX}, default: {seconds}",
    )


def enter_data(directory: Path) -> None:
    """Make the data directory the working one, as all roles have it."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise CommandError(f"cannot use {directory}: {reason(error)}") from error


def add_rate_options(
    parser: argparse.ArgumentParser, rate: int | None, burst: int, help_suffix: str = ""
) -> None:
    """Add the limits of new connections, with their defaults."""
    parser.add_argument(
        "--connection-rate",
        type=_parse_count,
        default=rate,
        metavar="N",
        help=f"new connections per second and cluster, 0 for no limit{help_suffix}",
    )
    parser.add_argument(
        "--connection-burst",
        type=_parse_count,
        default=burst,
        metavar="N",
        help="how many connections may come at once before that (default: %(default)s)",
    )


def add_door_options(parser: argparse.ArgumentParser) -> None:
    """Add the limits of what strangers may do before they are let in."""
    for name, default, text in (
        ("--open-logins", OPEN_LOGINS_MAX, "logins in progress, beyond which the oldest ones end"),
        ("--open-logins-per-address", OPEN_LOGINS_PER_ADDRESS_MAX, "the same for one address"),
        ("--cancel-rate", CANCEL_RATE_PER_SECOND, "cancellations per second and address"),
        ("--cancel-burst", CANCEL_BURST, "how many cancellations may come at once before that"),
    ):
        parser.add_argument(
            name,
            type=_parse_limit,
            default=default,
            metavar="N",
            help=f"{text} (default: {default})",
        )
    parser.add_argument(
        "--metrics",
        type=parse_listen,
        metavar="HOST:PORT",
        help="where Prometheus may fetch counters and health, as /metrics (default: nowhere)",
    )


def add_api_options(parser: argparse.ArgumentParser) -> None:
    """Add where the control plane's API is, and what bounds it."""
    parser.add_argument(
        "--api",
        type=parse_endpoint,
        default="",
        metavar="HOST:PORT",
        help="where the AWS API is served (default: 127.0.0.1, at the port of last time, or a free one)",
    )
    parser.add_argument(
        "--plaintext", action="store_true", help="serve the AWS API as http, on this host only"
    )
    parser.add_argument(
        "--clusters",
        type=_parse_limit,
        default=CLUSTERS_MAX,
        metavar="N",
        help="how many clusters there may be (default: %(default)s, as DSQL's)",
    )


def check_plaintext(arguments: argparse.Namespace) -> None:
    """Raises CommandError if requests would go over a network in the clear."""
    host = arguments.api[0]
    if arguments.plaintext and host != "localhost" and not _is_loopback(host):
        raise CommandError(f"--plaintext is for this host only, and {host} is not", 2)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_endpoint(text: str) -> tuple[str, int]:
    """Return (host, port) of `HOST:PORT` as `parse_listen` does; without a port it is 0: any."""
    if not text:
        return DEFAULT_HOST, 0
    return parse_listen(text)


def add_link_option(parser: argparse.ArgumentParser) -> None:
    """Add --link."""
    parser.add_argument(
        "--link",
        type=parse_link,
        metavar="ADDRESS:PORT",
        help="where relays of other hosts reach this one (default: nowhere)",
    )


def parse_link(text: str) -> tuple[str, int]:
    """Return (IP address, port): both have to be said, because other hosts are told them."""
    host, port = parse_listen(text)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{host!r} is no IP address") from None
    if address.is_unspecified or ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not what another host could connect to")
    return host, port


def add_memory_option(parser: argparse.ArgumentParser) -> None:
    """Add --memory."""
    parser.add_argument(
        "--memory",
        type=_parse_memory,
        default=PROCESS_MEMORY_BYTES_MAX // MEBIBYTE,
        metavar="MIB",
        help="memory beyond which a query processor's allocations fail (default: %(default)s)",
    )


def add_processes_option(parser: argparse.ArgumentParser) -> None:
    """Add --processes."""
    parser.add_argument(
        "--processes",
        type=_parse_limit,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="query processors that share a cluster's sessions (default: one for each processor)",
    )


def add_park_option(parser: argparse.ArgumentParser) -> None:
    """Add --park-seconds."""
    parser.add_argument(
        "--park-seconds",
        type=_parse_seconds,
        default=PARK_SECONDS,
        metavar="SECONDS",
        help="silence after which a session leaves its query processor, 0: at once (default: %(default)s)",
    )


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def number_within(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number of at least `least`, and at most `most`, for argparse."""
    wanted = f"a number from {least}" + ("" if most is None else f" to {most}")

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return int(text)

    return parse


def _parse_memory(text: str) -> int:
    count = _parse_count(text)
    if count < _MEMORY_MIN:
        raise argparse.ArgumentTypeError(f"must be at least {_MEMORY_MIN}")
    return count


def _parse_limit(text: str) -> int:
    count = _parse_count(text)
    if not count:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


def _parse_count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def parse_relay_name(text: str) -> str:
    """Return the name of a relay, which is that of its socket: relay-N."""
    if not re.fullmatch(r"relay-[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not relay-N")
    return text


def parse_name(role: str, text: str) -> str:
    """Return the name of an agent or a seed, which is that of its socket: ROLE or ROLE-N."""
    if not re.fullmatch(rf"{role}(-[0-9]{{1,3}})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither {role} nor {role}-N")
    return text


def add_relays_option(parser: argparse.ArgumentParser) -> None:
    """Add --relays."""
    parser.add_argument(
        "--relays",
        type=_parse_limit,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="relays that share the port (default: one for each processor)",
    )


def parse_listen(text: str) -> tuple[str, int]:
    """Return (host, port) of `HOST:PORT`, `[V6]:PORT`, `:PORT`, `PORT` or `HOST`.

    >>> parse_listen("[::1]:5433"), parse_listen("5433")
    (('::1', 5433), ('127.0.0.1', 5433))
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = ("", text) if text.isdigit() else (text, str(DEFAULT_PORT))
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host or DEFAULT_HOST, int(port)
