"""The conversation between a host agent and one query processor: one packet per message.

    agent                      query processor
      Assign     [slots]       -->                 a cluster, for life
      Adjudicator [connection] -->                 right behind it
                               <-- Ready           the sandbox is closed
      Serve      [client]      -->                 a session
      RunJobs                  -->                 the cluster's background jobs
                               <-- Idle            the session, or the jobs, have ended
                               <-- WantJobs        a session has left a job behind
      Retire                   -->                 exit, after the running session
                               <-- NeedAdjudicator a zone's connection broke, or there was none
      Adjudicator [connection] -->                 another one; without descriptor: it does not answer

Descriptors stand in brackets. A query processor cannot open connections itself: its sandbox forbids it.
"""

from __future__ import annotations

import msgspec


class Assign(msgspec.Struct, frozen=True, tag="assign", array_like=True):
    """What a query processor belongs to from now on.

    `azs` are those with storage replicas of the cluster, the preferred one first. `uid` is the operating
    system user to become (None: stay). `lifetime_seconds` counts from now. `profile_changes`: sessions may
    set dsql.profile.

    With it come two descriptors for each zone, a reader's slot and the FIFO to its writer
    (`storage.reader_slot`).
    """

    cluster: str
    profile: str
    azs: list[str]
    uid: int | None
    lifetime_seconds: float
    profile_changes: bool = False


class Ready(msgspec.Struct, frozen=True, tag="ready", array_like=True):
    """`missing` names the parts of the sandbox that this kernel does not have."""

    missing: list[str]


class Serve(msgspec.Struct, frozen=True, tag="serve", array_like=True):
    """An encoded HandedSession."""

    handed: bytes


class RunJobs(msgspec.Struct, frozen=True, tag="run_jobs", array_like=True):
    """Work off the cluster's background jobs: index builds, removals."""


class Idle(msgspec.Struct, frozen=True, tag="idle", array_like=True):
    """The session, or the run of background jobs, has ended."""


class WantJobs(msgspec.Struct, frozen=True, tag="want_jobs", array_like=True):
    """There are new background jobs; some query processor of the cluster should run them."""


class Retire(msgspec.Struct, frozen=True, tag="retire", array_like=True):
    """Exit as soon as no session runs."""


class NeedAdjudicator(msgspec.Struct, frozen=True, tag="need_adjudicator", array_like=True):
    """A connection to a zone's adjudicator is wanted; `az` "": to the one that most likely leads."""

    az: str


class Adjudicator(msgspec.Struct, frozen=True, tag="adjudicator", array_like=True):
    """A connection to the adjudicator of `az`, as a descriptor. The likely leader's comes unasked."""

    az: str = ""


ToQueryProcessor = Assign | Serve | RunJobs | Retire | Adjudicator
ToAgent = Ready | Idle | NeedAdjudicator | WantJobs

encode = msgspec.msgpack.Encoder().encode
_from_agent: msgspec.msgpack.Decoder[ToQueryProcessor] = msgspec.msgpack.Decoder(ToQueryProcessor)
_from_query_processor: msgspec.msgpack.Decoder[ToAgent] = msgspec.msgpack.Decoder(ToAgent)
decode_from_agent = _from_agent.decode
decode_from_query_processor = _from_query_processor.decode
