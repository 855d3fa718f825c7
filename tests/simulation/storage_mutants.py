"""Storage with one rule switched off: snapshots, checksums, checkpoints."""

from __future__ import annotations

import time
from typing import Any

import pytest

import storage.mvcc
from storage.board import KEPT, RELEASES
from storage.checkpoint import Checkpoints
from storage.snapshot import LocalSnapshot
from storage.superseded import SupersededPages
from storage.trial import Trial

from .world import running

Patch = pytest.MonkeyPatch


def unchecked_horizon(patch: Patch) -> None:
    """A read does not look whether what it needed was let go of meanwhile."""

    def keep(self: LocalSnapshot, identifier: int) -> bool:
        return self._words[KEPT] <= identifier

    def never(self: LocalSnapshot, replica: Any) -> None:
        enter(self, replica)
        self._releases = self._words[RELEASES]

    enter = LocalSnapshot._enter
    patch.setattr(LocalSnapshot, "_kept", keep)
    patch.setattr(LocalSnapshot, "_enter", never)


def unverified_rows(patch: Patch) -> None:
    """Checksums of rows are not looked at."""
    patch.setattr(storage.mvcc, "_is_sound", lambda stored, version: True)


def unsaved_pages(patch: Patch) -> None:
    """Pages of a checkpoint are used again, and not saved before."""
    patch.setattr(SupersededPages, "append", lambda self, pages: 0)


def unsynced_checkpoints(patch: Patch) -> None:
    """A checkpoint is recorded before its pages are on the disk."""
    patch.setattr(Checkpoints, "sync", lambda self: time.sleep(0.001))


def locked_for_good(patch: Patch) -> None:
    """A replica that has failed to open, or was closed, cannot be opened again by the same process."""
    close = Trial.close

    def keep(self: Trial) -> None:
        if running() is None:
            close(self)

    patch.setattr(Trial, "close", keep)
