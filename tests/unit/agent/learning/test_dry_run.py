"""What a dry run says would leave, beside what really does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from tests.unit.agent.learning.bench import bench
from tests.unit.agent.learning.team import DAY_S, NOW_S, Team, serve, trained
from tests.unit.core.aggregation.rounds import Mesh, names, terms_for

from weftmesh.agent.learning.round_sizes import EFFORT, FINISH, VECTOR_WORDS, round_sizes
from weftmesh.core.aggregation.messages import KeyAdvertisement, MaskedInput, ShareUpload, UnmaskShares
from weftmesh.core.board.model import Status
from weftmesh.core.forecast.features import BUCKETS, COUNTS_LENGTH, DIMENSIONS, DocumentCounts, raw_features
from weftmesh.core.forecast.finish_averaging import contribution_length, counts_length
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.forecast.model_bytes import encode_model
from weftmesh.core.forecast.text import SHAPE_NAMES, TaskText
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.trainer import BASELINE_LOSS, LOSS, MODEL_LOSS
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.masking import WORD_BYTES, ContributionLayout
from weftmesh.runtime.rpc import from_rpc_error
from weftmesh.runtime.wire.envelopes import Contribution, seal

SIGNATURE_SHORTER_BYTES = 72 - 64
"""The machines of the test sign with Ed25519, nodes with ECDSA."""
MESSAGES = (KeyAdvertisement, ShareUpload, MaskedInput, UnmaskShares)


@pytest_asyncio.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with bench(tmp_path, 1) as nodes:
        yield await Team(nodes[0]).founded()


async def dry_run(team: Team, job: str) -> learning_pb2.DryRunReport:
    async with team.node.stub() as stub:
        report: learning_pb2.DryRunReport = await stub.DryRun(learning_pb2.DryRunRequest(job=job), timeout=10)
        return report


# Sizes


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("kind", list(RoundKind))
def test_sizes_are_those_of_a_real_round(count: int, kind: RoundKind) -> None:
    words = VECTOR_WORDS[EFFORT][kind]
    mesh = Mesh(count)
    assert mesh.run(replace(terms_for(count), vector_length=words)) is not None
    node = names(count)[-1]
    said = mesh.said
    keys, shares, announcement, unmasking = (said[node, one] for one in MESSAGES)
    assert isinstance(keys, KeyAdvertisement)
    assert isinstance(shares, ShareUpload)
    assert isinstance(announcement, MaskedInput)
    assert isinstance(unmasking, UnmaskShares)
    contribution = Contribution(announcement, bytes(WORD_BYTES * words))
    real = [len(seal(one)) for one in (keys, shares, contribution, unmasking)]
    real[0] += SIGNATURE_SHORTER_BYTES
    told = [one for one in round_sizes(EFFORT, node, names(count)) if one.message.startswith(kind.name.lower())]
    assert [one.size_bytes for one in told] == real


def test_vectors_have_the_lengths_that_are_masked() -> None:
    lengths = {
        EFFORT: {
            RoundKind.STATISTICS: ContributionLayout(COUNTS_LENGTH).length,
            RoundKind.TRAINING: ContributionLayout(DIMENSIONS, (LOSS,)).length,
            RoundKind.EVALUATION: ContributionLayout(0, (MODEL_LOSS, BASELINE_LOSS)).length,
        },
        FINISH: {
            RoundKind.STATISTICS: ContributionLayout(counts_length(len(FEATURES))).length,
            RoundKind.TRAINING: ContributionLayout(contribution_length(len(FEATURES)), (LOSS,)).length,
            RoundKind.EVALUATION: ContributionLayout(0, (MODEL_LOSS, BASELINE_LOSS)).length,
        },
    }
    assert lengths == VECTOR_WORDS


# What is read


async def test_the_row_of_the_newest_label_is_the_one_that_training_reads(team: Team) -> None:
    model = trained(rounds=1)
    await serve(team.node, "effort", encode_model(model))
    await team.label(3)
    key = await team.done("rewrite the scheduler", 8.0)
    await team.add("open, so no label", estimate=1.0)

    report = await dry_run(team, "effort")
    row = model.row(TaskText("rewrite the scheduler"))
    assert report.example_key == key
    assert list(report.example_indices) == list(row.indices)
    assert list(report.example_values) == list(row.values)
    words = [one.words for one in report.example_words]
    assert {"rewrite", "rewrite the", "scheduler", SHAPE_NAMES[0]} <= set(words)
    assert [(one.project_id, one.labelled_tasks) for one in report.projects] == [("PROJ", 4)]
    assert report.columns[0].startswith(f"0-{BUCKETS - 1}: ")
    assert list(report.columns[1:]) == [f"{BUCKETS + place}: {name}" for place, name in enumerate(SHAPE_NAMES)]


async def test_before_there_is_a_job_its_owner_sees_what_it_would_read(team: Team) -> None:
    await team.done("rewrite the scheduler", 8.0)
    report = await dry_run(team, "effort")
    raw = raw_features(TaskText("rewrite the scheduler"))
    assert list(report.example_values) == list(DocumentCounts.of([raw]).statistics().weigh(raw).values)
    assert report.contributors == 3, "as many as the smallest round needs"
    assert len(report.sizes) == 3 * 4


async def test_a_finish_time_row_has_no_word(team: Team) -> None:
    created_s = NOW_S - 9 * DAY_S
    key = await team.add("canary words", created_s)
    await team.set(key, NOW_S, status=Status.DONE)
    await team.add("not finished")
    report = await dry_run(team, FINISH)
    assert report.example_key == key
    assert [one.words for one in report.example_words] == list(FEATURES)
    assert [(one.project_id, one.labelled_tasks) for one in report.projects] == [("PROJ", 1)]
    assert "canary" not in str(report)


async def test_a_node_without_labels_has_no_example(team: Team) -> None:
    report = await dry_run(team, "effort")
    assert not report.example_key
    assert [one.labelled_tasks for one in report.projects] == [0]


async def test_nothing_leaves(team: Team) -> None:
    await team.label(6)
    await dry_run(team, "effort")
    assert not team.node.ledger.egresses


async def test_a_job_that_nobody_knows_is_refused(team: Team) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await dry_run(team, "lottery")
    assert from_rpc_error(refused.value).reason == "NOT_FOUND"
