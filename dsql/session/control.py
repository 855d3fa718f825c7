"""The conversation between a host agent and one query processor: one packet per message.

    agent                      query processor
      Assign     [slots]       -->                 a cluster, for life
      Adjudicator [connection] -->                 right behind it
                               <-- Ready           the sandbox is closed
      Serve      [client]      -->                 a session, beside those that it has
      Resume     [client]      -->                 likewise, one that was parked
                               <-- Started         it is as it was: it is lost with the process now
                               <-- Parked [client] its client is silent: watch the socket meanwhile
                               <-- Busy            how it goes, while it does much
      Shed                     -->                 some sessions would be better off in another process
                               <-- Moved [client]  one of them: resume it elsewhere at once
      Release                  -->                 it has arrived, or never will
      Evacuate                 -->                 the hub stands still: give back whom you can
                               <-- Moved [client]  one of them
      RunJobs                  -->                 the cluster's background jobs, likewise
      Cancel                   -->                 interrupt what a session runs
      Terminate                -->                 end a session
                               <-- LookAround      what do the cluster's sessions do?
      Report                   -->                 what do yours? (to each of its processes)
                               <-- Told            this
      Surveyed                 -->                 a part of the answer to LookAround
                               <-- Signal          cancel what another session runs, or end it
      Gone                     -->                 sessions that have ended with their process
                               <-- Ended           a session, or a run of jobs, is over
                               <-- WantJobs        a session has left a job behind
                               <-- Full            no more sessions, please: those that run are the last
      Ping                     -->                 does the hub turn?
                               <-- Pong            it does
                               <-- Used            what its sessions have done since it said so last
      Retire                   -->                 exit, after the last session
                               <-- NeedAdjudicator a zone's connection broke, or may be needed soon
      Adjudicator [connection] -->                 another one; without descriptor: it does not answer
      Deserted                 -->                 from the seed: the agent is gone
      Adopt                    -->                 there is another one, which asks what there is
                               <-- Surviving [client] a session, or a run of jobs
                               <-- Adopted         that was all

Descriptors stand in brackets. Sessions and runs of jobs have numbers, which the agent gives and never
gives again. A query processor cannot open connections itself: its sandbox forbids it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dsql.transaction.usage import Usage


class Assign(msgspec.Struct, frozen=True, tag="assign", array_like=True):
    """What a query processor belongs to from now on.

    `azs` are those with storage replicas of the cluster, the preferred one first. `uid` is the operating
    system user to become (None: stay). `profile_changes`: sessions may set dsql.profile. Sessions that
    are silent for `park_seconds` are given back.

    `since` is when the agent began, microseconds since 1970.

    `voucher` here and in what follows is to be shown to another agent, should one come.

    With it come two descriptors for each zone, a reader's slot and the FIFO to its writer
    (`storage.reader_slot`).
    """

    cluster: str
    profile: str
    azs: list[str]
    uid: int | None
    profile_changes: bool = False
    park_seconds: float = float("inf")
    voucher: bytes = b""
    since: int = 0


class Ready(msgspec.Struct, frozen=True, tag="ready", array_like=True):
    """`missing` names the parts of the sandbox that this kernel does not have."""

    missing: list[str]


class Serve(msgspec.Struct, frozen=True, tag="serve", array_like=True):
    """An encoded HandedSession."""

    number: int
    handed: bytes
    voucher: bytes = b""


class Ears(msgspec.Struct, frozen=True, array_like=True):
    """What a session that is parked listens to, behind a commit timestamp: see `dsql.session.listening`."""

    channels: tuple[str, ...]
    heard: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Resume(msgspec.Struct, frozen=True, tag="resume", array_like=True):
    """A session by its record. Unless it `parks`, the agent has no room for it: it should stay.

    Up to the timestamp `heard` nothing was told to the channels that it listens to.
    """

    number: int
    record: bytes
    parks: bool = True
    voucher: bytes = b""
    heard: int = 0


class Started(msgspec.Struct, frozen=True, tag="started", array_like=True):
    """What was sent with Serve or Resume is in hand."""

    number: int


class Parked(msgspec.Struct, frozen=True, tag="parked", array_like=True):
    """A session as its record, with the socket that it came with.

    It is to be resumed when its client says something, and at `deadline` at the latest (CLOCK_MONOTONIC).
    `voucher` here and in `Moved` is the one that it came with, for an agent that was not there then.
    `activity` is what others may hear of the session: see `dsql.session.activity`. With `ears` it is to be
    resumed when something is told to them, too.
    """

    number: int
    record: bytes
    deadline: float
    voucher: bytes = b""
    activity: bytes = b""
    ears: Ears | None = None


class Moved(msgspec.Struct, frozen=True, tag="moved", array_like=True):
    """A session as its record, with the socket that it came with, to be resumed in another process.

    The snapshot of its transaction is shown in this one until `Release`.
    """

    number: int
    record: bytes
    voucher: bytes = b""


class Release(msgspec.Struct, frozen=True, tag="release", array_like=True):
    """The session that has moved is in other hands, which show its snapshot, or it is over."""

    number: int


class Busy(msgspec.Struct, frozen=True, tag="busy", array_like=True):
    """What the process has done since it said so last, or lately. One that does little says nothing.

    `share` is the percentage of the time in which it has computed, `ready` how many of its sessions on the
    average waited for their turn meanwhile, in hundredths; `long`: one statement computes and computes.
    """

    share: Annotated[int, msgspec.Meta(ge=0, le=100)]
    ready: Annotated[int, msgspec.Meta(ge=0)]
    long: bool


class Shed(msgspec.Struct, frozen=True, tag="shed", array_like=True):
    """Let so many sessions go whose clients' turn it is; fewer if it is so in fewer, or others stay."""

    count: int


