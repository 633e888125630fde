"""What the command line makes of the replicated state of learning."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from weftmesh.cli.commands.learn_change import _former, _new, _raised
from weftmesh.cli.learning_text import goal_text, has_learner, learning_json, spec_of, stamp_text, word
from weftmesh.core.clock import ms_to_stamp
from weftmesh.core.errors import NotFoundError, PreconditionError
from weftmesh.core.forecast.finish_averaging import ROUNDS
from weftmesh.core.learning.model import RoundStage, VersionStage
from weftmesh.core.learning.outcomes import Verb
from weftmesh.learning.v1 import learning_pb2, row_pb2
from weftmesh.learning.v1.command_pb2 import NoisePolicy

SPEC = learning_pb2.JobSpec(head="effort", goal_version=62, l2=0.5)


def job(**fields: object) -> row_pb2.Job:
    made = row_pb2.Job(
        name="effort",
        spec=SPEC.SerializeToString(),
        contributors_floor=4,
        threshold_percent=70,
        interval_s=9,
        version=3,
    )
    made.MergeFrom(row_pb2.Job(**fields))  # type: ignore[arg-type]  # each test names real fields
    return made


def goal_of(spec: bytes) -> int:
    return learning_pb2.JobSpec.FromString(spec).goal_version


def test_a_new_job_begins_with_two_versions_that_no_training_made() -> None:
    made = _new("effort", 60)
    assert goal_of(made.spec) == 62
    assert (made.job, made.contributors_floor, made.version) == ("effort", 3, 0)


@pytest.mark.parametrize(("head", "rounds"), [("effort", 60), ("finish", ROUNDS)])
def test_each_head_has_as_many_rounds_as_it_was_measured_with(head: str, rounds: int) -> None:
    made = _new(head, None)
    assert learning_pb2.JobSpec.FromString(made.spec) == learning_pb2.JobSpec(head=head, goal_version=2 + rounds)
    known = row_pb2.Job(name=head, spec=made.spec, newest_version=2 + rounds)
    assert goal_of(_raised(known, None).spec) == 2 + 2 * rounds


def test_no_job_is_made_that_nobody_could_train() -> None:
    with pytest.raises(NotFoundError, match="makes jobs for effort, finish"):
        _new("lottery", 1)


@pytest.mark.parametrize(("newest", "goal"), [(10, 67), (62, 67), (100, 105)])
def test_a_goal_is_raised_from_where_the_job_is_or_will_be(newest: int, goal: int) -> None:
    assert goal_of(_raised(job(newest_version=newest), 5).spec) == goal


def test_nothing_else_of_a_job_changes_with_its_goal() -> None:
    noise = NoisePolicy(clip=1.0, sigma=2.0, budget_nano_rho=7)
    raised = _raised(job(noise=noise), 5)
    assert (raised.contributors_floor, raised.threshold_percent, raised.interval_s, raised.version) == (4, 70, 9, 3)
    assert raised.noise == noise
    assert learning_pb2.JobSpec.FromString(raised.spec).l2 == 0.5
    assert not _raised(job(), 5).HasField("noise")


def test_the_job_of_a_newer_release_is_left_alone() -> None:
    with pytest.raises(PreconditionError, match="upgrade"):
        _raised(row_pb2.Job(name="effort", spec=b"\xff\xff"), 5)


def test_a_rollback_goes_to_what_was_active_last() -> None:
    stages = [(1, VersionStage.SUPERSEDED, 9), (2, VersionStage.SUPERSEDED, 5), (3, VersionStage.RETIRED, 12)]
    versions = [row_pb2.Version(number=one, stage=stage, activated_revision=at) for one, stage, at in stages]
    assert _former(learning_pb2.Learning(versions=versions)) == 1
    assert _former(learning_pb2.Learning(versions=versions[2:])) == 0


def test_json_has_words_and_times() -> None:
    stamp = ms_to_stamp(1_780_000_000_000)
    view = learning_pb2.Learning(
        jobs=[job()],
        rounds=[row_pb2.Round(id=b"\x01\x02", kind=1, stage=4, opened_stamp=stamp)],
        versions=[row_pb2.Version(number=1, stage=2, added_stamp=stamp)],
        events=[row_pb2.LearningEvent(verb=6, stamp=stamp)],
    )
    shown = learning_json(view)
    assert shown["jobs"][0]["spec"]["head"] == "effort"
    assert shown["rounds"][0] | {"id": "0102", "kind": "training", "stage": "abandoned"} == shown["rounds"][0]
    assert shown["rounds"][0]["opened_time"] == "2026-05-28T20:26:40+00:00"
    assert shown["rounds"][0]["ended_time"] is None
    assert shown["versions"][0]["stage"] == "active"
    assert shown["events"][0]["verb"] == "round-opened"
    assert shown["events"][0]["time"] == "2026-05-28T20:26:40+00:00"


def test_what_a_newer_release_says_is_shown_as_a_number() -> None:
    assert word(RoundStage, 99) == "99"
    assert word(Verb, int(Verb.VERSION_ROLLED_BACK)) == "version-rolled-back"
    assert spec_of(row_pb2.Job(spec=b"\xff\xff")) == learning_pb2.JobSpec()
    assert stamp_text(0) == ""


def test_a_first_goal_says_which_versions_no_round_of_training_makes() -> None:
    assert goal_text(0, 10).startswith("versions 3 to 10: one of each training round")
    assert "version 1 is a seed and 2 the untrained model" in goal_text(0, 10)


def test_a_later_goal_counts_on_from_where_the_job_is() -> None:
    assert goal_text(10, 18).startswith("versions 11 to 18: one of each training round")
    assert "seed" not in goal_text(10, 18)


@pytest.mark.parametrize("scheme", ["", "unix:"])
def test_a_learner_is_there_where_its_socket_is(tmp_path: Path, scheme: str) -> None:
    target = f"{scheme}{tmp_path}/api.sock"
    assert not has_learner(target)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "learner.sock"))
        assert has_learner(target)
