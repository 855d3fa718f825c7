"""`dsql up`: a whole cluster in three zones on this host, as separate processes under one supervisor.

One process per zone (journal replica, adjudicator, storage), one for placement service and agent, some
relays, one seed, and the query processors that the seed forks. All start at once; the command says
"ready" only after a real client connection has succeeded.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from dsql.chaos.cuts import allow_cuts, forbid_cuts
from dsql.cli.data_directory import claim
from dsql.cli.environment_file import Access, make_access
from dsql.cli.errors import CommandError, reason
from dsql.cli.first_connection import probe
from dsql.cli.logs import log_to_stderr
from dsql.cli.options import (
    add_api_options,
    add_data_option,
    add_door_options,
    add_link_option,
    add_memory_option,
    add_park_option,
    add_processes_option,
    add_rate_options,
    add_relays_option,
    check_plaintext,
    parse_listen,
)
from dsql.cli.supervisor import RoleFailedError, RoleSpec, Supervisor
from dsql.client.auth_token import Credentials
from dsql.control.layout import CLUSTER_FORMAT, ClusterRecord, Layout, RecordDamagedError
from dsql.control.resources import ACTIVE, read_resource
from dsql.control.running import CONSOLE_PATH, control_address, relay_names
from dsql.health.connection import make_door
from dsql.limits import CONNECTION_BURST, CONNECTION_RATE_PER_SECOND
from dsql.rpc.watchdog import HANG_SECONDS

START_SECONDS = 30.0
_MANUAL = Path(__file__).parents[2] / "docs" / "tutorial.md"  # of a checkout
_EPILOG = """examples:
  dsql up
  dsql up --data /var/lib/dsql --listen 0.0.0.0:5432 --profile postgres
  dsql up --data /var/lib/dsql --link 10.0.0.1:5440
  dsql up --env-file dsql.env --detach && set -a && . ./dsql.env && psql"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql up`."""
    parser.epilog = _EPILOG
    add_data_option(parser)
    parser.add_argument(
        "--listen",
        type=parse_listen,
        default="127.0.0.1:5432",
        metavar="HOST:PORT",
        help="where clients connect (default: %(default)s)",
    )
    add_new_cluster_options(parser)
    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="shell variables (default: DIR/env)"
    )
    add_rate_options(
        parser, None, CONNECTION_BURST, " (default: 100, as DSQL's; postgres profile: 0)"
    )
    add_relays_option(parser)
    add_link_option(parser)
    add_door_options(parser)
    add_api_options(parser)
    parser.add_argument("--no-api", action="store_true", help="serve no AWS API")
    parser.add_argument("--warm", type=int, default=4, help="query processors kept ready")
    add_processes_option(parser)
    add_park_option(parser)
    add_memory_option(parser)
    parser.add_argument("--no-sandbox", action="store_true", help="do not confine query processors")
    parser.add_argument("--log-level", default="info", help="debug, info, warning or error")
    parser.add_argument(
        "--hang-seconds",
        type=float,
        default=HANG_SECONDS,
        metavar="S",
        help="restart a role whose loop stands still for so long (default: %(default)s, 0: never)",
    )
    parser.add_argument("--chaos", action="store_true", help="let `dsql chaos` do it any harm")
    parser.add_argument("--detach", action="store_true", help="go on in the background")


def add_new_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Add what an installation's first cluster is made with."""
    parser.add_argument("--azs", type=int, default=3, choices=(1, 3), help="zones of a new cluster")
    parser.add_argument("--region", default="us-east-1", help="region of a new cluster")
    parser.add_argument(
        "--profile",
        choices=("dsql", "postgres"),
        help="of a new cluster: refuse what Aurora DSQL refuses (dsql, the default), or little",
    )
    parser.add_argument(
        "--allow-profile-change",
        action=argparse.BooleanOptionalAction,
        help="let sessions of the cluster choose the other profile with SET dsql.profile (default: as it "
        "was, at first no)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Start everything and run until SIGTERM or Ctrl-C."""
    arguments.data = arguments.data.absolute()
    if arguments.env_file is not None:
        arguments.env_file = arguments.env_file.absolute()
    if arguments.detach:
        return _detach(Layout(arguments.data).log("supervisor"))
    started = time.monotonic()
    layout = Layout(arguments.data)
    lock = claim(layout)
    try:
        check_plaintext(arguments)
        _check_port(arguments.listen)
        log_to_stderr("supervisor", "warning")
        return asyncio.run(_supervise(arguments, layout, started))
    finally:
        lock.release()


def _detach(log: Path) -> int:
    """Run the same command in the background, and return when it is ready or has failed.

    Its errors go to `log`: with our own stderr it would keep whoever reads that waiting for its end.
    """
    words = [word for word in sys.argv[1:] if word != "--detach"]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        errors = log.open("ab+")
    except OSError as error:
        raise CommandError(f"cannot write to {log}: {reason(error)}") from error
    with errors:
        before = errors.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dsql.cli.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="")
            if line.startswith("stop"):
                return 0
        status = process.wait()
        errors.seek(before)
        sys.stderr.write(errors.read().decode(errors="replace"))
        return status


