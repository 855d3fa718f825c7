"""Running one role in this process: `dsql relay`, `dsql az`, ... and `dsql seed`.

A role works in the data directory, logs JSON lines to stderr and ends on SIGTERM. Under a supervisor it
tells a pipe when it is ready and, from then on, that its loop turns, and ends when the supervisor does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dsql.cli.drain import drain_agent, drain_relay, reseed
from dsql.cli.errors import CommandError
from dsql.cli.heart import Heart
from dsql.cli.logs import log_to_stderr
from dsql.cli.options import MEBIBYTE, check_plaintext, enter_data
from dsql.cli.role_options import configure
from dsql.control.layout import Layout
from dsql.limits import CONNECTIONS_MAX
from dsql.rpc.process import start_sentinels
from placement.kernel import die_with_parent, set_name, step_back

if TYPE_CHECKING:
    from dsql.rpc.link_server import LinkServer

__all__ = ["configure", "run"]

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0  # for logins in progress at the end
# A storm of logins takes a fifth of a busy processor and not half of it: sessions go before strangers.
RELAY_STEPS_BACK = 7
DESCRIPTORS_MAX = 1_048_576
DESCRIPTORS_NEEDED = CONNECTIONS_MAX + 2_000  # the agent holds a socket for every parked session
Ready = Callable[[], None]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Service = Callable[[argparse.Namespace, Layout, Ready], Coroutine[None, None, None]]


async def _relay(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    from relay.front_door import Settings
    from relay.server import serve

    step_back(RELAY_STEPS_BACK)
    host, port = arguments.listen
    settings = Settings(
        name=arguments.name,
        az=arguments.az,
        drain_seconds=DRAIN_SECONDS,
        open_logins_max=arguments.open_logins,
        open_logins_per_address_max=arguments.open_logins_per_address,
        cancel_rate=arguments.cancel_rate,
        cancel_burst=arguments.cancel_burst,
        metrics_at=arguments.metrics,
        placement_at=arguments.placement,
    )
    await serve(layout, host, port, settings=settings, on_ready=on_ready)


async def _placement(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    with _link(arguments, layout) as link:
        await _serve_placement(arguments, layout, link, on_ready)


async def _agent(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    with _link(arguments, layout) as link:
        await _serve_agent(arguments, layout, link, on_ready)


async def _host(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    with _link(arguments, layout) as link:
        await _together(
            on_ready,
            lambda ready: _serve_placement(arguments, layout, link, ready),
            lambda ready: _serve_agent(arguments, layout, link, ready),
        )


@contextlib.contextmanager
def _link(arguments: argparse.Namespace, layout: Layout) -> Iterator[LinkServer | None]:
    """Listen for other hosts, if they may come. Raises OSError."""
    from dsql.rpc.link_server import LinkServer

    if arguments.link is None:
        yield None
        return
    with contextlib.closing(LinkServer(arguments.link, layout.link)) as server:
        yield server


async def _serve_placement(
    arguments: argparse.Namespace, layout: Layout, link: LinkServer | None, on_ready: Ready
) -> None:
    from placement.server import serve

    await serve(
        layout,
        connection_rate=arguments.connection_rate,
        connection_burst=arguments.connection_burst,
        link=link,
        on_ready=on_ready,
    )


async def _serve_agent(
    arguments: argparse.Namespace, layout: Layout, link: LinkServer | None, on_ready: Ready
) -> None:
    from placement.agent import serve
    from placement.agent_settings import AgentSettings
    from placement.pool_settings import PoolSettings

    settings = AgentSettings(
        name=arguments.name,
        seed=arguments.seed,
        az=arguments.az,
        sandbox=not arguments.no_sandbox,
        memory_bytes=arguments.memory * MEBIBYTE,
        park_seconds=arguments.park_seconds,
        pool=PoolSettings(warm=arguments.warm, processes_per_cluster=arguments.processes),
    )
    await serve(layout, settings, link=link, on_ready=on_ready)


async def _control(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    from control_plane.plane import Settings
    from control_plane.server import Address, serve

    settings = Settings(
        region=arguments.region,
        account=arguments.account,
        azs=tuple(arguments.azs),
        profile=arguments.profile,
        clusters_max=arguments.clusters,
    )
    check_plaintext(arguments)
    host, port = arguments.api
    address = Address(host, port, not arguments.plaintext, arguments.relay)
    await serve(layout, settings, address, on_ready)


async def _journal(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    from journal.server import serve

    await serve(layout, arguments.az, on_ready)


async def _adjudicator(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    from adjudicator.server import serve
    from storage.use import SocketUse

    storage = SocketUse(layout.socket(f"{arguments.az}.storage"))
    await serve(layout, arguments.az, on_ready, sentinels=start_sentinels(), storage=storage)


async def _storage(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    from storage.server import serve

    await serve(layout, arguments.az, on_ready)


async def _az(arguments: argparse.Namespace, layout: Layout, on_ready: Ready) -> None:
    """The zone's journal replica is shared within the loop: no socket lies between it and its readers."""
    from adjudicator import server as adjudicator
    from journal import server as journal
    from storage import server as storage

    az = arguments.az
    log = journal.JournalServer(layout, az)
    rows = storage.make_server(layout, az, log)
    await _together(
        on_ready,
        lambda ready: journal.serve(layout, az, ready, log),
        lambda ready: storage.serve(layout, az, ready, rows),
        lambda ready: adjudicator.serve(layout, az, ready, log, log, start_sentinels(), rows),
    )


