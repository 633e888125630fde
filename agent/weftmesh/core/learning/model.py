"""What is known of learning: jobs, opt-outs, rounds, unmask intents, versions of models and their evaluations."""

from __future__ import annotations

from dataclasses import field
from enum import IntEnum
from typing import Final

from weftmesh.core.records import record


class Limits:
    """Bounds of what the machine accepts and keeps. What is beyond a bound is refused, never cut."""

    JOBS: Final = 64
    OPT_OUTS: Final = 4_096
    SPEC_BYTES: Final = 16 * 1024
    CONTRIBUTORS_FLOOR: Final = 3
    """With two contributors a sum shows each of them the other's part."""
    CONTRIBUTORS: Final = 256
    """Of one round: a sum of more vectors could wrap around."""
    BLOB_HOLDERS: Final = 1_024
    METRICS: Final = 32
    HEADS: Final = 8
    NOTE_CHARACTERS: Final = 200
    VERSIONS_KEPT: Final = 32
    """The newest ones of a job, beside those that a rollback may name."""
    ROLLBACK_VERSIONS_KEPT: Final = 16
    """Versions of a job that were active and are not now, the latest to be so."""
    ROUNDS_KEPT: Final = 64
    """Rounds of a job that are over, the newest."""
    INTENTS_KEPT: Final = 1_024
    """Intents of a job, the newest, beside those on versions that are kept: a model that was summed over so many rounds
    ago may be summed over again."""
    EVENTS_KEPT: Final = 4_096


class RoundKind(IntEnum):
    """What is summed. Numbers are written to disk."""

    TRAINING = 1
    EVALUATION = 2
    """What a version does on the contributors' held-out examples."""
    STATISTICS = 3
    """What features need to know of all texts, such as document counts."""


class RoundStage(IntEnum):
    """How far a round came. Numbers are written to disk."""

    OPEN = 1
    INTENT = 2
    """It is settled whose sum is unmasked; nobody else's on this base version ever is."""
    DONE = 3
    ABANDONED = 4


class AbandonCause(IntEnum):
    """Why a round was given up, where that changes what is done next. Numbers are written to disk."""

    OTHER = 0
    ANSWERED_BEFORE = 1
    """Contributors that it needs had answered in a round on its base version, which the log knows nothing of, as after
    a restore from a backup. They always refuse: the base version is as good as closed."""


class VersionStage(IntEnum):
    """What a version is good for. Numbers are written to disk."""

    CANDIDATE = 1
    ACTIVE = 2
    """The one that forecasts are made with; at most one of a job."""
    SUPERSEDED = 3
    """Was active and is fit to be so again."""
    RETIRED = 4
    """Rolled back from, or given up."""


@record(frozen=True, slots=True)
class Coordinator:
    """The node that leads learning, in the Raft term in which it leads."""

    node: str
    term: int


@record(frozen=True, slots=True)
class NoisePolicy:
    """Differential privacy of a job: every unmasked sum costs `privacy.sum_cost_nano_rho` of the budget.

    The unit of privacy is a node: what is hidden is whether its vector is in a sum or nothing in its place.
    """

    clip: float
    """The most that one contributor's vector may weigh: update, weight and metrics together (L2 norm)."""
    sigma: float
    """The standard deviation of each number's noise in a sum, when as few stay as may and the colluders take theirs
    out."""
    budget_nano_rho: int
    """All that may be spent, in billionths of rho (zero-concentrated differential privacy)."""
    delta: float = 1e-6
    """What is spent is told as an epsilon at this delta; nothing else depends on it."""
    colluders: int = 1
    """So many contributors may pool what they know. The node that leads knows its own noise if it contributes."""


@record(frozen=True, slots=True)
class Metric:
    """A figure by name."""

    name: str
    value: float


@record(frozen=True, slots=True)
class HeadSums:
    """Sums over all contributors of what one head of a model did on held-out examples."""

    head: str
    examples: float
    model_loss: float
    """Of the model, over all examples; the smaller the better."""
    baseline_loss: float
    """Of each contributor's own baseline, such as its median, over the same examples."""
    further: tuple[Metric, ...] = ()


