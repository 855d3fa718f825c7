"""What one zone's adjudicator knows of the others, and when it is its turn to claim a cluster. Free of I/O.

Nothing here decides who leads: the journal does, by epochs. This only keeps zones from claiming when
they need not, or all at once:

- As long as the leader is believed to live, nobody claims. One that stops leads on until it lays its lead
  down: what is under way with it comes to its end first.
- A zone claims if a majority of the cluster's zones, itself included, holds the leader for gone. A zone
  that only cannot hear the leader itself, or could not win for want of others, deposes nobody.
- A leader that says itself that it hears no majority is as good as gone: it speaks, and nothing can be
  committed with it.
- Of those, the first in the order of the cluster's record claims at once, the others some
  milliseconds later, with jitter, and not while one of them says that it is claiming.
- Who stands alone waits long and claims then: it may be that only our connections are broken.

Who was refused waits as well, longer each time, until somebody leads (`adjudicator.server`).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

RANK_SECONDS = 0.03  # about what an election takes
JITTER_SECONDS = 0.01
CLAIMING_SECONDS = 0.5  # how long others are waited for that say that they are claiming
LONELY_SECONDS = 3.0


class Lead(NamedTuple):
    """Who led a cluster in its newest known epoch; `az` is "" if that one has laid it down."""

    epoch: int
    az: str


class Peer:
    """Another zone, as it is heard. Nothing is believed of one that is not `heard`."""

    def __init__(self) -> None:
        self.heard = False
        self.suspect = False
        self.suspects: frozenset[str] = frozenset()  # of its own

    @property
    def speaks(self) -> bool:
        """True if it is in reach and not taken for hung."""
        return self.heard and not self.suspect

    def lives(self, az: str) -> bool:
        """Return whether it, `az`, speaks and does not stop."""
        return self.speaks and az not in self.suspects


class Electorate:
    """The zones and what is known of every cluster's lead."""

    def __init__(self, own: str, chance: Random) -> None:
        self.own = own
        self.stopping = False  # tells so by suspecting itself
        self.leads: dict[str, Lead] = {}
        self.peers: dict[str, Peer] = {}
        self._chance = chance
        self._claiming: dict[str, tuple[str, float]] = {}

    @property
    def successors(self) -> bool:
        """True if there is another zone that could lead in our place."""
        return any(peer.lives(az) for az, peer in self.peers.items())

    @property
    def suspects(self) -> frozenset[str]:
        """The zones that are gone, or hang."""
        gone = frozenset(az for az, peer in self.peers.items() if not peer.lives(az))
        return gone | {self.own} if self.stopping else gone

    def lives(self, az: str) -> bool:
        """Return whether a zone is believed to be able to lead. The own one is."""
        if az == self.own:
            return not self.stopping
        return az in self.peers and self.peers[az].lives(az) and not self._is_deaf(az)

    def leader(self, cluster: str) -> str:
        """Return the zone that leads, "" if none is known that speaks."""
        lead = self.leads.get(cluster)
        return lead.az if lead is not None and self._leads_on(lead.az) else ""

    def in_reach(self, azs: Sequence[str]) -> bool:
        """Return whether a majority of zones speaks, so that there is a leader or will be one."""
        return sum(map(self._speaks, azs)) > len(azs) // 2

    def _speaks(self, az: str) -> bool:
        return az == self.own or (az in self.peers and self.peers[az].speaks)

    def _leads_on(self, az: str) -> bool:
        return self._speaks(az) and not self._is_deaf(az)

    def learn(self, cluster: str, lead: Lead) -> bool:
        """Take in who leads, from whomever; return whether that is news."""
        known = self.leads.get(cluster)
        if known is not None and (lead.epoch, not lead.az) <= (known.epoch, not known.az):
            return False
        self.leads[cluster] = lead
        self._claiming.pop(cluster, None)
        return True

    def forget(self, cluster: str) -> None:
        """A cluster is no more."""
        self.leads.pop(cluster, None)
        self._claiming.pop(cluster, None)

    def claims(self, cluster: str, az: str, now: float) -> None:
        """Another zone says that it claims a cluster."""
        self._claiming[cluster] = (az, now + CLAIMING_SECONDS)

    def claim_after(self, cluster: str, azs: Sequence[str], now: float) -> float | None:
        """Return in how many seconds it is our turn to claim; None: not as things stand."""
        if self.leader(cluster) or self.own not in azs or self.stopping:
            return None
        gone = self.leads[cluster].az if cluster in self.leads else ""
        agreeing = [az for az in azs if az == self.own or self._agrees(az, gone)]
        if len(agreeing) <= len(azs) // 2:
            return LONELY_SECONDS * (1 + self._chance.random())
        rank = agreeing.index(self.own)
        wait = rank * RANK_SECONDS + min(rank, 1) * self._chance.random() * JITTER_SECONDS
        rival, until = self._claiming.get(cluster, ("", 0.0))
        return wait + max(0.0, until - now) if self.lives(rival) else wait

    def _agrees(self, az: str, gone: str) -> bool:
        peer = self.peers.get(az)
        if peer is None or not peer.lives(az):
            return False
        return not gone or gone in peer.suspects or self._is_deaf(gone)

    def _is_deaf(self, az: str) -> bool:
        """Return whether a zone says that it hears no majority, itself included."""
        peer, zones = self.peers.get(az), len(self.peers) + 1
        return peer is not None and peer.lives(az) and zones - len(peer.suspects) <= zones // 2
