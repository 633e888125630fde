"""A node's own noise on its counts: the same for the same counts, new in all places for others, and its alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from weftmesh.core.errors import DataCorruptionError
from weftmesh.core.forecast.features import BUCKETS, DocumentCounts, raw_features
from weftmesh.core.forecast.text import TaskText
from weftmesh.learner.count_noise import COUNT_SIGMA, FILE_NAME, CountNoise, with_noise

TEXTS = [raw_features(TaskText(f"restart the node number {number % 7}", "it fails")) for number in range(30)]
KEY = bytes(range(32))


def noise_of(counts: DocumentCounts, key: bytes = KEY, head: str = "effort") -> np.ndarray:
    """What was added to each count."""
    noisy = with_noise(counts, head, key)
    assert (noisy.shape_sums, noisy.shape_squares) == (counts.shape_sums, counts.shape_squares)
    added: np.ndarray = np.subtract(noisy.to_vector()[: 1 + BUCKETS], counts.to_vector()[: 1 + BUCKETS])
    return added


def test_the_noise_is_whole_numbers_of_the_stated_deviation() -> None:
    noise = noise_of(DocumentCounts.of(TEXTS))
    assert np.array_equal(noise, np.rint(noise))
    assert float(np.std(noise)) == pytest.approx(COUNT_SIGMA, rel=0.03)
    assert abs(float(np.mean(noise))) < 5 * COUNT_SIGMA / np.sqrt(BUCKETS)


def test_the_same_counts_get_the_same_noise_however_often_they_are_asked_for() -> None:
    counts = DocumentCounts.of(TEXTS)
    again = DocumentCounts.of(reversed(TEXTS))
    assert np.array_equal(noise_of(counts), noise_of(again))


def test_one_text_more_changes_the_noise_of_the_words_that_are_not_in_it() -> None:
    """Or the difference of two counts would show, exactly, which words a new text has."""
    before = noise_of(DocumentCounts.of(TEXTS))
    after = noise_of(DocumentCounts.of([*TEXTS, raw_features(TaskText("a typo"))]))
    assert float(np.std(after - before)) == pytest.approx(COUNT_SIGMA * np.sqrt(2), rel=0.03)
    assert abs(float(np.corrcoef(before, after)[0, 1])) < 0.05


def test_another_node_or_head_has_other_noise() -> None:
    counts = DocumentCounts.of(TEXTS)
    for other in (noise_of(counts, bytes(32)), noise_of(counts, KEY, "finish")):
        assert abs(float(np.corrcoef(noise_of(counts), other)[0, 1])) < 0.05


def test_a_count_of_three_is_hardly_told_from_none() -> None:
    """The best guess from one noisy count, between 0 and 3, is wrong in a third of all cases."""
    noise = noise_of(DocumentCounts.of(TEXTS))
    wrong = (np.mean(noise > 1.5) + np.mean(3 + noise <= 1.5)) / 2
    assert wrong > 0.3


def test_the_key_outlives_the_process_and_is_nobody_else_s_to_read(tmp_path: Path) -> None:
    counts = DocumentCounts.of(TEXTS)
    first = CountNoise(tmp_path).added_to(counts, "effort")
    assert CountNoise(tmp_path).added_to(counts, "effort") == first
    assert stat.S_IMODE(os.stat(tmp_path / FILE_NAME).st_mode) == 0o600
    (tmp_path / FILE_NAME).unlink()
    assert CountNoise(tmp_path).added_to(counts, "effort") != first


def test_a_damaged_key_is_refused_with_advice(tmp_path: Path) -> None:
    CountNoise(tmp_path)
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    content[-5] ^= 1
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(DataCorruptionError, match="a key is made anew"):
        CountNoise(tmp_path)
