"""Adjudicators and their clients with one rule switched off: decisions, publication, outcomes, claims."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import dsql.rpc.clock
from adjudicator.client import AdjudicatorClient
from adjudicator.commit_pipeline import Answer, CommitPipeline
from adjudicator.conflict_set import ConflictSet
from adjudicator.electorate import Electorate
from adjudicator.messages import Verdict, decode_status, encode_reply
from adjudicator.outcomes import Outcomes
from adjudicator.seat import Seat
from adjudicator.server import AdjudicatorServer
from dsql.rpc.clock import ClockPublisher
from dsql.transaction.transaction import BufferedTransaction
from dsql.transaction.write_buffer import WriteBuffer
from journal.appender import Appender

Patch = pytest.MonkeyPatch


def early_publication(patch: Patch) -> None:
    """Commits are published and acknowledged when they are appended, not when they are durable."""
    flush = CommitPipeline.flush

    def answer_at_once(self: CommitPipeline) -> None:
        batch = self._gathering[0]
        if self._in_flight is None and not self.stopped and batch.entries:
            flush(self)
            self.committed(batch.sequence)
        else:
            flush(self)

    patch.setattr(CommitPipeline, "flush", answer_at_once)


def late_publication(patch: Patch) -> None:
    """A commit is acknowledged before the clock shows it."""
    committed = CommitPipeline.committed

    def publish_nothing(self: CommitPipeline, sequence: int) -> None:
        publish = self._publish
        self._publish = lambda timestamp: None
        committed(self, sequence)
        self._publish = publish

    patch.setattr(CommitPipeline, "committed", publish_nothing)


def shared_clock(patch: Patch) -> None:
    """All zones publish in one place, so that a leader that was replaced can set the clock back."""
    init = ClockPublisher.__init__

    def share(self: ClockPublisher, path: Any, boot: int, zone: int, zones: int) -> None:
        init(self, path, boot, 0, zones)

    patch.setattr(ClockPublisher, "__init__", share)


def ignored_floor(patch: Patch) -> None:
    """A new leader decides on transactions whose conflicts it cannot know."""
    init = ConflictSet.__init__

    def without(self: ConflictSet, floor: int, last: int, **options: Any) -> None:
        init(self, 0, last, **options)

    patch.setattr(ConflictSet, "__init__", without)


def unlocked_reads(patch: Patch) -> None:
    """FOR UPDATE and catalog checks are not remembered, and not checked."""
    decide = ConflictSet.decide

    def without(
        self: ConflictSet, start: int, checks: Any, writes: Any, now: int, premises: Any
    ) -> int:
        return decide(self, start, [], writes, now, replace(premises, check_delays=()))

    patch.setattr(ConflictSet, "decide", without)


def unread_premises(patch: Patch) -> None:
    """What serializable transactions have read does not matter."""
    patch.setattr(ConflictSet, "_has_read_more", lambda self, start, premises: False)


def forgotten_findings(patch: Patch) -> None:
    """What a transaction writes first counts as found at its last snapshot."""
    patch.setattr(WriteBuffer, "note_found", lambda self, timestamp: None)
    patch.setattr(BufferedTransaction, "_is_overtaken", lambda *_: False)


def blind_retry(patch: Patch) -> None:
    """A lost answer is taken for an abort."""
    patch.setattr(AdjudicatorClient, "_resolve", lambda *_: (Verdict.ABORTED, 0))


def told_after_publication(patch: Patch) -> None:
    """The leader's own storage hears of a commit only after its publication."""
    patch.setattr(Appender, "tell_own", lambda self: None)


def leader_on_demand(patch: Patch) -> None:
    """A cluster is claimed only if somebody wants to commit."""
    claim = AdjudicatorServer._claim

    def claim_if_asked(self: AdjudicatorServer, seat: Seat) -> None:
        if seat.waits:
            claim(self, seat)

    patch.setattr(AdjudicatorServer, "_claim", claim_if_asked)


def impatient_candidates(patch: Patch) -> None:
    """Whoever misses a leader claims at once, and again at once when refused."""
    patch.setattr(AdjudicatorServer, "_backoff", lambda self, seat: 0.0)
    patch.setattr(Electorate, "claim_after", lambda self, cluster, azs, now: 0.0)


def unchecked_clock(patch: Patch) -> None:
    """Whatever stands in the clock file is believed."""
    patch.setattr(dsql.rpc.clock, "_is_sound", lambda slot: True)


def forgotten_outcomes(patch: Patch) -> None:
    """A leader that is asked how a transaction ended knows only of those that it has just decided."""
    patch.setattr(Outcomes, "get", lambda self, transaction_id: 0)


def unburied_transactions(patch: Patch) -> None:
    """A transaction that nobody knows is told to be aborted, with nothing to keep it from coming."""
    status = CommitPipeline._status

    def answer(self: CommitPipeline, body: bytes, answer: Answer) -> None:
        transaction_id, start = decode_status(body)
        unknown = not (self.stopped or self.outcomes.get(transaction_id) or self.blocked)
        if unknown and start >= self.outcomes.floor:
            answer(encode_reply(transaction_id, Verdict.ABORTED))
        else:
            status(self, body, answer)

    patch.setattr(CommitPipeline, "_status", answer)
