"""Which zones hear nothing from which others, in a cluster that was started with `dsql up --chaos`.

run/cuts   JSON list of [hearer, speaker]: the process of role `hearer` hears nothing from that of
`speaker`. The file is there only in such a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from dsql.control.atomic_file import write_atomically
from dsql.control.layout import Layout


def allow_cuts(layout: Layout) -> None:
    """Make the file with which the zones that start next can be cut off."""
    cuts_path(layout).parent.mkdir(parents=True, exist_ok=True)
    write_cuts(layout, [])


def forbid_cuts(layout: Layout) -> None:
    """Remove the file, if there is one."""
    cuts_path(layout).unlink(missing_ok=True)


def cuts_allowed(layout: Layout) -> bool:
    """Return whether the cluster was started so that its zones can be cut off."""
    return cuts_path(layout).exists()


def write_cuts(layout: Layout, cuts: Iterable[tuple[str, str]]) -> None:
    """Cut exactly these; the zones act on it within LOOK_SECONDS."""
    write_atomically(cuts_path(layout), json.dumps(list(cuts)).encode())


def cuts_path(layout: Layout) -> Path:
    """Return the file."""
    return layout.root / "run" / "cuts"
