"""A term is what the node's own replica says, and a round's terms are those that were joined: no talk moves them."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.learner.learners import JOB, Learners, add_version

from weftmesh.core.aggregation.messages import Invitation
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.encoding import INTEGER_MAX
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import COUNTS_LENGTH, DIMENSIONS, DocumentCounts
from weftmesh.core.forecast.model_bytes import encode_model
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.learner.memory_file import MemoryFile
from weftmesh.runtime.round_settings import RoundSettings, noise_settings
from weftmesh.runtime.wire.envelopes import LearnerRefusal, Letter, Work

STATISTICS = DocumentCounts.of([]).statistics()
ZEROES = array("f", bytes(4 * DIMENSIONS))


def test_a_term_that_the_replica_has_not_seen_is_refused_and_not_remembered(tmp_path: Path) -> None:
    learners = Learners(tmp_path)
    for name in learners.names:
        terms = replace(learners.terms(RoundKind.STATISTICS, 0, COUNTS_LENGTH + 1), term=INTEGER_MAX)
        answer = learners.ask(name, Invitation(terms))
        assert isinstance(answer, LearnerRefusal)
        assert answer.reason == "TERM_UNKNOWN"
    outcome = learners.round(RoundKind.STATISTICS, COUNTS_LENGTH)
    assert outcome.mean is not None, learners.refused
    assert MemoryFile(learners.state_dir("n00")).load().term == learners.replica.term


def test_a_mesh_that_was_restored_begins_its_terms_anew_and_goes_on_learning(tmp_path: Path) -> None:
    learners = Learners(tmp_path)
    learners.replica.term = 40
    assert learners.round(RoundKind.STATISTICS, COUNTS_LENGTH).mean is not None
    learners.replica.term = 2
    learners.learners = {name: learners.learner(name) for name in learners.names}
    outcome = learners.round(RoundKind.STATISTICS, COUNTS_LENGTH, base_version=1)
    assert outcome.mean is not None, learners.refused
    learners.refused.clear()
    assert learners.round(RoundKind.STATISTICS, COUNTS_LENGTH).mean is None
    assert {one.reason for one in learners.refused.values()} == {"ALREADY_ANSWERED"}


class ReadingOtherTerms(Learners):
    """Their coordinator invites them to the round that they are in, under other terms, before it asks for work."""

    def __init__(self, directory: Path, **other: object) -> None:
        super().__init__(directory)
        self.other = other
        self.joined: RoundTerms | None = None

    def ask(self, name: str, letter: Letter, job: str = JOB) -> Letter:
        if isinstance(letter, Invitation):
            self.joined = letter.terms
        if isinstance(letter, Work) and self.joined is not None:
            again = super().ask(name, Invitation(replace(self.joined, **self.other)))  # type: ignore[arg-type]  # by name
            assert isinstance(again, LearnerRefusal)
        return super().ask(name, letter, job)


def test_a_model_that_the_round_joined_is_not_about_is_not_trained(tmp_path: Path) -> None:
    """Else the same model could be summed in two rounds, each on another base version in the log."""
    learners = ReadingOtherTerms(tmp_path, base_version=2)
    models = [encode_model(EffortModel(number, ZEROES, ZEROES, STATISTICS)) for number in (1, 2)]
    for number, model in enumerate(models, 1):
        add_version(learners.replica, number, model)
    outcome = learners.round(RoundKind.TRAINING, DIMENSIONS, base_version=1, model=models[1], metrics=("loss",))
    assert outcome.mean is None
    assert {one.reason for one in learners.refused.values()} == {"NOT_ASSIGNED"}


def test_the_noise_is_that_of_the_round_joined(tmp_path: Path) -> None:
    """Where more contributors are sure to stay, each adds less; nobody may say so once the keys are out."""
    many = tuple(sorted({f"n{number:02}" for number in range(100)}))
    learners = ReadingOtherTerms(tmp_path, contributors=many, threshold=100)
    learners.replica.noise = NoisePolicy(clip=0.5, sigma=2.0, budget_nano_rho=10**9, colluders=1)
    settings = RoundSettings("effort", RoundKind.STATISTICS, **noise_settings(learners.replica.noise))  # type: ignore[arg-type]  # one is whole
    with suppress(InvalidInputError):  # the weights may add up to less than nothing
        learners.round(RoundKind.STATISTICS, COUNTS_LENGTH, settings=settings)
    assert learners.total is not None, learners.refused
    # Three stay of three, each with noise for two.
    assert float(np.std(learners.total)) == pytest.approx(2.0 * math.sqrt(3 / 2), rel=0.03)
