from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.learning.model import RoundKind
from weftmesh.runtime import flower
from weftmesh.runtime.round_settings import UPDATE_CLIP_MAX, RoundSettings
from weftmesh.runtime.training_messages import instruction, read_instruction

SETTINGS = RoundSettings("effort", RoundKind.TRAINING)
SCALARS = st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)


@given(
    st.builds(
        RoundSettings,
        st.text(max_size=10),
        st.sampled_from(RoundKind),
        st.floats(0, 1e10),
        st.integers(1, 50),
        st.floats(0.01, 10),
        st.floats(0, 1),
        st.floats(0.01, UPDATE_CLIP_MAX),
        st.integers(5, 100),
    )
)
def test_settings_survive_the_way_to_a_learner(settings: RoundSettings) -> None:
    sent = flower.instruct(instruction(b"model", settings.to_config()), flower.MessageType.TRAIN, 77, "round")
    _, config = read_instruction(flower.from_bytes(flower.to_bytes(sent)))
    assert RoundSettings.from_config(config) == settings


def test_what_is_left_out_has_its_default_and_what_is_not_known_is_not_looked_at() -> None:
    assert RoundSettings.from_config({"head": "effort", "kind": 1, "server-round": 3}) == SETTINGS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("head", 3),
        ("kind", 4),
        ("kind", "1"),
        ("as_of_s", -1.0),
        ("local_steps", 0),
        ("local_steps", 2.5),
        ("local_steps", 10_000_000),
        ("learning_rate", math.nan),
        ("learning_rate", "1"),
        ("l2", -0.1),
        ("l2", True),
        ("update_clip", 1e9),
        ("labels_min", 1),
    ],
)
def test_a_setting_out_of_its_bounds_is_refused_by_name(name: str, value: float | str) -> None:
    with pytest.raises(InvalidInputError, match="head or kind" if name in ("head", "kind") else name):
        RoundSettings.from_config({**SETTINGS.to_config(), name: value})


@given(st.dictionaries(st.sampled_from(list(SETTINGS.to_config())), SCALARS))
def test_whatever_is_sent_is_read_or_refused(config: dict[str, bool | int | float | str | bytes]) -> None:
    try:
        settings = RoundSettings.from_config(SETTINGS.to_config() | config)
    except InvalidInputError:
        return
    assert settings.update_clip <= UPDATE_CLIP_MAX
    assert replace(settings) == RoundSettings.from_config(settings.to_config())