def _check_port(listen: tuple[str, int]) -> None:
    host, port = listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(listen)
        except OSError as error:
            raise CommandError(
                f"cannot listen on {host}:{port}: {reason(error)}; choose another with --listen"
            ) from error


async def _supervise(arguments: argparse.Namespace, layout: Layout, started: float) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(layout.root, arguments.hang_seconds)
    stopped = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(_start(arguments, layout, supervisor))
    try:
        await asyncio.wait([stopped, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            _announce(starting.result(), arguments, layout, time.monotonic() - started)
            renewing = asyncio.create_task(renew_certificates(layout))
            await stopped
            renewing.cancel()
    except RoleFailedError as error:
        log = layout.log(error.name)
        raise CommandError(f"{error.name} did not start: {error.last_words} (see {log})") from None
    finally:
        starting.cancel()
        await supervisor.stop()
    return 0


async def _start(arguments: argparse.Namespace, layout: Layout, supervisor: Supervisor) -> Access:
    """Start every role, wait until a client can connect, write the environment file."""
    # The seed imports the most, and needs nothing of what comes next.
    supervisor.start([RoleSpec("seed", ("seed", "--log-level", arguments.log_level))])
    record, credentials = await asyncio.to_thread(prepare, arguments, layout)
    for name in (
        *relay_names(layout),
        "control",
    ):  # of those that ran before; there may have been more
        layout.socket(name).unlink(missing_ok=True)
    if arguments.no_api:
        layout.control_address.unlink(missing_ok=True)
    supervisor.start(_roles(arguments, record))
    await asyncio.wait_for(supervisor.wait_ready(), START_SECONDS)
    api = control_address(layout)
    access = make_access(
        record,
        arguments.listen,
        layout.ca_certificate,
        credentials,
        api="" if api is None else api[0],
    )
    where = (access.host, access.port)
    await probe(make_door(where, record.endpoint, access.authority, access.token), 10.0)
    access.write(arguments.env_file or layout.root / "env")
    return access


def prepare(arguments: argparse.Namespace, layout: Layout) -> tuple[ClusterRecord, Credentials]:
    """Make authority, access key, certificates and first cluster if they are not there.

    Raises CommandError if what is there cannot be used, or is not what the arguments ask for.
    """
    from dsql.control.access_keys import AccessKeyStore, ensure_first_key
    from dsql.control.authority import Authority, RootDamagedError, ensure_certificates
    from dsql.control.clusters import create_cluster, list_clusters, mend_records, write_record

    try:
        authority = Authority.open(layout)
    except RootDamagedError as error:
        raise CommandError(str(error)) from error
    (allow_cuts if arguments.chaos else forbid_cuts)(layout)
    try:
        mend_records(layout)
    except RecordDamagedError as error:
        raise CommandError(str(error)) from error
    clusters = [cluster for cluster in list_clusters(layout) if _is_active(layout, cluster)]
    if clusters:
        record = clusters[0]
        _check_format(record)
        if arguments.profile not in (None, record.profile):
            raise CommandError(f"cluster {record.identifier} has the profile {record.profile}", 2)
        if arguments.allow_profile_change not in (None, record.profile_changes):
            record.profile_changes = arguments.allow_profile_change
            write_record(layout, record)
    else:
        azs = [f"{arguments.region}{letter}" for letter in "abc"[: arguments.azs]]
        record = create_cluster(
            layout,
            authority,
            region=arguments.region,
            profile=arguments.profile or "dsql",
            profile_changes=bool(arguments.allow_profile_change),
            azs=azs,
        )
    ensure_certificates(layout, authority, datetime.datetime.now(datetime.UTC))
    try:
        key = ensure_first_key(AccessKeyStore(layout.access_keys), record.account)
    except OSError as error:
        raise CommandError(f"{layout.access_keys} {reason(error)}") from error
    return record, Credentials(key.access_key_id, key.secret_access_key)


def _is_active(layout: Layout, record: ClusterRecord) -> bool:
    try:
        resource = read_resource(layout, record.identifier)
    except msgspec.DecodeError as error:
        path = layout.resource(record.identifier)
        raise CommandError(
            f"{path} is damaged ({error}): put it back from a backup, or remove it, and the cluster's "
            "tags and policy with it"
        ) from None
    return resource is None or resource.status == ACTIVE


def _check_format(record: ClusterRecord) -> None:
    if record.format != CLUSTER_FORMAT:
        raise CommandError(
            f"cluster {record.identifier} is stored in format {record.format} and this dsql reads "
            f"format {CLUSTER_FORMAT}: serve it with the version that made it, or choose another --data"
        )


def _roles(arguments: argparse.Namespace, record: ClusterRecord) -> list[RoleSpec]:
    home = record.azs[0]
    level = ("--log-level", arguments.log_level)
    confinement = ("--no-sandbox",) if arguments.no_sandbox else ()
    chaos = ("--chaos",) if arguments.chaos else ()
    zones = [RoleSpec(f"{az}.az", ("az", "--az", az, *chaos, *level)) for az in record.azs]
    listen = ("--listen", _host_and_port(arguments.listen))
    names = [f"relay-{number}" for number in range(1, arguments.relays + 1)]
    door = (*listen, *_door_limits(arguments), *level)
    return [
        *zones,
        *([] if arguments.no_api else [_control_plane(arguments, record)]),
        RoleSpec("keeper", ("keeper", *level)),
        *(
            RoleSpec(name, ("relay", "--name", name, "--az", home, *door), serves_clients=True)
            for name in names
        ),
        RoleSpec(
            "host",
            (
                *("host", "--az", home, "--warm", str(arguments.warm)),
                *("--processes", str(arguments.processes), "--memory", str(arguments.memory)),
                *("--park-seconds", str(arguments.park_seconds)),
                *(("--link", _host_and_port(arguments.link)) if arguments.link else ()),
                *(*_rates(arguments, record), *confinement, *level),
            ),
            serves_clients=True,
        ),
    ]


def _control_plane(arguments: argparse.Namespace, record: ClusterRecord) -> RoleSpec:
    """New clusters are like the first one."""
    host, port = arguments.api
    words = (
        *("control", "--region", record.region, "--account", record.account),
        *("--azs", *record.azs, "--profile", record.profile),
        *("--clusters", str(arguments.clusters), "--log-level", arguments.log_level),
        *(("--api", _host_and_port((host, port))) if port else ()),
        *(("--plaintext",) if arguments.plaintext else ()),
    )
    return RoleSpec("control", words)


def _rates(arguments: argparse.Namespace, record: ClusterRecord) -> tuple[str, ...]:
    rate = arguments.connection_rate
    if rate is None:
        rate = CONNECTION_RATE_PER_SECOND if record.profile == "dsql" else 0
    return (
        *("--connection-rate", str(rate)),
        *("--connection-burst", str(arguments.connection_burst)),
    )


def _door_limits(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Divide what strangers may do among the relays: the kernel deals their connections out evenly.

    What holds for a cluster is not divided: placement keeps it for all.
    """

    def share(limit: int) -> str:
        return str(-(-limit // arguments.relays))

    return (
        *("--open-logins", share(arguments.open_logins)),
        *("--open-logins-per-address", share(arguments.open_logins_per_address)),
        *("--cancel-rate", share(arguments.cancel_rate)),
        *("--cancel-burst", share(arguments.cancel_burst)),
        *(("--metrics", _host_and_port(arguments.metrics)) if arguments.metrics else ()),
    )


def _host_and_port(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def renew_certificates(layout: Layout) -> None:
    """Make certificates anew before they end, for ever. Relays read the new files by themselves."""
    from dsql.control.authority import Authority, keep_fresh

    await keep_fresh(layout, Authority.open(layout))


def _announce(
    access: Access, arguments: argparse.Namespace, layout: Layout, seconds: float
) -> None:
    """Say what to do next, three lines of it, and then where things are."""
    from dsql.control.clusters import list_clusters

    record = access.record
    several = len(list_clusters(layout)) > 1
    console = f"{access.api}{CONSOLE_PATH} (sign in with the access key that dsql env prints)"
    print(
        f"ready in {seconds:.1f} s: cluster {record.identifier}, profile {record.profile}\n"
        f"\n"
        f"psql      {access.psql_command(layout.root, several=several)}\n"
        f"console   {console if access.api else 'none: --no-api was given'}\n"
        f"read on   {_MANUAL if _MANUAL.exists() else 'dsql --help'}\n"
        f"\n"
        f"endpoint  {record.endpoint} on {access.host}:{access.port}\n"
        f"AWS API   {access.api or 'none'}\n"
        f"variables {arguments.env_file or layout.root / 'env'}\n"
        f"logs      {layout.root / 'logs'}\n"
        f"stop      Ctrl-C here, or: dsql down --data {os.path.relpath(layout.root)}",
        flush=True,
    )
