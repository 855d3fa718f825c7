"""Two hosts for tests: this one, and another network namespace at the other end of a cable.

Where namespaces are not permitted, two addresses of the loopback interface stand for them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dsql.control.layout import Layout


class TwoHosts(NamedTuple):
    """Their addresses, and what a command of the other one begins with."""

    here: str
    there: str
    prefix: tuple[str, ...]


@contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Lay the cable, and take it away again."""
    number = os.getpid() % 16_000  # a network of four addresses for each process that tests
    network = f"10.{77 + number // 64 // 250}.{number // 64 % 250}"
    first = number % 64 * 4
    name = f"dsql{os.getpid()}"
    here, there = f"{network}.{first + 1}", f"{network}.{first + 2}"
    if not _ip(f"netns add {name}"):
        yield TwoHosts("127.0.0.2", "127.0.0.3", ())
        return
    try:
        inside = f"-n {name}"
        laid = (
            _ip(f"link add {name}h type veth peer name {name}t netns {name}")
            and _ip(f"addr add {here}/30 dev {name}h")
            and _ip(f"link set {name}h up")
            and _ip(f"{inside} addr add {there}/30 dev {name}t")
            and _ip(f"{inside} link set {name}t up")
            and _ip(f"{inside} link set lo up")
        )
        if laid:
            yield TwoHosts(here, there, ("ip", "netns", "exec", name))
        else:
            yield TwoHosts("127.0.0.2", "127.0.0.3", ())
    finally:
        _ip(f"netns del {name}")  # and with it both ends of the cable


def _ip(words: str) -> bool:
    if shutil.which("ip") is None:
        return False
    done = subprocess.run(["ip", *words.split()], capture_output=True, check=False)
    return done.returncode == 0


def copy_for_relay(data: Path, copy: Path) -> None:
    """Copy what a relay of another host needs of a data directory: no journal, no socket, no root's key."""
    layout = Layout(data)
    files = [layout.ca_certificate, layout.access_keys, *layout.link[1:]]
    files += [layout.relay_certificate, layout.relay_key, layout.relay_cancel_key]
    for identifier in layout.cluster_identifiers():
        files += [layout.record(identifier), layout.certificate(identifier), layout.key(identifier)]
    for path in files:
        target = copy / path.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
