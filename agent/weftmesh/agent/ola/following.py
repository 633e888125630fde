"""What routes need of agreements, at once and with each change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from weftmesh.agent.ola.replica import Replica
from weftmesh.core.errors import OverloadedError
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.ola.v1 import ola_pb2
from weftmesh.runtime.wire.ola_views import controls_view, in_force_view

FOLLOWERS_MAX: Final = 64


class Following:
    """Streams changes."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._followers = 0

    async def follow(self, after_revision: int) -> AsyncIterator[ola_pb2.AgreementsChange]:
        """What changed since `after_revision`, then with each change that concerns routes.

        A revision that this replica does not have yet is of another life of the mesh: then it is everything.

        Raises:
            OverloadedError: too many follow already.
        """
        if self._followers >= FOLLOWERS_MAX:
            raise OverloadedError(f"{FOLLOWERS_MAX} calls follow agreements here already; end one of them")
        self._followers += 1
        try:
            follower = _Follower(after_revision)
            while True:
                change = follower.next(self._replica.agreements)
                if change is None:
                    await self._replica.moved()
                else:
                    yield change  # the caller may be slow: what changed meanwhile is seen at the next turn
        finally:
            self._followers -= 1


class _Follower:
    """Where one caller is."""

    def __init__(self, revision: int) -> None:
        self._revision = revision
        self._names: set[str] | None = None
        self._controls: ola_pb2.RouteControls | None = None

    def next(self, machine: Agreements) -> ola_pb2.AgreementsChange | None:
        """What the caller does not have; None for nothing."""
        read, is_first = machine.read, self._names is None
        everything = machine.revision < self._revision or (is_first and not self._revision)
        since = 0 if everything else self._revision
        names = {one.name for one in read.in_force()}
        change = ola_pb2.AgreementsChange(revision=machine.revision, everything=everything)
        for generation in read.in_force():
            standing = read.standing(generation.name)
            if standing is not None and standing.revision > since:
                change.agreements.append(in_force_view(machine, generation))
        if is_first or names != self._names:
            change.in_force.names.extend(sorted(names))
            change.in_force.SetInParent()
        controls = controls_view(machine)
        if controls != self._controls:
            change.controls.CopyFrom(controls)
        self._revision, self._names, self._controls = machine.revision, names, controls
        has_news = change.agreements or change.HasField("in_force") or change.HasField("controls")
        return change if has_news or everything else None