SERVICES: dict[str, Service] = {
    "relay": _relay,
    "placement": _placement,
    "agent": _agent,
    "host": _host,
    "control": _control,
    "journal": _journal,
    "adjudicator": _adjudicator,
    "storage": _storage,
    "az": _az,
}


async def _together(on_ready: Ready, *services: Callable[[Ready], Awaitable[None]]) -> None:
    """Run services in one event loop until one of them ends; ready when all of them are.

    They end one after the other, the last one first: it may need the others for that.
    """
    waiting = len(services)

    def ready() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            on_ready()

    running = [asyncio.ensure_future(service(ready)) for service in services]
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            ended.result()
    finally:
        for service in reversed(running):
            service.cancel()
            await asyncio.gather(service, return_exceptions=True)


def run(arguments: argparse.Namespace) -> int:
    """Run the role until SIGTERM."""
    role = arguments.command
    if getattr(arguments, "action", None) is not None:
        return _tell(arguments)
    name = _name(arguments)
    set_name(f"dsql: {role}")
    log_to_stderr(name, arguments.log_level)
    if arguments.supervisor is not None:
        _follow(arguments.supervisor)
    enter_data(arguments.data)
    _allow_descriptors()
    layout = Layout(Path())
    descriptor = arguments.ready_descriptor
    heart = None if descriptor is None else Heart(descriptor)
    if role == "seed":
        _run_seed(layout, heart, arguments.name)
        return 0
    if role == "keeper":
        _run_keeper(layout, heart)
        return 0

    def on_ready() -> None:
        _say_ready(descriptor)
        if heart is not None:
            heart.beat_on(asyncio.get_running_loop())

    return _run_service(
        SERVICES[role](arguments, layout, on_ready), _loop_factory(arguments, layout)
    )


def _tell(arguments: argparse.Namespace) -> int:
    """Tell the role that runs to make room for the next one."""
    enter_data(arguments.data)
    layout = Layout(Path())
    if arguments.action == "reseed":
        return reseed(layout, arguments.name)
    if arguments.command == "agent":
        return drain_agent(layout, arguments.name, arguments.seconds)
    return drain_relay(layout, arguments.name, arguments.seconds)


def _name(arguments: argparse.Namespace) -> str:
    """Return what the role's log lines are signed with."""
    role: str = arguments.command
    if role in ("journal", "adjudicator", "storage", "az"):
        return f"{arguments.az}.{role}"
    return str(arguments.name) if role in ("relay", "agent", "seed") else role


def _allow_descriptors() -> None:
    """Take as many as the system lets have: a connection or a process costs one or two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < DESCRIPTORS_NEEDED:
        logger.warning(
            "open files are limited to %d, which is too few for %d connections: raise the hard limit "
            "(ulimit -Hn, LimitNOFILE of systemd) to %d",
            *(wanted, CONNECTIONS_MAX, DESCRIPTORS_NEEDED),
        )


def _follow(supervisor: int) -> None:
    """End with the supervisor, even if it was killed before this line."""
    die_with_parent(signal.SIGTERM)
    if os.getppid() != supervisor:
        sys.exit(1)


def _say_ready(descriptor: int | None) -> None:
    logger.info("ready")
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.write(descriptor, b"ready\n")


def _run_seed(layout: Layout, heart: Heart | None, name: str) -> None:
    from dsql.compiled_modules import runs_compiled
    from dsql.session.tenant import ClusterTenant
    from dsql.session.warm_up import warm_up
    from placement import seed
    from storage import client as storage

    warm_up()
    storage.warm_up()
    descriptor = None if heart is None else heart.descriptor
    seed.run(
        layout,
        ClusterTenant,
        on_ready=lambda: _say_ready(descriptor),
        turned=(lambda: None) if heart is None else heart.beat,
        compiled=runs_compiled(),
        name=name,
    )


def _run_keeper(layout: Layout, heart: Heart | None) -> None:
    from placement import keeper

    keeper.run(
        layout.socket("keeper"),
        on_ready=lambda: _say_ready(None if heart is None else heart.descriptor),
        turned=(lambda: None) if heart is None else heart.beat,
    )


def _loop_factory(arguments: argparse.Namespace, layout: Layout) -> LoopFactory:
    import uvloop

    if not getattr(arguments, "chaos", False):
        return uvloop.new_event_loop
    from dsql.chaos.partition import PartitionableLoop

    return lambda: PartitionableLoop(layout, f"{arguments.az}.az")


def _run_service(service: Coroutine[None, None, None], loop_factory: LoopFactory) -> int:
    gc.freeze()  # what was imported lives as long as the process
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(_until_stopped(service))
    except OSError as error:
        raise CommandError(f"cannot start: {error}") from error


async def _until_stopped(service: Coroutine[None, None, None]) -> int:
    """Run a service until it fails or a signal asks it to stop, and let it clean up."""
    task = asyncio.ensure_future(service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        logger.info("stopped")
        return 0
    except OSError:
        raise
    except Exception:
        logger.exception("failed")
        return 1
    logger.info("ended by itself")
    return 0
