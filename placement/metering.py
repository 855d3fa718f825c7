"""What each cluster has used on this host: what query processors told, added up and kept in a file.

    clusters/ID/usage.AGENT      JSON: since when, in seconds since 1970, and a dsql.transaction.usage.Usage

It is written now and then and at the end, so a host that dies loses the last minute of it. A file that
cannot be read begins anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import msgspec

from dsql.control.atomic_file import write_atomically
from dsql.control.layout import Layout
from dsql.disk.files import read_file
from dsql.session.dpu import used
from dsql.transaction.usage import COMMIT_SECONDS, Usage

logger = logging.getLogger(__name__)

SAVE_SECONDS = 60.0


class Metered(msgspec.Struct):
    """One cluster's file."""

    since: float
    usage: Usage


_decode = msgspec.json.Decoder(Metered).decode


class Metering:
    """Of one agent, by its name."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._layout = layout
        self._name = name
        self._metered: dict[str, Metered] = {}
        self._changed: set[str] = set()
        self._save_at = 0.0
        self._saving: asyncio.Task[None] | None = None

    def add(self, cluster: str, usage: Usage) -> None:
        """Take in what a query processor has told."""
        self._of(cluster).usage.add(usage)
        self._changed.add(cluster)

    def tick(self, now: float) -> None:
        """Write down what has changed, in a thread, if it is time for that."""
        if now >= self._save_at and self._changed and (self._saving is None or self._saving.done()):
            self._save_at = now + SAVE_SECONDS
            self._saving = asyncio.create_task(asyncio.to_thread(self._write, self._take_changed()))

    async def close(self) -> None:
        """Write down what has changed."""
        if self._saving is not None:
            await self._saving
        self._write(self._take_changed())

    def describe(self) -> dict[str, dict[str, object]]:
        """Return what each cluster has used since there is a file, by names like those of its metrics."""
        return {cluster: _describe(metered) for cluster, metered in self._metered.items()}

    def _of(self, cluster: str) -> Metered:
        metered = self._metered.get(cluster)
        if metered is None:
            found = _read(self._layout, self._path(cluster))
            metered = self._metered[cluster] = found or Metered(time.time(), Usage())
        return metered

    def _path(self, cluster: str) -> Path:
        return self._layout.usage(cluster, self._name)

    def _take_changed(self) -> list[tuple[str, bytes]]:
        changed, self._changed = self._changed, set()
        return [(cluster, msgspec.json.encode(self._metered[cluster])) for cluster in changed]

    def _write(self, contents: list[tuple[str, bytes]]) -> None:
        for cluster, content in contents:
            try:
                write_atomically(self._path(cluster), content, files=self._layout.files)
            except FileNotFoundError:
                self._metered.pop(cluster, None)  # the cluster was deleted
            except OSError as error:
                logger.warning("usage not saved", extra={"cluster": cluster, "reason": str(error)})


def saved(layout: Layout, cluster: str) -> dict[str, object] | None:
    """Return what `Metering.describe` would, of all agents together, from their files; None without any."""
    names = layout.files.list(layout.cluster(cluster))
    paths = [layout.cluster(cluster) / name for name in names if name.startswith("usage.")]
    found = [metered for path in paths if (metered := _read(layout, path)) is not None]
    if not found:
        return None
    total = Metered(min(metered.since for metered in found), Usage())
    for metered in found:
        total.usage.add(metered.usage)
    return _describe(total)


def _read(layout: Layout, path: Path) -> Metered | None:
    try:
        return _decode(read_file(layout.files, path))
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("usage cannot be read", extra={"path": str(path), "reason": str(error)})
        return None


def _describe(metered: Metered) -> dict[str, object]:
    usage = metered.usage
    units = used(usage)
    return {
        "since": metered.since,
        "transactions": usage.transactions,
        "read_only_transactions": usage.read_only,
        "occ_conflicts": usage.conflicts,
        "query_timeouts": usage.timeouts,
        "bytes_read": usage.bytes_read,
        "bytes_written": usage.bytes_written,
        "compute_seconds": usage.compute_microseconds / 1_000_000,
        "compute_dpu": units.compute,
        "read_dpu": units.read,
        "write_dpu": units.write,
        "commit_seconds_sum": usage.commit_microseconds / 1_000_000,
        "commit_seconds_median": usage.commit_seconds(0.5),
        "commit_seconds": dict(
            zip((*map(str, COMMIT_SECONDS), "+Inf"), usage.commits, strict=True)
        ),
    }