@record(frozen=True, slots=True)
class Job:
    """Something that is learned, such as effort; at most one round of it is under way."""

    name: str
    spec: bytes
    """What is trained and how: opaque here."""
    contributors_floor: int
    threshold_percent: int
    """Of a roster of n, more than this share has to be left to unmask; see `threshold`."""
    noise: NoisePolicy | None
    interval_s: int
    """Between two rounds that nobody asked for; 0 for none."""
    version: int
    """Of the definition: one more with each change of it by a person."""
    enabled: bool
    coordinator: Coordinator
    """The newest one that was heeded; of term 0 before the first."""
    round_id: bytes = b""
    """Of the round under way; empty for none."""
    active_version: int = 0
    """0 for none."""
    newest_version: int = 0
    spent_nano_rho: int = 0
    """The privacy ledger: the cost of every intent that was ever committed."""
    as_of_s: int = 0
    """The newest moment as of which tasks were read for a sum, Unix seconds; 0 before the first."""

    def threshold(self, roster_size: int) -> int:
        """How many of a roster have to be active: floor(n * percent / 100) + 1, so always more than half."""
        return min(roster_size, roster_size * self.threshold_percent // 100 + 1)


@record(frozen=True, slots=True)
class OptOut:
    """A node whose owner takes no part."""

    node: str
    job: str
    """Empty for every job."""
    why: str
    actor: str
    stamp: int


@record(frozen=True, slots=True)
class Round:
    """One secure sum over contributors."""

    id: bytes
    """16 bytes."""
    job: str
    kind: RoundKind
    base_version: int
    """The version that the contributors start from."""
    coordinator: Coordinator
    contributors: tuple[str, ...]
    """Who is asked, or the roster once it is fixed; sorted."""
    roster_sha256: bytes
    """Of the signed roster; empty while it is not known."""
    stage: RoundStage
    opened_revision: int
    opened_stamp: int
    why: str = ""
    """It was abandoned."""
    result_version: int = 0
    """What it made."""
    ended_stamp: int = 0
    as_of_s: int = 0
    """Contributors read their tasks as of this moment, Unix seconds."""
    cause: AbandonCause = AbandonCause.OTHER

    @property
    def is_under_way(self) -> bool:
        """Whether it is neither done nor abandoned."""
        return self.stage in (RoundStage.OPEN, RoundStage.INTENT)


@record(frozen=True, slots=True)
class UnmaskIntent:
    """Whose sum on a base version is unmasked. There is one for each job, kind and base version, for ever."""

    job: str
    kind: RoundKind
    base_version: int
    round_id: bytes
    roster_sha256: bytes
    active: tuple[str, ...]
    """Whose masked vectors are in the sum; sorted."""
    dead: tuple[str, ...]
    """The rest of the roster; sorted."""
    coordinator: Coordinator
    base_sha256: bytes
    """Of the base version, so that the same model does not come back under another number."""
    nano_rho: int
    """What it cost the privacy budget."""


@record(frozen=True, slots=True)
class Version:
    """A model: where it comes from and how to know its bytes, which are kept elsewhere."""

    job: str
    number: int
    parent: int
    """0 for none."""
    sha256: bytes
    size_bytes: int
    contributors: int
    """In the sum that made it; 0 for a model that no round made."""
    metrics: tuple[Metric, ...]
    signer: Coordinator
    round_id: bytes
    """Empty for a model that no round made."""
    nano_rho: int
    """What its round cost the privacy budget."""
    blob_holders: int
    """Nodes that held its bytes when it was added."""
    stage: VersionStage
    added_stamp: int
    activated_revision: int = 0
    """When it last became the active one; 0 for never."""
    as_of_s: int = 0
    """What was written later, Unix seconds, was not learned from; 0 for a model that begins a training."""


@record(frozen=True, slots=True)
class Evaluation:
    """What a version did on the held-out examples of its contributors: the newest result of each version."""

    job: str
    version: int
    round_id: bytes
    contributors: int
    heads: tuple[HeadSums, ...] = field(default=())
    stamp: int = 0


Row = Job | OptOut | Round | UnmaskIntent | Version | Evaluation
"""What the machine keeps a table of."""
