"""A job that promises noise is not learned by a release that adds none: its budget would be spent on a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.learner.learners import JOB, FakeNode, Learners

from weftmesh.core.aggregation.messages import Invitation
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.local_node import view_of
from weftmesh.learner.node import JobView
from weftmesh.learning.v1 import command_pb2, learning_pb2, row_pb2
from weftmesh.runtime.wire.envelopes import LearnerRefusal


class NoisyNode(FakeNode):
    def job(self, name: str, base_version: int, wait_s: float = 0.0) -> JobView:
        return replace(super().job(name, base_version, wait_s), wants_noise=True)


def test_a_learner_refuses_a_job_whose_noise_nobody_would_add(tmp_path: Path) -> None:
    learners = Learners(tmp_path)
    one = learners.nodes["n00"]
    learners.nodes["n00"] = NoisyNode(one.name, one.replica, one.tasks)
    learners.learners["n00"] = learners.learner("n00")
    answer = learners.ask("n00", Invitation(learners.terms(RoundKind.TRAINING, 1, 10)))
    assert isinstance(answer, LearnerRefusal)
    assert answer.reason == "NOISE_UNSUPPORTED"


def test_a_job_with_a_budget_wants_noise() -> None:
    job = row_pb2.Job(name=JOB, enabled=True)
    assert not view_of(learning_pb2.Learning(jobs=[job]), JOB, "n1").wants_noise
    job.noise.CopyFrom(command_pb2.NoisePolicy(clip=1.0, sigma=5.0, budget_nano_rho=10**9))
    assert view_of(learning_pb2.Learning(jobs=[job]), JOB, "n1").wants_noise
