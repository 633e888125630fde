"""Turns what the coordinator and people ask for into commands of the replicated log."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from weftmesh.agent.learning.command_log import CommandLog, error_of
from weftmesh.agent.learning.replica import Replica, duty_of
from weftmesh.agent.serving.requests import Call, fresh_request_id
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import ForbiddenError, InvalidInputError, PreconditionError
from weftmesh.core.learning.outcomes import LearningOutcome, Reason
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.command_pb2 import Coordinator, LearningCommand
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.learning_commands import decode_learning_command
from weftmesh.runtime.wire.requests import parse_request_id

_COORDINATORS: Final = frozenset(
    {
        "open_round",
        "fix_roster",
        "commit_intent",
        "abandon_round",
        "add_version",
        "record_evaluation",
        "activate_version",
    }
)
"""The commands that carry a coordinator; the others are people's alone."""
_HEADER: Final = ("request_id", "request_digest", "actor", "stamp")


class Proposals:
    """Checks who may ask for what, and writes it."""

    def __init__(self, node: str, replica: Replica, log: CommandLog, clock: HybridClock) -> None:
        self._node = node
        self._replica = replica
        self._log = log
        self._clock = clock

    async def propose(self, asked: LearningCommand, call: Call) -> learning_pb2.ProposeResponse:
        """Write a command of this node's coordinator.

        Raises:
            WeftmeshError: it is no coordinator's command, this node does not lead in that term, or it was refused.
        """
        kind = asked.WhichOneof("kind")
        if kind not in _COORDINATORS:
            raise InvalidInputError(f"{kind or 'nothing'} is no coordinator's command; people use ChangeLearning")
        self._check_coordinator(getattr(asked, kind).coordinator)
        command = LearningCommand()
        command.CopyFrom(asked)
        return await self._write(command, asked.request_id, call)

    async def change(self, asked: learning_pb2.ChangeLearningRequest, call: Call) -> learning_pb2.ProposeResponse:
        """Write a change that a person asks for.

        Raises:
            WeftmeshError: it is not theirs to make, or it was refused.
        """
        kind = asked.WhichOneof("change")
        if kind is None:
            raise InvalidInputError("the request names no change; set one of its fields")
        command = LearningCommand()
        getattr(command, kind).CopyFrom(getattr(asked, kind))
        if kind == "activate_version" and command.activate_version.HasField("coordinator"):
            raise InvalidInputError("coordinator: a person's activation names none; leave it out")
        if kind == "set_opt_out":
            self._check_owner(command)
        request_id = parse_request_id(asked.request_id)
        return await self._write(command, request_id, call, validate_only=asked.validate_only)

    def _check_coordinator(self, coordinator: Coordinator) -> None:
        if coordinator.node != self._node:
            raise ForbiddenError(
                f"the coordinator is {coordinator.node or 'not named'}, and this is {self._node}: a coordinator writes "
                "on its own node",
                reason="WRONG_COORDINATOR",
            )
        duty = duty_of(self._replica.status)
        if not duty.leads or duty.term != coordinator.term:
            raise PreconditionError(
                f"{self._node} does not lead in term {coordinator.term} (its term is {duty.term}, the leader is "
                f"{duty.leader or 'unknown'}); stand down, and drop what was collected",
                reason=Reason.STALE_TERM.value,
            )

    def _check_owner(self, command: LearningCommand) -> None:
        """A node takes no part, or takes part again, by its owner's word alone: on the node itself."""
        opt_out = command.set_opt_out
        opt_out.node = opt_out.node or self._node
        if opt_out.node != self._node:
            raise ForbiddenError(
                f"whether {opt_out.node} takes part is for its owner to say; do this on {opt_out.node}",
                reason="NOT_THE_OWNER",
            )

    async def _write(
        self, command: LearningCommand, request_id: bytes, call: Call, *, validate_only: bool = False
    ) -> learning_pb2.ProposeResponse:
        for field in _HEADER:
            command.ClearField(field)
        command.request_digest = crc32(f"{call.caller.user}\0".encode() + command.SerializeToString(deterministic=True))
        command.request_id = request_id or fresh_request_id()
        command.actor = call.caller.actor
        command.stamp = self._clock.tick(wall_ms())
        decoded = decode_learning_command(command)  # what nobody can read does not enter the log
        if validate_only:
            outcome = self._replica.learning.preview(decoded)
            if not outcome.ok:
                raise error_of(outcome)
            return _response(outcome)
        return _response(await self._log.write(command, call.remaining_s))


def _response(outcome: LearningOutcome) -> learning_pb2.ProposeResponse:
    return learning_pb2.ProposeResponse(
        kind=outcome.kind,
        revision=outcome.revision,
        subject=outcome.subject,
        current_version=outcome.current_version,
    )
