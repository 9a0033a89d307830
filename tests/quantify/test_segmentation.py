"""Outlines against outlines: the worked example, empty images, and no meaning in an object's number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slidelab.errors import InvalidTableError
from slidelab.quantify import (
    PanopticQuality,
    aggregated_jaccard,
    dice_of_masks,
    dice_of_objects,
    panoptic_quality,
)


def line(*spans: tuple[int, int], length: int = 25) -> np.ndarray:
    """One row of pixels; span i (first and last pixel) is object i + 1."""
    labels = np.zeros((1, length), np.int32)
    for number, (first, last) in enumerate(spans, start=1):
        labels[0, first : last + 1] = number
    return labels


TRUTH = line((0, 9), (12, 21))
PREDICTED = line((0, 7), (12, 17), (18, 21))
EMPTY = line()


def test_worked_example_of_25_pixels() -> None:
    quality = panoptic_quality(TRUTH, PREDICTED)
    # overlaps 8/10 and 6/10 pair, the third prediction is left: DQ = 2 / 2.5
    assert (quality.true_positives, quality.false_positives, quality.false_negatives) == (2, 1, 0)
    assert quality.sq == pytest.approx(0.7)
    assert quality.dq == pytest.approx(0.8)
    assert quality.pq == pytest.approx(0.56)
    assert aggregated_jaccard(TRUTH, PREDICTED) == pytest.approx(14 / 24)
    assert aggregated_jaccard(TRUTH, PREDICTED, one_to_one=True) == pytest.approx(14 / 24)
    assert dice_of_masks(TRUTH, PREDICTED) == pytest.approx(36 / 38)
    # pairs that share pixels: 10 + 8, 10 + 6, 10 + 4 pixels
    assert dice_of_objects(TRUTH, PREDICTED) == pytest.approx(2 * (8 + 6 + 4) / (18 + 16 + 14))


def test_half_of_the_union_is_not_enough_to_pair() -> None:
    assert panoptic_quality(line((0, 9)), line((0, 4))).true_positives == 0
    assert panoptic_quality(line((0, 8)), line((0, 4))).true_positives == 1


def test_a_prediction_over_two_objects_counts_twice_only_in_plain_aji() -> None:
    truth, merged = line((0, 4), (5, 9)), line((0, 9))
    # AJI: each true object takes the merged one, 10 shared of 20; AJI+: one does, 5 of 10 + 5
    assert aggregated_jaccard(truth, merged) == pytest.approx(10 / 20)
    assert aggregated_jaccard(truth, merged, one_to_one=True) == pytest.approx(5 / 15)


def test_one_good_pair_beats_two_poor_ones() -> None:
    # overlaps 1-A 7/9, 1-B 1/8, 2-A 1/11: the one pair alone, although two could be formed
    truth, predicted = line((0, 7), (8, 11)), line((1, 8), (0, 0))
    assert aggregated_jaccard(truth, predicted, one_to_one=True) == pytest.approx(7 / (9 + 4 + 1))


def test_two_fair_pairs_beat_the_greatest_overlap_first() -> None:
    # overlaps 1-A 5/11, 1-B 2/7, 2-A 4/9: greatest first would leave object 2 and B alone, 5 / (11 + 4 + 2)
    truth, predicted = line((0, 6), (7, 10)), line((2, 10), (0, 1))
    assert aggregated_jaccard(truth, predicted, one_to_one=True) == pytest.approx((2 + 4) / (7 + 9))


def test_two_empty_images_have_no_quality() -> None:
    assert panoptic_quality(EMPTY, EMPTY) == PanopticQuality(None, None, None, 0, 0, 0)
    assert aggregated_jaccard(EMPTY, EMPTY) is None
    assert aggregated_jaccard(EMPTY, EMPTY, one_to_one=True) is None
    assert dice_of_masks(EMPTY, EMPTY) is None
    assert dice_of_objects(EMPTY, EMPTY) is None
    assert panoptic_quality(np.zeros((0, 5), int), np.zeros((0, 5), int)).pq is None


@pytest.mark.parametrize(("truth", "predicted"), [(EMPTY, PREDICTED), (TRUTH, EMPTY)])
def test_one_empty_image_gives_nought(truth: np.ndarray, predicted: np.ndarray) -> None:
    quality = panoptic_quality(truth, predicted)
    assert (quality.pq, quality.dq, quality.sq) == (0.0, 0.0, 0.0)
    assert quality.false_positives == len(np.unique(predicted)) - 1
    assert quality.false_negatives == len(np.unique(truth)) - 1
    assert aggregated_jaccard(truth, predicted) == 0.0
    assert aggregated_jaccard(truth, predicted, one_to_one=True) == 0.0
    assert dice_of_masks(truth, predicted) == 0.0
    assert dice_of_objects(truth, predicted) == 0.0


LABELS = arrays(np.int32, (6, 7), elements=st.integers(0, 5))


def all_figures(truth: np.ndarray, predicted: np.ndarray) -> list[float | None]:
    quality = panoptic_quality(truth, predicted)
    return [
        quality.pq,
        quality.dq,
        quality.sq,
        aggregated_jaccard(truth, predicted),
        aggregated_jaccard(truth, predicted, one_to_one=True),
        dice_of_masks(truth, predicted),
        dice_of_objects(truth, predicted),
    ]


@given(LABELS)
def test_identical_labels_are_perfect(labels: np.ndarray) -> None:
    expected = [1.0 if labels.any() else None] * 7
    assert all_figures(labels, labels.copy()) == expected


@given(LABELS, LABELS, st.permutations(range(1, 6)), st.sampled_from([np.uint8, np.int64, np.uint64]))
def test_the_numbers_of_objects_mean_nothing(
    truth: np.ndarray, predicted: np.ndarray, order: list[int], dtype: type
) -> None:
    renamed = np.array([0, *(40 * number for number in order)])
    expected = all_figures(truth, predicted)
    assert all_figures(truth, renamed[predicted].astype(dtype)) == expected
    assert all_figures(renamed[truth].astype(dtype), predicted) == expected


def by_the_book(truth: np.ndarray, predicted: np.ndarray) -> tuple[int, float, float]:
    """Pairs over one half, sum of their overlaps and Dice2's fraction, object by object."""
    pairs, overlap, shared_total, area_total = 0, 0.0, 0, 0
    for a in set(truth.ravel().tolist()) - {0}:
        for b in set(predicted.ravel().tolist()) - {0}:
            shared = int(((truth == a) & (predicted == b)).sum())
            area = int((truth == a).sum() + (predicted == b).sum())
            if shared:
                shared_total, area_total = shared_total + shared, area_total + area
            if shared / (area - shared) > 0.5:
                pairs, overlap = pairs + 1, overlap + shared / (area - shared)
    return pairs, overlap, 2 * shared_total / area_total if area_total else 0.0


