"""Writes commands about trust into the mesh's log."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from weftmesh.agent.board.machine_log import MachineLog, error_of
from weftmesh.agent.features import Feature
from weftmesh.agent.rooms import Ground
from weftmesh.agent.serving.requests import fresh_request_id
from weftmesh.core.board.commands import Header
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.trust.commands import BeginRotation, Command, Readmit
from weftmesh.core.trust.machine import Trust
from weftmesh.core.trust.outcomes import TrustOutcome
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.identity.certificates import certificate_in
from weftmesh.runtime.wire.trust_commands import encode_trust_command

READMIT_S: Final = 8.0
"""For a joiner that waits for its certificate."""


class TrustLog:
    """Proposes commands about trust, once every member can take them in."""

    def __init__(self, ground: Ground) -> None:
        self._node = ground.identity.node
        self._mesh = ground.homes.mesh
        self._log = MachineLog(ground.homes.mesh.engine, "trust", TrustOutcome)
        self._clock = ground.clock
        self._features = ground.features

    @property
    def trust(self) -> Trust:
        """The machine as this node's replica has it."""
        return self._mesh.machine.trust

    @property
    def is_ready(self) -> bool:
        """Whether every member can take these commands in."""
        return self._features.ready(Feature.TRUST)

    async def require(self) -> None:
        """Return if every member can take these commands in.

        Raises:
            PreconditionError: FEATURE_NOT_READY, which says who cannot.
        """
        await self._features.require(Feature.TRUST)

    async def write(
        self, make: Callable[[Header], Command], actor: str, timeout_s: float, *, validate_only: bool = False
    ) -> TrustOutcome:
        """Write a command, or say what would come of it; returns its outcome, which is a success.

        Args:
            make: the command, of its header.
            actor: who asks.
            timeout_s: until the outcome is known here.
            validate_only: change nothing.

        Raises:
            WeftmeshError: it was refused, a member cannot take it in, or the outcome is not known.
        """
        await self.require()
        header = Header(actor, self._clock.tick(wall_ms()), fresh_request_id())
        command = make(header)
        _check_readable(command)
        if validate_only:
            outcome = self.trust.preview(command)
            if not outcome.ok:
                raise error_of(outcome)
            return outcome
        return await self._log.write(encode_trust_command(command), timeout_s)

    async def readmit(self, node: str, key_sha256: str) -> None:
        """Accept a revoked node again by a key that it was given since; of any other node nothing has to be said.

        Raises:
            WeftmeshError: as `write` does.
        """
        if self.trust.read.node_revocation(node) is not None:
            await self.write(partial(Readmit, node=node, key_sha256=key_sha256), f"node:{self._node}", READMIT_S)


def _check_readable(command: Command) -> None:
    """The machine reads no certificate: whoever proposes one does."""
    if isinstance(command, BeginRotation) and None in map(certificate_in, (command.present, command.coming)):
        raise InvalidInputError(
            "an authority of the rotation is no certificate; restore identity/ca.pem and identity/ca-next.pem",
            reason="CERTIFICATE_INVALID",
        )
