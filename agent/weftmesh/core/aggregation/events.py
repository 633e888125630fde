"""What the two machines are told besides each other's messages, and what they tell their process to do."""

from __future__ import annotations

from dataclasses import dataclass

from weftmesh.core.aggregation.keys import Mask
from weftmesh.core.aggregation.memory import ContributorMemory
from weftmesh.core.aggregation.messages import ContributorMessage, CoordinatorMessage, MaskedInput, UnmaskIntent


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class TermShown:
    """This node's own replica says that `term` is current."""

    term: int


@dataclass(frozen=True, slots=True)
class IntentShown:
    """This node's own replica holds the intent. Never make one of what a coordinator sent."""

    intent: UnmaskIntent


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """The secrets of the round are gone; `reason` is empty when it was finished."""

    round_id: bytes
    reason: str = ""


# Contributor: effects


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this to the coordinator."""

    message: ContributorMessage


@dataclass(frozen=True, slots=True)
class MaskVector:
    """Train, apply the masks, each `keys.bound_to_work`, to the vector once, and send it with `announcement`.

    A second vector under the same masks would tell the difference of the two; the same bytes may be sent again.
    """

    masks: tuple[Mask, ...]
    announcement: MaskedInput


@dataclass(frozen=True, slots=True)
class Remember:
    """Make this durable before any later effect is carried out."""

    memory: ContributorMemory


# Coordinator: events


@dataclass(frozen=True, slots=True)
class Start:
    """Invite the contributors."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of `sender`, whom its certificate has named."""

    sender: str
    message: ContributorMessage


@dataclass(frozen=True, slots=True)
class ContributorLost:
    """`name` cannot be reached or has refused: there is no use in waiting for it at this stage."""

    name: str


@dataclass(frozen=True, slots=True)
class IntentRefused:
    """The replicated log did not take the intent; `message` says why."""

    message: str


# Coordinator: effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send this to one contributor."""

    receiver: str
    message: CoordinatorMessage


@dataclass(frozen=True, slots=True)
class CountVector:
    """Add the vector that came with this contributor's MaskedInput to the sum. Without this effect, drop it."""

    contributor: str


@dataclass(frozen=True, slots=True)
class CommitIntent:
    """Propose the intent to the replicated log; an IntentShown or an IntentRefused has to follow."""

    intent: UnmaskIntent


@dataclass(frozen=True, slots=True)
class TakeOff:
    """Apply these masks, each `keys.bound_to_work`, to the sum: out comes the plain sum of `contributors`' vectors."""

    masks: tuple[Mask, ...]
    contributors: tuple[str, ...]


ContributorEvent = CoordinatorMessage | IntentShown | TermShown | Tick
ContributorEffect = Reply | MaskVector | Remember | RoundEnded
CoordinatorEvent = Start | Received | ContributorLost | IntentShown | IntentRefused | TermShown | Tick
CoordinatorEffect = Send | CountVector | CommitIntent | TakeOff | RoundEnded
