"""What a learner needs of its own node, as plain blocking calls for its worker thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from weftmesh.core.aggregation.messages import UnmaskIntent
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.forecast.finish_features import BoardTask
from weftmesh.core.forecast.text import TaskText
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.runtime.round_settings import LABELS_MIN


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as this node's own replica has it.

    Attributes:
        term: the Raft term that the node knows of.
        head: what the job forecasts, such as effort; empty when the job is not known here.
        enabled: whether it is learned.
        opted_out: whether this node's owner takes no part in it.
        projects: ids of the projects that this node trains on.
        versions: SHA-256 of the model by version number; of the base version that was asked for, once it is known.
        intents: over that base version, one for each kind of sum at most.
        labels_min: what the job says; see RoundSettings.
        noise: what the job promises for its sums; None when it promises nothing.
        round_id: of the round under way; empty for none.
        as_of_s: the moment as of which the round under way reads tasks, Unix seconds; 0 while there is none.
    """

    term: int
    head: str = ""
    enabled: bool = False
    opted_out: bool = False
    projects: tuple[str, ...] = ()
    versions: Mapping[int, bytes] = field(default_factory=dict)
    intents: tuple[UnmaskIntent, ...] = ()
    labels_min: int = LABELS_MIN
    noise: NoisePolicy | None = None
    round_id: bytes = b""
    as_of_s: int = 0


@dataclass(frozen=True, slots=True)
class LabelledTask:
    """A task that is done, and what it took. Its text is never printed.

    Attributes:
        name: projects/{project}/tasks/{id}.
        version: goes up with every change of the task.
        created_s: when it was made, Unix seconds; where it was imported from, if it was.
        updated_s: when it was written last.
        effort: the estimate, in the team's own scale.
        text: what a person wrote.
    """

    name: str
    version: int
    created_s: float
    updated_s: float
    effort: float
    text: TaskText = field(repr=False)


class Node(Protocol):
    """This node. Every call may block, and may raise a WeftmeshError when the node cannot be asked."""

    def job(self, name: str, base_version: int, round_id: bytes = b"", wait_s: float = 0.0) -> JobView:
        """What the replica says of a job, and of one base version of it.

        Args:
            name: of the job.
            base_version: the version's number; 0 for none.
            round_id: of a round that should be under way; empty for any.
            wait_s: for so long the version and that round are waited for.
        """

    def sign(self, statement: bytes) -> bytes:
        """The signature of this node's certificate."""

    def verify(self, statements: Sequence[SignedStatement]) -> Sequence[bool]:
        """Whether each was signed by the certificate of its contributor, in the same order."""

    def shown_intent(
        self, job: str, kind: RoundKind, round_id: bytes, base_version: int, timeout_s: float
    ) -> UnmaskIntent | None:
        """The intent of a round once the replica holds it; None when it holds none in time, or never will."""

    def labelled_tasks(self, project_id: str) -> Sequence[LabelledTask]:
        """The tasks of a project that are done and have an estimate, all at one revision of the board."""

    def cycle_times(self, project_id: str, as_of_s: float) -> Sequence[BoardTask]:
        """The tasks of a project with their times, as they were known at a moment in Unix seconds."""
