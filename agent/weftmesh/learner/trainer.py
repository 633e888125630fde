"""Does what a round asks of this node, if that is what the round was opened for; bounds what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from time import time
from typing import Final, Protocol

import numpy as np

from weftmesh.core.errors import ForbiddenError, InvalidInputError, PreconditionError
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.core.learning.moments import AHEAD_S
from weftmesh.runtime.masking import CLIP
from weftmesh.runtime.round_settings import LABELS_MIN, RoundSettings
from weftmesh.runtime.sum_limits import WEIGHT_MAX
from weftmesh.runtime.training_messages import ConfigValue, LocalEvaluation, LocalUpdate

LOSS: Final = "loss"
MODEL_LOSS: Final = "model_loss"
BASELINE_LOSS: Final = "baseline_loss"
"""Names of metrics: of training, and of evaluation."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What this node's own replica says that the round under way is for.

    Attributes:
        head: what the job forecasts.
        kind: what is summed.
        base_sha256: of the base version's bytes; None for statistics, which need no model.
        projects: ids of those that this node trains on.
        as_of_s: the moment as of which tasks are read, Unix seconds: with others, a coordinator could slide it past one
            task after another and subtract the sums. None for any, where no coordinator chooses.
        labels_min: a team with fewer labels is left out. With another number for each question, a coordinator would
            learn how many labels a node has from whether it has an answer.
        noise: what the job promises.
    """

    head: str
    kind: RoundKind
    base_sha256: bytes | None
    projects: tuple[str, ...]
    as_of_s: int | None = None
    labels_min: int = LABELS_MIN
    noise: NoisePolicy | None = None


class HeadTrainer(Protocol):
    """Knows one head: its models, and how this node's tasks become what is summed. All may raise a WeftmeshError."""

    def count(self, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        """What features need to know of this node's tasks, to be added up."""

    def train(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        """What training from `model` changes."""

    def evaluate(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalEvaluation:
        """How `model` does on tasks that were never trained on."""


class RoundTrainer:
    """Implements `app.Trainer`: hands a round's work to the trainer of its head.

    A coordinator that had training done in a round that was opened for something else would get two sums over one base
    version, and could subtract them; so the settings and the model have to be those of the assignment.

    Args:
        heads: by name.
        now: Unix seconds, by this node's own clock.
    """

    def __init__(self, heads: Mapping[str, HeadTrainer], now: Callable[[], float] = time) -> None:
        self._heads = heads
        self._now = now
        self._assignment: Assignment | None = None

    def assign(self, assignment: Assignment | None) -> None:
        """Set what may be done until the next call; None for nothing."""
        self._assignment = assignment

    def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
        """See `app.Trainer`: the sums of a training round, or of one that counts.

        Raises:
            ForbiddenError: it is not what the round was opened for.
            InvalidInputError: what came out must not reach the sum.
        """
        assignment, head, settings = self._checked(model, config)
        if settings.kind is RoundKind.STATISTICS:
            update = head.count(assignment.projects, settings)
        elif settings.kind is RoundKind.TRAINING:
            update = head.train(model, assignment.projects, settings)
        else:
            raise _not_assigned(f"{settings.kind.name.lower()} by a message of type train")
        return bounded(replace(update, weight=min(update.weight, WEIGHT_MAX[settings.kind])))

    def evaluate(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalEvaluation:
        """See `app.Trainer`.

        Raises:
            ForbiddenError: it is not what the round was opened for.
        """
        assignment, head, settings = self._checked(model, config)
        if settings.kind is not RoundKind.EVALUATION:
            raise _not_assigned(f"{settings.kind.name.lower()} by a message of type evaluate")
        evaluation = head.evaluate(model, assignment.projects, settings)
        return replace(evaluation, weight=min(evaluation.weight, WEIGHT_MAX[settings.kind]))

    def _checked(
        self, model: bytes, config: Mapping[str, ConfigValue]
    ) -> tuple[Assignment, HeadTrainer, RoundSettings]:
        settings, assignment = RoundSettings.from_config(config), self._assignment
        if assignment is None:
            raise _not_assigned("work outside of a round")
        if (settings.head, settings.kind) != (assignment.head, assignment.kind):
            raise _not_assigned(f"{settings.kind.name.lower()} of {settings.head}")
        if assignment.base_sha256 is not None and sha256(model).digest() != assignment.base_sha256:
            raise _not_assigned("a model that is not the base version in this node's replica")
        if settings.labels_min != assignment.labels_min:
            raise _not_assigned(f"teams of {settings.labels_min} labels or more")
        if not settings.is_for(assignment.noise):
            raise _not_assigned(f"noise of sigma {settings.noise_sigma:g} at a clip of {settings.noise_clip:g}")
        if assignment.as_of_s not in (None, settings.as_of_s):
            raise _not_assigned(f"tasks as of {settings.as_of_s:.0f}")
        if settings.as_of_s > self._now() + AHEAD_S:
            raise PreconditionError(
                f"the round reads tasks as of {settings.as_of_s:.0f} and it is {self._now():.0f} here: set the clocks "
                "of this node and of the one that leads",
                reason="MOMENT_AHEAD",
            )
        head = self._heads.get(settings.head)
        if head is None:
            raise PreconditionError(
                f"this release does not train {settings.head}; upgrade this node", reason="HEAD_UNKNOWN"
            )
        return assignment, head, settings


def bounded(update: LocalUpdate) -> LocalUpdate:
    """The update itself, if every word of its vector fits the fixed point without being cut.

    Raises:
        InvalidInputError: a number is too large or not finite.
    """
    largest = float(np.max(np.abs(update.change), initial=0.0)) * update.weight
    # What is not finite compares false.
    if not largest <= CLIP:
        raise InvalidInputError(
            f"an update with a number of {largest:g} does not fit a sum; look for labels or a model that are not what "
            "they should be",
            reason="UPDATE_INVALID",
        )
    return update


def _not_assigned(what: str) -> ForbiddenError:
    return ForbiddenError(
        f"the coordinator asks for {what}, which is not what the mesh opened this round for; nothing was done",
        reason="NOT_ASSIGNED",
    )