class Evacuate(msgspec.Struct, frozen=True, tag="evacuate", array_like=True):
    """You hang, and will be killed: let all sessions go that could move now, and end."""


class RunJobs(msgspec.Struct, frozen=True, tag="run_jobs", array_like=True):
    """Work off the cluster's background jobs: index builds, removals."""

    number: int
    voucher: bytes = b""


class Cancel(msgspec.Struct, frozen=True, tag="cancel", array_like=True):
    """Cancel the statement that a session runs; one that has ended, or runs none, is left alone."""

    number: int


class Terminate(msgspec.Struct, frozen=True, tag="terminate", array_like=True):
    """End a session, with a word to its client; one that has ended is left alone."""

    number: int


class LookAround(msgspec.Struct, frozen=True, tag="look_around", array_like=True):
    """Find out what the sessions of the cluster do; one such question at a time."""

    inquiry: int


class Report(msgspec.Struct, frozen=True, tag="report", array_like=True):
    """Say what your sessions do."""

    inquiry: int


class Told(msgspec.Struct, frozen=True, tag="told", array_like=True):
    """What some of them do, encoded; the `last` of so many."""

    inquiry: int
    activities: tuple[bytes, ...]
    last: bool


class Surveyed(msgspec.Struct, frozen=True, tag="surveyed", array_like=True):
    """What some sessions of the cluster do; the `last` part of the answer."""

    inquiry: int
    activities: tuple[bytes, ...]
    last: bool


class Signal(msgspec.Struct, frozen=True, tag="signal", array_like=True):
    """Cancel what a session of the cluster runs, or end it. Who may ask for that is the asker's affair."""

    process_id: int
    ends: bool


class Gone(msgspec.Struct, frozen=True, tag="gone", array_like=True):
    """The process of these sessions of the cluster has ended lately, and they with it."""

    process_ids: tuple[int, ...]


class Ended(msgspec.Struct, frozen=True, tag="ended", array_like=True):
    """The session, or the run of background jobs, is over.

    `cut`: the run did not come to its end; there has to be another one.
    """

    number: int
    cut: bool = False


class Full(msgspec.Struct, frozen=True, tag="full", array_like=True):
    """The process has grown large: it ends with the last of its sessions, and wants no new ones."""


class WantJobs(msgspec.Struct, frozen=True, tag="want_jobs", array_like=True):
    """There are new background jobs; some query processor of the cluster should run them."""


class Ping(msgspec.Struct, frozen=True, tag="ping", array_like=True):
    """Give a sign in the hub's next turn."""


class Pong(msgspec.Struct, frozen=True, tag="pong", array_like=True):
    """The hub turns. So many of its sessions have made temporary tables, which take so many bytes."""

    temporary_sessions: Annotated[int, msgspec.Meta(ge=0)] = 0
    temporary_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class Used(msgspec.Struct, frozen=True, tag="used", array_like=True):
    """What the sessions have done and not been metered for yet. A liar cheats its own cluster."""

    usage: Usage


class Retire(msgspec.Struct, frozen=True, tag="retire", array_like=True):
    """Exit as soon as no session runs; none will be given any more."""


class NeedAdjudicator(msgspec.Struct, frozen=True, tag="need_adjudicator", array_like=True):
    """A connection to a zone's adjudicator is wanted; `az` "": to the one that most likely leads."""

    az: str


class Adjudicator(msgspec.Struct, frozen=True, tag="adjudicator", array_like=True):
    """A connection to the adjudicator of `az`, as a descriptor.

    The likely leader's comes unasked, and those of the other zones before the agent leaves.
    """

    az: str = ""


class Deserted(msgspec.Struct, frozen=True, tag="deserted", array_like=True):
    """There is no agent: go on without one, and say nothing, until `Adopt`."""


class Adopt(msgspec.Struct, frozen=True, tag="adopt", array_like=True):
    """There is an agent again, which knows nothing of this process: show it all vouchers."""


class Surviving(msgspec.Struct, frozen=True, tag="surviving", array_like=True):
    """A session that runs here, with its client's socket; or a run of jobs."""

    voucher: bytes


class Adopted(msgspec.Struct, frozen=True, tag="adopted", array_like=True):
    """There is no more. `voucher` is the assignment's, b"" if there was none; `full`: no more sessions."""

    voucher: bytes
    full: bool = False


ToQueryProcessor = (
    Assign
    | Serve
    | Resume
    | Shed
    | Release
    | Evacuate
    | RunJobs
    | Cancel
    | Terminate
    | Report
    | Surveyed
    | Gone
    | Ping
    | Retire
    | Adjudicator
    | Deserted
    | Adopt
)
ToAgent = (
    Ready
    | Started
    | Parked
    | Moved
    | Busy
    | Ended
    | Full
    | Pong
    | Used
    | LookAround
    | Told
    | Signal
    | NeedAdjudicator
    | WantJobs
    | Surviving
    | Adopted
)

EARS_BYTES_MAX = 4 * 1024  # the names of channels of a session that is parked
TOLD_AT_ONCE = 64  # of what sessions do, in one packet

encode = msgspec.msgpack.Encoder().encode
_from_agent: msgspec.msgpack.Decoder[ToQueryProcessor] = msgspec.msgpack.Decoder(ToQueryProcessor)
_from_query_processor: msgspec.msgpack.Decoder[ToAgent] = msgspec.msgpack.Decoder(ToAgent)
decode_from_agent = _from_agent.decode
decode_from_query_processor = _from_query_processor.decode
