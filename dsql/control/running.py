"""What runs on a data directory, as it was written down: the roles' processes, the relays' address."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dsql.control.atomic_file import write_atomically
from dsql.control.layout import Layout

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5432
CONSOLE_PATH = "/console/"  # behind the control plane's URL


class RoleProcess(NamedTuple):
    """The process of a role, how often the role was started again, and how many of these times it hung."""

    process_id: int
    restarts: int
    hangs: int


def write_processes(layout: Layout, processes: Mapping[str, RoleProcess]) -> None:
    """Replace what is known. Raises OSError."""
    write_atomically(_processes(layout), json.dumps(processes).encode())


def read_processes(layout: Layout) -> dict[str, RoleProcess]:
    """Return the processes of a supervisor's roles by name, as of their last start."""
    try:
        processes = json.loads(_processes(layout).read_bytes())
        return {name: RoleProcess(*values) for name, values in processes.items()}
    except (OSError, ValueError, TypeError):
        return {}


def relay_names(layout: Layout) -> list[str]:
    """Return the relays that have a socket, whether or not they still live."""
    return sorted(path.stem for path in layout.socket("x").parent.glob("relay-*.sock"))


def relay_address(layout: Layout) -> tuple[str, int]:
    """Return (IP address, port) where a client on this host reaches the relays."""
    try:
        host, _, port = layout.relay_address.read_text().strip().rpartition(":")
        address = ipaddress.ip_address(host)
    except (FileNotFoundError, ValueError):
        return DEFAULT_HOST, DEFAULT_PORT
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return host, int(port)


def control_address(layout: Layout) -> tuple[str, int] | None:
    """Return (URL, port) of the control plane's API, None if there has never been one."""
    try:
        url = layout.control_address.read_text().strip()
        return url, int(url.rpartition(":")[2])
    except (FileNotFoundError, ValueError):
        return None


def _processes(layout: Layout) -> Path:
    return layout.root / "run" / "processes.json"
