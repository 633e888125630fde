"""Streams between nodes: they come up, delay, lose, repeat and break, and what was on its way may still come late.

The production transport loses messages only when a stream breaks and delivers nothing late or twice; here it does, but
for proposals on their way to a leader, which the engine is promised never to get twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.simulation.world import World

NOT_TWICE = frozenset({"forward_proposals", "reject_proposals", "apply_command", "apply_command_response"})
CONNECT_S = 0.05
"""At most, from the wish for a stream to its being up."""
NOTICE_S = 1.2
"""At most, until a sender finds out that a path or a process is gone."""

Link = tuple[str, str]
"""Sender and receiver."""


class Station(Protocol):
    """A node as the network sees it."""

    name: str
    incarnation: int

    @property
    def up(self) -> bool:
        """Whether its process runs."""

    @property
    def wanted(self) -> Mapping[str, str]:
        """The peers it wants to be connected to."""

    def encode(self, message: Any) -> Any:
        """What goes over the wire."""

    def kind(self, encoded: Any) -> str:
        """The kind of a message."""

    def delivered(self, sender: str, encoded: Sequence[Any]) -> None:
        """Messages arrive together."""

    def linked(self, peer: str, up: bool) -> None:
        """A stream to a peer came up or broke."""


@dataclass
class Conditions:
    """How well the network works in this seed."""

    latency_s: float = 0.001
    jitter_s: float = 0.001
    loss: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    """How likely a message that a broken stream had on its way still arrives."""
    late_s: float = 1.0


@dataclass
class _Stream:
    """One way from a sender to a receiver."""

    up: bool = False
    epoch: int = 0
    """Counts the streams that there were; what an older one carried is lost, or late."""
    arrives_s: float = 0.0
    """When the last message so far arrives: none overtakes another."""
    connecting: bool = False
    outbox: list[Any] = field(default_factory=list)
    on_way: list[list[Any]] = field(default_factory=list)
    held: list[list[Any]] = field(default_factory=list)
    """What waits for a blocked path to open again."""


class Network:
    """All streams."""

    def __init__(self, world: World, conditions: Conditions) -> None:
        self._world = world
        self.conditions = conditions
        self.stations: dict[str, Station] = {}
        self.blocked: set[Link] = set()
        """Ways that are closed at present."""
        self.slow: dict[Link, float] = {}
        """More latency, in seconds."""
        self._streams: dict[Link, _Stream] = {}
        self._unsent: list[tuple[Link, _Stream]] = []

    def join(self, station: Station) -> None:
        """A new node, or a new life of one."""
        self.stations[station.name] = station

    # sending

    def send(self, sender: str, receiver: str, message: Any) -> bool:
        """Queue a message; False without a stream."""
        stream = self._stream((sender, receiver))
        if not stream.up:
            return False
        if not stream.outbox:
            self._unsent.append(((sender, receiver), stream))
        stream.outbox.append(self.stations[sender].encode(message))
        return True

    def connected(self, sender: str, receiver: str) -> bool:
        """Whether there is a stream."""
        return self._stream((sender, receiver)).up

    def flush(self) -> None:
        """What a node queued in one moment leaves together."""
        unsent, self._unsent = self._unsent, []
        for link, stream in unsent:
            batch, stream.outbox = stream.outbox, []
            if batch:
                self._put_on_way(link, stream, batch)

    def _put_on_way(self, link: Link, stream: _Stream, batch: list[Any]) -> None:
        conditions, world = self.conditions, self._world
        if conditions.loss:
            batch = [one for one in batch if not world.chance(conditions.loss)]
        for one in batch:
            if conditions.twice and world.chance(conditions.twice):
                self._arrive_late(link, one, conditions.late_s)
        if not batch:
            return
        delay_s = conditions.latency_s + world.rng.random() * conditions.jitter_s + self.slow.get(link, 0.0)
        stream.arrives_s = max(stream.arrives_s, world.now_s + delay_s)
        stream.on_way.append(batch)
        epoch = stream.epoch
        world.after(stream.arrives_s - world.now_s, lambda: self._arrive(link, stream, epoch))

    def _arrive(self, link: Link, stream: _Stream, epoch: int) -> None:
        if stream.epoch != epoch or not stream.on_way:
            return
        batch = stream.on_way.pop(0)
        if link in self.blocked or stream.held:
            stream.held.append(batch)
            return
        self._deliver(link, batch)

    def _deliver(self, link: Link, batch: Sequence[Any]) -> None:
        receiver = self.stations[link[1]]
        if receiver.up:
            self._world.counts["messages"] += len(batch)
            receiver.delivered(link[0], batch)

    def _arrive_late(self, link: Link, message: Any, within_s: float) -> None:
        if self.stations[link[1]].kind(message) in NOT_TWICE:
            return
        self._world.counts["late or repeated messages"] += 1
        self._world.after(self._world.rng.random() * within_s, lambda: self._deliver_late(link, message))

    def _deliver_late(self, link: Link, message: Any) -> None:
        if link not in self.blocked:
            self._deliver(link, [message])

    # streams

    def settle(self, name: str) -> None:
        """Bring up what a node wants and does not have, and end what it does not want any more."""
        station = self.stations[name]
        for peer in sorted(self.stations):
            if peer == name:
                continue
            link = (name, peer)
            stream = self._stream(link)
            wanted = station.up and peer in station.wanted
            if wanted and not stream.up and not stream.connecting:
                stream.connecting = True
                self._world.after(self._world.rng.random() * CONNECT_S, lambda link=link: self._connect(link))  # type: ignore[misc]
            elif stream.up and not wanted:
                self._break(link)

    def _connect(self, link: Link) -> None:
        stream, (sender, receiver) = self._stream(link), link
        stream.connecting = False
        station, other = self.stations[sender], self.stations[receiver]
        if stream.up or not station.up or receiver not in station.wanted:
            return
        if not other.up or link in self.blocked or (receiver, sender) in self.blocked:
            stream.connecting = True
            self._world.after(CONNECT_S, lambda: self._connect(link))
            return
        stream.up, stream.arrives_s = True, self._world.now_s
        station.linked(receiver, True)

    def reset(self, link: Link) -> None:
        """A stream breaks and its sender notices; it may come up again."""
        if self._stream(link).up:
            self._break(link)
            self.settle(link[0])

    def _break(self, link: Link) -> None:
        """What was on its way is lost, but for a few messages that may come late."""
        stream = self._stream(link)
        stream.up = False
        stream.epoch += 1
        lost = [message for batch in (*stream.held, *stream.on_way) for message in batch]
        stream.on_way, stream.held, stream.outbox = [], [], []
        for message in lost:
            if self._world.chance(self.conditions.late):
                self._arrive_late(link, message, self.conditions.late_s)
        station = self.stations[link[0]]
        if station.up:
            station.linked(link[1], False)

    def gone(self, name: str) -> None:
        """A node's process ended; its peers find out, sooner or later."""
        for link in sorted(link for link, stream in self._streams.items() if stream.up and name in link):
            if link[0] == name:
                self._break(link)
            else:
                self._notice_later(link)

    def _notice_later(self, link: Link) -> None:
        """Its sender finds out in a while, unless the path is open again by then."""
        epoch, life = self._stream(link).epoch, self.stations[link[1]].incarnation

        def notice() -> None:
            stream, receiver = self._stream(link), self.stations[link[1]]
            well = receiver.up and receiver.incarnation == life and not {link, link[::-1]} & self.blocked
            if stream.up and stream.epoch == epoch and not well:
                self.reset(link)

        self._world.after(self._world.rng.random() * NOTICE_S, notice)

    # partitions

    def block(self, links: Sequence[Link]) -> None:
        """Close ways; what is sent waits, and is lost if the sender gives up before they open again."""
        for link in sorted(set(links) - self.blocked):
            self.blocked.add(link)
            for way in (link, (link[1], link[0])):
                if self._stream(way).up:
                    self._notice_later(way)

    def open(self, links: Sequence[Link]) -> None:
        """Open ways again: what waited goes on."""
        for link in sorted(self.blocked & set(links)):
            self.blocked.discard(link)
            stream = self._stream(link)
            held, stream.held = stream.held, []
            for batch in held:
                self._deliver(link, batch)

    def _stream(self, link: Link) -> _Stream:
        stream = self._streams.get(link)
        if stream is None:
            stream = self._streams[link] = _Stream()
        return stream
