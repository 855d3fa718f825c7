"""Constants of the product that a seed may change: small ones bring rare branches within reach."""

from __future__ import annotations

import dataclasses
import random
import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest

from storage.replica_writer import FollowerSettings

from .themes import Theme

# How many of them are changed, and whether to the first of their choices, which is the rarest.
_WORLDS = ((0.0, False), (0.3, False), (0.8, False), (0.8, True))
_PACKAGES = ("dsql", "journal", "adjudicator", "storage")


@dataclass(frozen=True)
class Constant:
    """A module's constant, what else it may be, and the parameters whose default it is."""

    module: str
    name: str
    choices: tuple[Any, ...]
    parameter: str = ""


CONSTANTS = (
    Constant("journal.log", "SEGMENT_BYTES", (2_048, 8_192, 65_536), "segment_bytes"),
    Constant("journal.log", "_AHEAD_BYTES_MIN", (0, 512)),
    Constant("journal.copier", "WINDOW_BYTES", (0, 2_000, 50_000)),
    Constant("journal.copier", "FETCH_BYTES", (1, 1_000, 20_000)),
    Constant("journal.copier", "APPENDS_OUTSTANDING_MAX", (1, 3)),
    Constant("journal.feed", "FEED_BYTES", (1, 1_000)),
    Constant("journal.feed", "_RECENT_BYTES", (0, 2_000)),
    Constant("journal.segment_file", "INDEX_BYTES", (256, 4_096)),
    Constant("journal.group_commit", "_QUICK_SECONDS", (0.0, 1.0)),
    Constant("journal.group_commit", "_STALL_SECONDS", (0.0, 1.0)),
    Constant("journal.upkeep", "_SCRUB_SECONDS", (1.0, 5.0)),
    Constant("journal.appender", "_CATCH_UP_SECONDS", (0.0, 0.1)),
    Constant("journal.appender", "_LOOKS_PER_TICK", (2, 5)),
    Constant("journal.appender", "_RECONNECT_SECONDS_MAX", (0.1, 3.0)),
    Constant("adjudicator.commit_pipeline", "BATCH_BYTES_MAX", (1, 200)),
    Constant(
        "adjudicator.conflict_set",
        "WINDOW_MICROSECONDS",
        (500_000, 3_000_000, 30_000_000),
        "window",
    ),
    Constant("adjudicator.conflict_set", "KEYS_MAX", (3, 20), "keys_max"),
    Constant("adjudicator.outcomes", "ENTRIES_MAX", (10, 100), "entries_max"),
    Constant("adjudicator.failure_detector", "BEAT_SECONDS", (0.01, 0.1)),
    Constant("adjudicator.electorate", "LONELY_SECONDS", (0.3, 1.0)),
    Constant("adjudicator.leadership", "_RETENTION_SECONDS", (0.2, 1.0)),
    Constant("adjudicator.recall", "_FIRST_RECORDS", (1, 20)),
    Constant("adjudicator.recall", "_KEYS_PER_TURN", (1, 10)),
    Constant("storage.applier", "TRANSACTION_AGE_SECONDS_MAX", (0.3, 2.0), "age_limit_seconds"),
    Constant("storage.applier", "_AGE_MARGIN_SECONDS", (0.0, 1.0)),
    Constant("storage.comparison", "RANGE_ROWS", (1, 5)),
    Constant("storage.replica_writer", "_COLLECT_DEBT", (1, 8)),
    Constant("storage.replica_writer", "_COLLECT_STEP_MAX", (1, 8)),
    Constant("storage.replica_writer", "_ON_LOOP_BYTES", (0, 200)),
)


def draw_constants(chance: random.Random, patch: pytest.MonkeyPatch, theme: Theme) -> None:
    """Change none, some or all of them until the patch is undone, in any case those of the theme."""
    share, extreme = chance.choice(_WORLDS)
    for constant in CONSTANTS:
        chosen = constant.choices[0] if extreme else chance.choice(constant.choices)
        if constant.name in theme.constants:
            _change(constant, theme.constants[constant.name], patch)
        elif chance.random() < share:
            _change(constant, chosen, patch)


def _change(constant: Constant, chosen: Any, patch: pytest.MonkeyPatch) -> None:
    real = getattr(sys.modules[constant.module], constant.name)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in _PACKAGES:
            continue
        if getattr(module, constant.name, None) == real:
            patch.setattr(module, constant.name, chosen)
        if constant.parameter:
            for owner in vars(module).values():
                init = vars(owner).get("__init__") if isinstance(owner, type) else None
                if isinstance(init, types.FunctionType):
                    defaults = init.__kwdefaults__ or {}
                    if defaults.get(constant.parameter) == real:
                        patch.setitem(defaults, constant.parameter, chosen)


def draw_settings(chance: random.Random, theme: Theme) -> FollowerSettings:
    """Return how storage applies and checkpoints in a run."""
    drawn = FollowerSettings(
        delay_seconds=chance.choice((0.0, 0.02, 0.2)),
        pending_bytes_max=chance.choice((1, 1_000, 1_048_576)),
        checkpoint_seconds=chance.choice((0.5, 3.0, 300.0)),
        grace_seconds=chance.choice((0.1, 1.0, 5.0)),
        pages_max=chance.choice((20, 200, 4_096)),
        checkpoint_bytes=chance.choice((20_000, 1_000_000)),
        spare_bytes=chance.choice((0, 1_000_000, 1_000_000_000)),
        scrub_seconds=chance.choice((0.5, 3.0, 600.0)),
        scrub_share=chance.choice((0.02, 0.5)),
    )
    return dataclasses.replace(drawn, **theme.settings)
