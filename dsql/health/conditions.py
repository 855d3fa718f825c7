"""What the roles' accounts of themselves mean: what is wrong, how bad that is, and what to do. Pure.

The words for what is wrong are those of docs/OPERATIONS.md, which has a line on each. A role says most of
them itself; what none can say of itself, that it does not answer or that nobody leads, is concluded here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from dsql.control.layout import ClusterRecord
from dsql.health.collect import OK, RoleStatus, is_relay

BEHIND_SECONDS_MAX = 10.0  # a zone's storage replica may be so late before that is worth a line


class Severity(enum.IntEnum):
    """How bad it is, and the exit status of `dsql status`, which is that of a monitoring plugin."""

    FINE = 0
    DEGRADED = 1  # everything works, with less in reserve, or in part
    DOWN = 2  # nobody can commit, or read, or connect


class Condition(msgspec.Struct, frozen=True):
    """One thing that is wrong: its word, where, in a sentence, and what to do about it.

    `cluster`, `az` and `role` are empty where it concerns all of them.
    """

    word: str
    severity: Severity
    cluster: str
    az: str
    role: str
    text: str
    advice: str


class Meaning(NamedTuple):
    """What a role's word says."""

    severity: Severity
    text: str
    advice: str


ITSELF = "nothing: it mends itself; if it stays, see the zone's log"
# The words of roles, each a value that is not 0 while it holds.
MEANINGS = {
    "lost": Meaning(
        Severity.DEGRADED,
        "the journal has lost its log or cannot prove it whole: it counts for nothing until the other "
        "zones have restored it",
        ITSELF,
    ),
    "damaged": Meaning(
        Severity.DEGRADED,
        "damage was found on the disk, and is being repaired from the other zones",
        "nothing for the data; a disk that does this again should be replaced",
    ),
    "suspected": Meaning(
        Severity.DEGRADED,
        "a reader has met damage or was crashed: others read elsewhere until all pages are looked at",
        ITSELF,
    ),
    "failed": Meaning(
        Severity.DEGRADED,
        "the disk refused a write or a sync, so the log was set aside",
        "see to the disk: a new log is tried for by itself, and the other zones fill it",
    ),
    "full": Meaning(
        Severity.DEGRADED,
        "the disk is full: new writes are refused with 53100 where most zones are",
        "make room; writes go on by themselves",
    ),
    "rebuilding": Meaning(Severity.DEGRADED, "the replica is being made anew", ITSELF),
    "throttled": Meaning(
        Severity.DEGRADED,
        "commits are slowed down, because storage does not keep up with them",
        "fewer writes, or a faster disk or processor for the zones that are behind",
    ),
    "electing": Meaning(Severity.DOWN, "commits wait for a leader", ITSELF),
    "blocked": Meaning(
        Severity.DOWN,
        "the leader has no majority of journals that it reaches and that have room: commits are refused",
        "bring the other zones back, or the network between them, or make room on full disks",
    ),
    "stranded": Meaning(
        Severity.DOWN,
        "most journals have lost their logs, perhaps with acknowledged commits in them: nobody can lead",
        "put the folder of one back as it was, or choose a log to go on with: dsql recover",
    ),
}
UNANSWERED = "does not answer"
_ISOLATED = (
    "isolated",
    Meaning(
        Severity.DEGRADED,
        "the zone does not know the leader, or takes itself for it, though another one leads",
        "see to the network between the zones; it follows by itself",
    ),
)


def conditions(clusters: Sequence[ClusterRecord], roles: Sequence[RoleStatus]) -> list[Condition]:
    """Return what is wrong, the worst first."""
    found = [*_silent(roles)]
    for cluster in clusters:
        own = [role for role in roles if role.az in cluster.azs]
        found += _said(cluster.identifier, own)
        if not is_at_rest(cluster.identifier, own):
            found += _unopened(cluster.identifier, own)
            found += _leaderless(cluster.identifier, own, found)
        found += _majorities(cluster, own)
    return sorted(found, key=lambda condition: -condition.severity)


def severity(found: Iterable[Condition]) -> Severity:
    """Return the worst of what is wrong."""
    return max((condition.severity for condition in found), default=Severity.FINE)


def leader_of(cluster: str, roles: Iterable[RoleStatus]) -> str:
    """Return the zone that leads a cluster, "" if none says so. Of several, the newest epoch's does."""
    claims = [
        (int(str(values.get("epoch", 0))), role.az)
        for role in roles
        if role.role == "adjudicator"
        and (values := role.of_cluster(cluster)).get("leader") == role.az
        and values.get("phase") == "OPEN"
    ]
    return max(claims, default=(0, ""))[1]


