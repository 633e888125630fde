"""Who votes, and in which term: the hazards of membership."""

from __future__ import annotations

from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.agent.raft.core.membership import NO_MEMBERS, Configuration, Configurations, Voters
from weftmesh.agent.raft.core.pin import FOLLOWER, LEADER, monotonic_s
from weftmesh.agent.raft.core.stock import CoreParts, Peer, StockCore, peer_of

LONG_AGO_S = float("-inf")
SEEDS_LIMIT = 256
"""Addresses from outside of the log; beyond it only the newest are kept."""


class Voting(StockCore):
    """pysyncobj's elections under the configuration of the log instead of a list given at start."""

    def __init__(self, parts: CoreParts) -> None:
        self._configurations = Configurations(0, NO_MEMBERS)
        self._heard_leader_s = LONG_AGO_S
        self._handing_over = False
        self._settled = False
        self._seeds = dict(parts.seeds)
        self._members: set[Peer] = set()
        super().__init__(parts)

    # membership

    @property
    def configuration(self) -> Configuration:
        """The one in effect."""
        return self._configurations.current

    @property
    def voters(self) -> Voters:
        """Those of the configuration in effect."""
        return self._configurations.voters

    @property
    def votes(self) -> bool:
        """Whether this node is among them."""
        return self._parts.name in self._configurations.voters

    def _configuration_changed(self) -> None:
        """Make every quorum that pysyncobj counts, and the transport, follow the configuration in effect."""
        now_s = monotonic_s()
        others = {peer_of(name) for name in self.voters if name != self._parts.name}
        for peer in others - self._others:
            self._match[peer] = 0
            self._last_response_s[peer] = now_s
        self._others = others
        self._members = {peer_of(name) for name in self.configuration.members if name != self._parts.name}
        self._settled = False
        self._parts.set_peers(self._addresses())

    def _settle_configuration(self) -> None:
        """Once the configuration is committed, those it left behind need not be reached any more."""
        if not self._settled and self._commit >= self._configurations.index:
            self._settled = True
            self._parts.set_peers(self._addresses())

    def _addresses(self) -> dict[str, str]:
        """Whom to be connected to: the other members, and whoever may let this node in while it is none.

        Those that a change left out are among them until it is committed: the leader may be one.
        """
        known = self._configurations.since(self._commit)
        leader = self._leader.name if self._leader is not None else self._parts.name
        if self._parts.name not in known or leader not in {*known, self._parts.name}:
            # a member that missed the entry which let its leader in must still be able to answer it
            known = {**self._seeds, **known}
        known.pop(self._parts.name, None)
        return known

    def _learn_leader(self, name: str, address: str) -> None:
        """A leader that joined while this node was away says where it is, so that it can be answered."""
        if self._seeds.get(name) == address:
            return
        self._seeds = {**self._seeds, name: address} if len(self._seeds) < SEEDS_LIMIT else {name: address}
        self._parts.set_peers(self._addresses())

    # terms

    def _superseded(self, peer: Peer, term: int) -> bool:
        """A member's answer from a later term deposes this node; pysyncobj's carry no term, so it never learns.

        A node that is no member has no say in who leads, whatever term it has come to. An observer has one, because
        nothing that an earlier leader sends could reach it any more; it never campaigns, so it had that term from one
        that did.
        """
        if term <= self._term or peer not in self._members:
            return False
        self._SyncObj__setCurrentTerm(term, None)
        self._step_down()
        return True

    def _step_down(self) -> None:
        self._SyncObj__setState(FOLLOWER)
        self._leader = None

    def _follow(self, leader: Peer, term: int) -> None:
        """Accept the leader of a term that is not past.

        Raises:
            ProtocolError: this node leads that term itself.
        """
        if term == self._term and self.leads:
            raise ProtocolError(f"{leader.name} claims to lead term {term}, which this node leads")
        if term > self._term:
            self._told_to_campaign = False
            self._SyncObj__setCurrentTerm(term, None)
        self._SyncObj__setState(FOLLOWER)
        if leader != self._leader:
            self._leader = leader
            self._parts.set_peers(self._addresses())
        self._heard_leader_s = monotonic_s()
        if not self._told_to_campaign:
            self._new_election_deadline()

    def _hears_leader(self) -> bool:
        """Whether the leader that this node follows spoke lately: one that turned it away never answers again."""
        return self._leader is not None and self._heard_leader_s > monotonic_s() - self._settings.election_max_s

    def _on_state_changed(self, old: int, _new: int) -> None:
        """A leader that gave up waits like any follower; its old deadline passed long ago."""
        if old == LEADER:
            self._handing_over = False
            self._new_election_deadline()