@given(LABELS, LABELS)
def test_figures_equal_those_counted_object_by_object(truth: np.ndarray, predicted: np.ndarray) -> None:
    if not truth.any() and not predicted.any():
        return
    pairs, overlap, dice = by_the_book(truth, predicted)
    quality = panoptic_quality(truth, predicted)
    assert quality.true_positives == pairs
    assert (quality.sq or 0.0) * pairs == pytest.approx(overlap)
    assert dice_of_objects(truth, predicted) == pytest.approx(dice)
    jaccard = aggregated_jaccard(truth, predicted)
    assert jaccard is not None
    assert 0.0 <= jaccard <= 1.0


def test_thousands_of_objects_are_compared() -> None:
    rows, columns = np.indices((600, 600)) // 10
    truth = rows * 60 + columns + 1  # 3600 squares of 10 px
    shifted = np.roll(truth, 2, axis=1)  # overlap 80 of 120
    quality = panoptic_quality(truth, shifted)
    assert quality.true_positives == 3600
    assert quality.sq == pytest.approx(80 / 120)
    assert aggregated_jaccard(truth, shifted, one_to_one=True) == pytest.approx(80 / 120)


@pytest.mark.parametrize(
    "labels", [np.zeros((1, 24), int), np.zeros((1, 25)), np.full((1, 25), -1), np.zeros(25, int)]
)
def test_label_images_that_make_no_sense_are_refused(labels: np.ndarray) -> None:
    for measure in (panoptic_quality, aggregated_jaccard, dice_of_masks, dice_of_objects):
        with pytest.raises(InvalidTableError):
            measure(TRUTH, labels)
