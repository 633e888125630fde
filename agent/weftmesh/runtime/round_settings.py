"""What a coordinator tells learners about one round beside the model; written and read in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from weftmesh.core.aggregation.terms import CONTRIBUTORS_MAX
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.core.noise.shares import CLIP_RANGE, SIGMA_RANGE

Value = bool | int | float | str | bytes
"""What a setting of Flower may be."""

LOCAL_STEPS_MAX: Final = 50
LEARNING_RATE_MAX: Final = 10.0
L2_MAX: Final = 1.0
UPDATE_CLIP_MAX: Final = 4.0
"""No node's update is longer, whatever a coordinator allows."""
LABELS_MIN: Final = 5


@dataclass(frozen=True, slots=True)
class RoundSettings:
    """Of one round, the same for all contributors. See JobSpec in learning.proto for where most of it comes from.

    Attributes:
        head: what is forecast: effort or finish.
        kind: what is summed.
        as_of_s: Unix seconds; what was written later is not trained on, so that all rounds of a training see the same
            tasks. 0 for now.
        local_steps: gradient steps.
        learning_rate: of a step.
        l2: pull of the weights to 0, per unit of weight.
        update_clip: an update is shortened to this Euclidean length.
        labels_min: a team with fewer labels is left out.
        noise_clip: of the job's NoisePolicy, 0 for a job without. A node adds the noise that its own replica asks for;
            being told lets it refuse where the two differ.
        noise_sigma: likewise.
        noise_colluders: likewise.
    """

    head: str
    kind: RoundKind
    as_of_s: float = 0.0
    local_steps: int = 5
    learning_rate: float = 1.0
    l2: float = 1e-3
    update_clip: float = UPDATE_CLIP_MAX
    labels_min: int = LABELS_MIN
    noise_clip: float = 0.0
    noise_sigma: float = 0.0
    noise_colluders: int = 0

    def is_for(self, noise: NoisePolicy | None) -> bool:
        """Whether the noise that these settings tell is that of a job's policy."""
        told = {name: getattr(self, name) for name in noise_settings(noise)}
        return told == noise_settings(noise)

    def to_config(self) -> dict[str, Value]:
        """As settings of a Flower message."""
        return asdict(self) | {"kind": int(self.kind)}

    @classmethod
    def from_config(cls, config: Mapping[str, Value]) -> RoundSettings:
        """The inverse of `to_config`; settings that this version does not know are not looked at.

        Raises:
            InvalidInputError: one is missing, of another type or out of its bounds.
        """
        given = {one.name: config[one.name] for one in fields(cls) if one.name in config}
        head, number = given.pop("head", None), given.pop("kind", None)
        if not isinstance(head, str) or number not in [int(kind) for kind in RoundKind]:
            raise _invalid("head or kind", "is missing, or not one that this version knows")
        numbers = {name: _number(name, value) for name, value in given.items()}
        settings = cls(head, RoundKind(int(number)), **numbers)  # type: ignore[arg-type]  # the two counts are whole
        settings._check()
        return settings

    def _check(self) -> None:
        bounds = {
            "as_of_s": (0.0, 1e11),
            "local_steps": (1, LOCAL_STEPS_MAX),
            "learning_rate": (1e-6, LEARNING_RATE_MAX),
            "l2": (0.0, L2_MAX),
            "update_clip": (1e-6, UPDATE_CLIP_MAX),
            "labels_min": (LABELS_MIN, 1_000_000),
            "noise_clip": (0.0, CLIP_RANGE[1]),
            "noise_sigma": (0.0, SIGMA_RANGE[1]),
            "noise_colluders": (0, CONTRIBUTORS_MAX - 1),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise _invalid(name, f"is {getattr(self, name)!r}, not {low:g} to {high:g}")


def noise_settings(noise: NoisePolicy | None) -> dict[str, float | int]:
    """The part of a round's settings that tells its noise."""
    if noise is None:
        return {"noise_clip": 0.0, "noise_sigma": 0.0, "noise_colluders": 0}
    return {"noise_clip": noise.clip, "noise_sigma": noise.sigma, "noise_colluders": noise.colluders}


def _number(name: str, value: Value) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(name, "is no number")
    if name in ("local_steps", "labels_min", "noise_colluders"):
        if value != int(value):
            raise _invalid(name, "is no whole number")
        return int(value)
    return float(value)


def _invalid(name: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"setting {name} of a round {why}; mend the job's specification", reason="ROUND_SETTINGS_INVALID"
    )
