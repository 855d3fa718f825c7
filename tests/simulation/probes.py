"""Rare roads of the product, and how often a run has taken each: what no run ever takes, no run has tested.

A probe names a function or method; that it was called is counted. The product carries nothing for it. A
fault can wait for one, to strike in the midst of something (`Probes.next`).
"""

from __future__ import annotations

import functools
import importlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

PROBES = (
    "adjudicator.client:AdjudicatorClient._resolve",
    "adjudicator.commit_pipeline:CommitPipeline._join",
    "adjudicator.commit_pipeline:CommitPipeline.shed",
    "adjudicator.commit_pipeline:CommitPipeline.stop",
    "adjudicator.leadership:Leadership.resign",
    "adjudicator.peers:Peers.doubt",
    "adjudicator.seat:Seat._give_up",
    "adjudicator.server:AdjudicatorServer._rest",
    "dsql.rpc.clock:ClockPublisher.mend",
    "journal.copier:Copier._fetch_for",
    "journal.copier:Copier.fetched",
    "journal.leader:Leader._begin_round",
    "journal.leader:Leader._confirmed",
    "journal.leader:Leader._refused",
    "journal.leader:Leader.resign",
    "journal.log:Log._roll",
    "journal.log:Log.clear",
    "journal.log:Log.cut",
    "journal.log:Log.mark_failed",
    "journal.log:Log.replace",
    "journal.log:Log.trim",
    "journal.opening:LogOpener.replace",
    "journal.opening:set_aside",
    "journal.recovery:Recovery.damage",
    "journal.replica:Replica.start_at",
    "journal.segment_repair:Replacement.finish",
    "storage.checkpoint:Checkpoints.forget",
    "storage.environment:WritableEnvironment.condemn",
    "storage.environment:WritableEnvironment.grow",
    "storage.local_replica:LocalReplica._fail_over",
    "storage.local_replica:LocalReplica._wait_long",
    "storage.opening:discard",
    "storage.opening:put_back",
    "storage.opening:remake",
    "storage.snapshot:LocalSnapshot._get_slowly",
    "storage.snapshot:LocalSnapshot._visible_slowly",
    "storage.snapshot:snapshot_too_old",
)


# Steps that are not rare, but worth being interrupted right behind them.
STEPS = (
    "adjudicator.commit_pipeline:CommitPipeline.committed",
    "dsql.rpc.clock:ClockPublisher.open",
    "journal.replica:Replica.claim",
    "journal.segments:Segments.create",
    "journal.state_file:StateFile.save_promise",
    "storage.checkpoint:Checkpoints.make_way",
    "storage.checkpoint:Checkpoints.take",
    "storage.superseded:SupersededPages.append",
)


class Probes:
    """Counts calls of what the probes name, until the patch is undone.

    Raises AttributeError for a probe that names nothing.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        self._waiting: dict[str, Callable[[], None]] = {}
        for probe in PROBES + STEPS:
            module, _, path = probe.partition(":")
            owner: Any = importlib.import_module(module)
            *classes, name = path.split(".")
            for part in classes:
                owner = getattr(owner, part)
            patch.setattr(owner, name, self._watched(getattr(owner, name), probe))

    def next(self, probe: str, then: Callable[[], None]) -> None:
        """Have `then` called, once, by whoever calls next what a probe names. It must not wait."""
        self._waiting[probe] = then

    def _watched(self, function: Callable[..., Any], probe: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            self.counts[probe] += 1
            if probe in self._waiting:
                self._waiting.pop(probe)()
            return function(*arguments, **options)

        return call
