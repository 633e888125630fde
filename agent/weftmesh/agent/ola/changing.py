"""Turns what people and the node's processes ask for into commands of the replicated log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zlib import crc32

from weftmesh.agent.board.machine_log import MachineLog, error_of
from weftmesh.agent.ola.clock_doubt import ClockDoubt
from weftmesh.agent.ola.replica import Replica
from weftmesh.agent.ola.sense import check_sense
from weftmesh.agent.ola.signing import WindowSigner
from weftmesh.agent.serving.requests import Call, fresh_request_id
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.replicated.outcomes import OlaOutcome
from weftmesh.ola.v1 import agreement_pb2, ola_pb2
from weftmesh.ola.v1.command_pb2 import OlaCommand
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.ola_agreements import check_known
from weftmesh.runtime.wire.ola_commands import decode_ola_command
from weftmesh.runtime.wire.requests import parse_request_id

Log = MachineLog[OlaOutcome]


class Changes:
    """Checks what is asked for, and writes it.

    Args:
        node: this node's name.
        replica: for previews.
        log: of the mesh.
        clock: stamps commands.
        signer: signs this node's windows.
        now_ms: the wall clock, in milliseconds since 1970.
    """

    def __init__(
        self,
        node: str,
        replica: Replica,
        log: Log,
        clock: HybridClock,
        signer: WindowSigner,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._node = node
        self._replica = replica
        self._log = log
        self._clock = clock
        self._signer = signer
        self._now_ms = now_ms
        self._doubt = ClockDoubt()

    async def change(self, asked: ola_pb2.ChangeAgreementsRequest, call: Call) -> ola_pb2.ChangeAgreementsResponse:
        """Write a change, or say what would come of it.

        Raises:
            WeftmeshError: it makes no sense, says something that this version does not know, or was refused.
        """
        kind = asked.WhichOneof("change")
        if kind is None:
            raise InvalidInputError("the request names no change that this node knows; set one, or upgrade the node")
        check_known(asked, "the change")
        command = OlaCommand()
        getattr(command, kind).CopyFrom(getattr(asked, kind))
        if kind == "set_override" and not command.set_override.mode:
            command.set_override.mode = agreement_pb2.ROUTE_MODE_OBSERVE
        if kind == "add_exclusion" and not command.add_exclusion.exclusion.author:
            command.add_exclusion.exclusion.author = call.caller.actor
        return await self._write(command, parse_request_id(asked.request_id), call, validate_only=asked.validate_only)

    async def record(self, asked: ola_pb2.RecordWindowRequest, call: Call) -> ola_pb2.ChangeAgreementsResponse:
        """Write what this node counted in a window.

        Raises:
            WeftmeshError: it was refused, or this node's clock seems to be wrong.
        """
        others = (one.starts_s for one in self._replica.agreements.read.windows() if one.node != self._node)
        self._doubt.check(asked.starts_s, max(others, default=0), asyncio.get_running_loop().time())
        command = OlaCommand()
        command.record_window.node = self._node
        command.record_window.starts_s = asked.starts_s
        command.record_window.counts.extend(asked.counts)
        return await self._write(command, b"", call)

    async def confirm(self, asked: ola_pb2.ConfirmWindowRequest, call: Call) -> ola_pb2.ChangeAgreementsResponse:
        """Sign what this node recorded, and write that.

        Raises:
            WeftmeshError: this node's replica does not have the window, or it was refused.
        """
        command = OlaCommand()
        command.confirm.node = self._node
        command.confirm.starts_s = asked.starts_s
        command.confirm.agreements.extend(asked.agreements)
        command.confirm.signature = self._signer.sign(command.confirm)
        return await self._write(command, b"", call)

    async def _write(
        self,
        command: OlaCommand,
        request_id: bytes,
        call: Call,
        *,
        validate_only: bool = False,
    ) -> ola_pb2.ChangeAgreementsResponse:
        command.request_digest = crc32(f"{call.caller.user}\0".encode() + command.SerializeToString(deterministic=True))
        command.request_id = request_id or fresh_request_id()
        command.actor = call.caller.actor
        command.stamp = self._clock.tick(self._now_ms())
        decoded = decode_ola_command(command)  # what nobody can read does not enter the log
        await check_sense(decoded, self._replica.agreements.read.in_force())
        if validate_only:
            outcome = self._replica.agreements.preview(decoded)
            if not outcome.ok:
                raise error_of(outcome)
            return _response(outcome)
        return _response(await self._log.write(command, call.remaining_s))


def _response(outcome: OlaOutcome) -> ola_pb2.ChangeAgreementsResponse:
    return ola_pb2.ChangeAgreementsResponse(
        kind=outcome.kind,
        revision=outcome.revision,
        subject=outcome.subject,
        number=outcome.current_version,
    )