def is_at_rest(cluster: str, roles: Iterable[RoleStatus]) -> bool:
    """Return whether nobody uses a cluster: of the adjudicators that answer, none has a seat in it."""
    answering = [role for role in roles if role.role == "adjudicator" and role.health == OK]
    return bool(answering) and not any(role.of_cluster(cluster) for role in answering)


def _silent(roles: Iterable[RoleStatus]) -> Iterator[Condition]:
    roles = list(roles)
    doors = [role for role in roles if is_relay(role)]
    shut = all(role.health != OK for role in doors)
    for role in roles:
        if role.health != OK:
            needed = role.role in ("placement", "agent") or (is_relay(role) and shut)
            severity = Severity.DOWN if needed else Severity.DEGRADED
            text = f"{UNANSWERED} ({role.health})"
            yield Condition("silent", severity, "", role.az, role.role, text, _RESTARTED)


_RESTARTED = (
    "nothing if `dsql up` runs: it starts it again; else start it; its log says why it ended"
)


def _said(cluster: str, roles: Sequence[RoleStatus]) -> Iterator[Condition]:
    leader = leader_of(cluster, roles)
    for role in roles:
        values = role.of_cluster(cluster)
        for word, meaning in MEANINGS.items():
            if values.get(word):
                if meaning.severity is Severity.DOWN and leader not in ("", role.az):
                    word, meaning = _ISOLATED  # it speaks for itself only
                yield Condition(word, meaning[0], cluster, role.az, role.role, *meaning[1:])
        behind = values.get("behind_seconds", 0)
        if isinstance(behind, int | float) and behind > BEHIND_SECONDS_MAX:
            text = f"{behind:.0f} s behind the newest commit: reads go to other zones"
            yield Condition("behind", Severity.DEGRADED, cluster, role.az, role.role, text, ITSELF)


def _unopened(cluster: str, roles: Iterable[RoleStatus]) -> Iterator[Condition]:
    """Yield the replicas that are not there though their process is."""
    for role in roles:
        values = role.of_cluster(cluster)
        if role.health != OK or role.role not in ("journal", "storage"):
            continue
        if not values or values.get("state") == "opening":
            text = "the replica is not open"
            yield Condition("opening", Severity.DEGRADED, cluster, role.az, role.role, text, ITSELF)


def _majorities(cluster: ClusterRecord, roles: Sequence[RoleStatus]) -> Iterator[Condition]:
    needed = len(cluster.azs) // 2 + 1
    at_rest = is_at_rest(cluster.identifier, roles)
    journals = [role for role in roles if role.role == "journal"]
    sound = sum(_votes(cluster, role, at_rest, _NO_VOTE) for role in journals)
    if sound < needed:
        text = f"{sound} of {len(cluster.azs)} journals can take a commit, and {needed} must"
        with_room = sum(_votes(cluster, role, at_rest, _NO_LOG) for role in journals)
        advice = MEANINGS["full"].advice if with_room >= needed else _GONE
        yield Condition("outvoted", Severity.DOWN, cluster.identifier, "", "journal", text, advice)
    stored = [role for role in roles if role.role == "storage" and _is_read(cluster, role, at_rest)]
    if not stored:
        text = "no zone's storage can be read"
        yield Condition(
            "unreadable", Severity.DOWN, cluster.identifier, "", "storage", text, ITSELF
        )


_GONE = "bring the zones named here back; with their logs lost for good: dsql recover"
_NO_LOG = ("lost", "failed")
_NO_VOTE = (*_NO_LOG, "full")


def _votes(cluster: ClusterRecord, role: RoleStatus, at_rest: bool, without: Sequence[str]) -> bool:
    """Return whether a journal is there and says none of some words."""
    values = role.of_cluster(cluster.identifier)
    is_there = bool(values) or (at_rest and role.health == OK)
    return is_there and not any(values.get(word) for word in without)


def _is_read(cluster: ClusterRecord, role: RoleStatus, at_rest: bool) -> bool:
    values = role.of_cluster(cluster.identifier)
    is_there = bool(values) or (at_rest and role.health == OK)
    return is_there and values.get("state") != "opening"


def _leaderless(
    cluster: str, roles: Sequence[RoleStatus], found: Sequence[Condition]
) -> Iterator[Condition]:
    told = any(c.cluster == cluster and c.word in ("electing", "stranded") for c in found)
    if not told and not leader_of(cluster, roles):
        severity, text, advice = MEANINGS["electing"]
        yield Condition("electing", severity, cluster, "", "adjudicator", text, advice)
