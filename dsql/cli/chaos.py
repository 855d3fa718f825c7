"""`dsql chaos`: do a running cluster harm, one fault after the other, and tell how long its clients waited.

Meant for clusters that may be harmed: one that was started with `dsql up --chaos` is one, any other needs
--yes. What lasts is undone at the end, also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dsql.chaos.cuts import cuts_allowed
from dsql.chaos.faults import KINDS, possible, schedule, select
from dsql.chaos.injector import MEBIBYTE, Injector
from dsql.chaos.probes import Probes
from dsql.chaos.run import NotWellError, Pace, Run
from dsql.chaos.stalls import Fault, progress, summary, table
from dsql.cli.connecting import choose_cluster, make_token
from dsql.cli.errors import CommandError
from dsql.cli.options import add_data_option, enter_data
from dsql.client.auth_token import ADMIN_USER
from dsql.control.layout import ClusterRecord, Layout
from dsql.control.running import read_processes, relay_address
from dsql.health.connection import Door, ServerError, make_door

_TOKEN_SECONDS = 3600
_EPILOG = """examples:
  dsql up --chaos --detach && dsql chaos          each fault once
  dsql chaos --list                               what there is
  dsql chaos --faults 'kill-*,pause-leader' --seconds 600 --seed 7
  dsql chaos --json > stalls.json                 while your own application runs
  dsql chaos --heal                               after a run that was killed itself
exit status: 0 all as before each time and nothing lost, 1 otherwise"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dsql chaos`."""
    parser.epilog = _EPILOG
    add_data_option(parser)
    parser.add_argument("--cluster", default="", metavar="ID", help="needed if there are several")
    parser.add_argument(
        "--faults", default="*", metavar="NAMES", help="which ones, with wildcards (default: all)"
    )
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    parser.add_argument("--seconds", type=float, metavar="S", help="go on as long (default: once)")
    parser.add_argument("--seed", type=int, help="repeat the order and the victims of a run")
    pace = Pace()
    for name, default, text in (
        ("--hold", pace.hold_seconds, "how long a pause, a cut or a full disk lasts"),
        ("--rest", pace.rest_seconds, "how long nothing is done between two faults"),
        ("--recover", pace.recover_seconds, "how long the cluster may take to be as before"),
    ):
        parser.add_argument(
            name, type=float, default=default, metavar="S", help=f"{text} (default: %(default)g)"
        )
    parser.add_argument(
        "--filler",
        type=int,
        default=0,
        metavar="MIB",
        help="allow fill-disk, with a file no larger",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--heal", action="store_true", help="only undo what lasts")
    parser.add_argument("--yes", action="store_true", help="harm a cluster started without --chaos")


def run(arguments: argparse.Namespace) -> int:
    """Do the faults; return 1 if something was lost, wrong or did not recover."""
    if not arguments.data.is_dir():
        raise CommandError(f"there is nothing in {arguments.data}")
    enter_data(arguments.data)
    layout = Layout(Path())
    record = choose_cluster(layout, arguments.cluster)
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    chance = random.Random(seed)
    injector = Injector(layout, record, chance, arguments.filler * MEBIBYTE)
    if arguments.list:
        _list(injector)
        return 0
    if not read_processes(layout):
        raise CommandError("chaos needs a cluster that `dsql up` runs")
    if arguments.heal:
        injector.heal()
        return 0
    if not (cuts_allowed(layout) or arguments.yes):
        raise CommandError(
            "this cluster was not started with `dsql up --chaos`: say --yes to harm it", 2
        )
    return asyncio.run(_run(arguments, layout, record, injector, seed, chance))


def _list(injector: Injector) -> None:
    for name, kind in KINDS.items():
        needs = "" if possible(kind, injector.abilities) else "  (not with this cluster)"
        print(f"{name:<22} {kind.title}{needs}")


async def _run(
    arguments: argparse.Namespace,
    layout: Layout,
    record: ClusterRecord,
    injector: Injector,
    seed: int,
    chance: random.Random,
) -> int:
    names = _names(arguments, injector, chance)
    said = sys.stderr if arguments.json else sys.stdout
    print(f"seed {seed}", file=said, flush=True)
    pace = Pace(arguments.hold, arguments.rest, arguments.recover)
    probes = Probes(_Doors(layout, record), f"dsql_chaos_{os.getpid()}")
    one = Run(layout, record, injector, probes, pace)
    seconds = float("inf") if arguments.seconds is None else arguments.seconds
    _stop_on_signals()
    try:
        async with probes.running():
            await one.go_on(
                names, seconds, lambda fault: print(progress(fault), file=said, flush=True)
            )
    except asyncio.CancelledError:
        print("interrupted; what lasted is undone", file=said)
    except NotWellError as error:
        raise CommandError(f"the cluster is not well: {error}") from None
    except (OSError, EOFError, ServerError) as error:
        raise CommandError(f"cannot connect to the cluster: {error}") from None
    well = not probes.violations and all(f.recovered_seconds is not None for f in one.faults)
    print(
        _as_json(seed, record, one.faults, probes)
        if arguments.json
        else _as_text(one.faults, probes)
    )
    return 0 if well else 1


def _names(
    arguments: argparse.Namespace, injector: Injector, chance: random.Random
) -> Iterator[str]:
    try:
        selected = select(arguments.faults.split(","), injector.abilities)
    except LookupError as error:
        raise CommandError(f"{error.args[0]}; see dsql chaos --list", 2) from None
    if not selected:
        raise CommandError("none of these faults can be done to this cluster", 2)
    names = schedule(selected, chance)
    return itertools.islice(names, len(selected)) if arguments.seconds is None else names


def _stop_on_signals() -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


class _Doors:
    """Where the probes connect, each time with a token that is still good."""

    def __init__(self, layout: Layout, record: ClusterRecord) -> None:
        self._layout = layout
        self._record = record
        self._door: Door | None = None
        self._made = 0.0

    def __call__(self) -> Door:
        now = asyncio.get_running_loop().time()
        if self._door is None or now > self._made + _TOKEN_SECONDS / 2:
            token = make_token(self._layout, self._record, ADMIN_USER, _TOKEN_SECONDS)
            self._door = make_door(
                relay_address(self._layout),
                self._record.endpoint,
                self._layout.ca_certificate,
                token,
            )
            self._made = now
        return self._door


def _as_text(faults: list[Fault], probes: Probes) -> str:
    errors = ", ".join(f"{name} {count}" for name, count in sorted(probes.errors.items()))
    lines = [
        "longest waits in seconds",
        table(faults),
        f"errors that clients got: {errors or 'none'}",
    ]
    lines += [f"VIOLATION: {text}" for text in probes.violations]
    return "\n".join(lines)


def _as_json(seed: int, record: ClusterRecord, faults: list[Fault], probes: Probes) -> str:
    result = {
        "seed": seed,
        "cluster": record.identifier,
        "longest": summary(faults),
        "faults": msgspec.to_builtins(faults),
        "errors": dict(probes.errors),
        "violations": probes.violations,
    }
    return json.dumps(result, indent=2)
