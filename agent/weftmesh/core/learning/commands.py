"""What can be asked of the learning machine. A coordinator's command carries its term; of a past one it is refused."""

from __future__ import annotations

from weftmesh.core.board.commands import Header
from weftmesh.core.learning.model import AbandonCause, Coordinator, HeadSums, Metric, NoisePolicy, RoundKind
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class DefineJob:
    """Make a job, enabled, or change its definition while no round of it is under way."""

    header: Header
    job: str
    spec: bytes
    contributors_floor: int
    threshold_percent: int
    noise: NoisePolicy | None = None
    interval_s: int = 0
    version: int = 0
    """Of the definition that the writer saw; 0 for a new job."""


@record(frozen=True, slots=True)
class SwitchJob:
    """Enable or disable a job. A disabled one opens no round and unmasks none."""

    header: Header
    job: str
    enabled: bool


@record(frozen=True, slots=True)
class SetOptOut:
    """Take a node out of one job or of all, or let it take part again: its owner decides."""

    header: Header
    node: str
    job: str = ""
    """Empty for every job."""
    out: bool = True
    why: str = ""


@record(frozen=True, slots=True)
class OpenRound:
    """Begin a round. A newer term's takes the place of one that has no intent."""

    header: Header
    job: str
    coordinator: Coordinator
    round_id: bytes
    kind: RoundKind
    base_version: int
    contributors: tuple[str, ...]
    roster_sha256: bytes = b""
    """Of the signed roster, whose members the contributors are; empty while it is not known."""
    as_of_s: int = 0
    """Contributors read their tasks as of this moment, Unix seconds; see `moments`."""


@record(frozen=True, slots=True)
class FixRoster:
    """Say who of those asked takes part, once their signed keys are there."""

    header: Header
    job: str
    coordinator: Coordinator
    round_id: bytes
    contributors: tuple[str, ...]
    roster_sha256: bytes


@record(frozen=True, slots=True)
class CommitIntent:
    """Settle whose sum is unmasked, before it is: contributors answer only when they see this on their own replica."""

    header: Header
    job: str
    coordinator: Coordinator
    round_id: bytes
    base_version: int
    roster_sha256: bytes
    active: tuple[str, ...]
    dead: tuple[str, ...]


@record(frozen=True, slots=True)
class AbandonRound:
    """Give up the round under way. With an intent, its base version stays closed for that kind of round."""

    header: Header
    job: str
    coordinator: Coordinator
    round_id: bytes
    why: str
    cause: AbandonCause = AbandonCause.OTHER


@record(frozen=True, slots=True)
class AddVersion:
    """Add a candidate: what the round under way made, or a model that no round made."""

    header: Header
    job: str
    coordinator: Coordinator
    sha256: bytes
    size_bytes: int
    blob_holders: int
    round_id: bytes = b""
    """Empty for a model that no round made."""
    parent: int = 0
    """Of a model that no round made, 0 for none; a round's parent is its base version."""
    metrics: tuple[Metric, ...] = ()


@record(frozen=True, slots=True)
class RecordEvaluation:
    """End an evaluation round with what it found of its base version."""

    header: Header
    job: str
    coordinator: Coordinator
    round_id: bytes
    heads: tuple[HeadSums, ...]


@record(frozen=True, slots=True)
class ActivateVersion:
    """Forecast with a candidate from now on, if the active version is still the expected one."""

    header: Header
    job: str
    version: int
    expected_active: int
    """0 for none."""
    coordinator: Coordinator | None = None
    """None when a person asks."""
    unevaluated: bool = False
    """A person takes it though nothing shows that it beats the baseline."""


@record(frozen=True, slots=True)
class RollBack:
    """Go back to the active version's parent or to one that was active before; the present one is retired."""

    header: Header
    job: str
    version: int
    expected_active: int
    why: str


@record(frozen=True, slots=True)
class RetireVersion:
    """Give up a version that is not active."""

    header: Header
    job: str
    version: int
    why: str


Command = (
    DefineJob
    | SwitchJob
    | SetOptOut
    | OpenRound
    | FixRoster
    | CommitIntent
    | AbandonRound
    | AddVersion
    | RecordEvaluation
    | ActivateVersion
    | RollBack
    | RetireVersion
)
