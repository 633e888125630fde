"""When a majority is gone for good: one survivor goes on alone. Breaks what Raft promises, on purpose, and says so.

The survivor keeps all that it has. It appends a configuration of itself alone, in a term far beyond any that the others
may have come to, and syncs it; as the only voter it then elects itself and commits its whole log. What others committed
and this one never got is lost. Nodes of the old configuration must be wiped: to them this node is a voter that is away.
"""

from __future__ import annotations

from weftmesh.agent.raft.core.membership import Configuration, to_membership
from weftmesh.agent.raft.core.reading import Reading
from weftmesh.agent.raft.ports import Entry
from weftmesh.core.errors import PreconditionError
from weftmesh.mesh.v1 import raft_pb2

TERMS_AHEAD = 1 << 20
"""An election a second would take the others twelve days to come to such a term."""


class Recovering(Reading):
    """One method, for people in need."""

    def become_sole_voter(self) -> int:
        """Make this node the only voter, durable when this returns; it leads from the next tick on.

        Returns:
            The index of the entry that says so.

        Raises:
            PreconditionError: it leads, or holds no log of a mesh.
        """
        name = self._parts.name
        if self.leads:
            raise PreconditionError(f"{name} leads, so there is a majority; nothing has to be recovered")
        if name not in self.configuration.members:
            raise PreconditionError(f"{name} is no member of a mesh; recover on one of its members")
        address = self.configuration.members[name]
        alone = Configuration({name: address})
        self._step_down()
        self._SyncObj__setCurrentTerm(self._term + TERMS_AHEAD, None)
        index = self._storage.last_index + 1
        payload = raft_pb2.LogPayload(membership=to_membership(*alone)).SerializeToString()
        self._storage.append([Entry(index, self._term, payload)])
        self._storage.sync()
        self._configurations.push(index, alone)
        self._configuration_changed()
        return index
