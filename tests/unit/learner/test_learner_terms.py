"""A term is what the node's own replica says: nobody talks a learner out of listening to the next coordinator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.learner.learners import Learners

from weftmesh.core.aggregation.encoding import INTEGER_MAX
from weftmesh.core.aggregation.messages import Invitation
from weftmesh.core.forecast.features import COUNTS_LENGTH
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.memory_file import MemoryFile
from weftmesh.runtime.wire.envelopes import LearnerRefusal


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
