"""Recall over false detections: the arithmetic on cases counted by hand."""

import numpy as np
import pytest

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.models import CellTable, LabelledImage
from slidelab.models.labelled.signet import SignetCrop
from slidelab.workflows.learning.detector_accuracy import compare, threshold_of_false_positives
from slidelab.workflows.learning.signet_accuracy import CropScores, match_boxes, measure_signet, score_crop

BOXES = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [30, 30, 40, 40]], float)


def with_cells(*boxes, patient="a", detections=()):
    return CropScores(patient, holds_none=False, boxes=np.array(boxes), detections=np.array(detections))


def without(*detections, patient="b"):
    return CropScores(patient, holds_none=True, boxes=np.empty(0), detections=np.array(detections))


def table(x, y, scores):
    count = len(x)
    return CellTable(
        x=np.array(x, float),
        y=np.array(y, float),
        outlines=np.zeros((count, 32, 2)),
        area_um2=np.ones(count, np.float32),
        probability=np.array(scores, np.float32),
        labels=np.zeros(count, np.uint8),
        classes=("Signet-ring",),
        measurements={},
    )


def test_a_cell_is_found_once_by_the_best_detection_in_its_box():
    points = np.array([[2.0, 2.0], [3.0, 3.0], [50.0, 50.0]])
    assert match_boxes(points, np.array([0.4, 0.9, 0.8]), BOXES).tolist() == [0.9, 0.0, 0.0]


def test_where_boxes_overlap_each_detection_takes_the_nearest_free_one():
    points = np.array([[9.0, 5.0], [8.0, 5.0]])
    found = match_boxes(points, np.array([0.9, 0.6]), BOXES)
    assert found.tolist() == [0.6, 0.9, 0.0]
    assert match_boxes(points[::-1], np.array([0.6, 0.9]), BOXES).tolist() == found.tolist()


def test_the_border_belongs_to_the_box():
    assert match_boxes(np.array([[40.0, 30.0]]), np.array([0.5]), BOXES).tolist() == [0.0, 0.0, 0.5]


def test_nothing_found_and_nothing_marked_are_no_trouble():
    assert match_boxes(np.empty((0, 2)), np.empty(0), BOXES).tolist() == [0.0, 0.0, 0.0]
    assert len(match_boxes(np.array([[1.0, 1.0]]), np.array([0.5]), np.empty((0, 4)))) == 0


def test_lowering_the_threshold_never_loses_a_cell():
    random = np.random.default_rng(1)
    corners = random.uniform(0, 80, (30, 2))
    boxes = np.concatenate([corners, corners + random.uniform(8, 25, (30, 2))], 1)
    points, scores = random.uniform(0, 100, (80, 2)), random.uniform(0.1, 1, 80)
    every = match_boxes(points, scores, boxes)
    for threshold in (0.2, 0.5, 0.8):
        above = scores >= threshold
        alone = match_boxes(points[above], scores[above], boxes)
        assert (alone == np.where(every >= threshold, every, 0.0)).all()


def test_what_lies_beside_the_crop_counts_for_nothing(tmp_path):
    crop = SignetCrop("n", "p", tmp_path, (64, 64), "validation", holds_none=True, boxes=np.empty((0, 4)))
    scored = score_crop(table([10, 70], [10, 10], [0.5, 0.9]), crop)
    assert scored.detections.tolist() == [0.5]


def test_recall_is_read_where_the_allowed_false_detections_end():
    # 4 false detections in 2 crops: 0.9, 0.6, 0.5, 0.3. One per crop allows two of them.
    crops = [with_cells(0.95, 0.7, 0.55, 0.4, 0.0), without(0.9, 0.5), without(0.6, 0.3)]
    curve = {point.false_per_crop: point for point in measure_signet(crops).curve}
    assert (curve[0.5].recall, curve[0.5].threshold) == (0.4, 0.6)
    assert (curve[1.0].recall, curve[1.0].threshold) == (0.6, 0.5)
    assert (curve[2.0].recall, curve[2.0].threshold) == (0.8, 0.0)  # a cell that nothing found stays lost


def test_a_detection_as_sure_as_the_first_false_one_too_many_does_not_count():
    crops = [with_cells(0.5, 0.8), without(0.5), without(), without()]
    one, none = (
        next(point for point in measure_signet(some).curve if point.false_per_crop == 0.5)
        for some in (crops, crops[:2])
    )
    assert (one.threshold, one.recall) == (0.0, 1.0)
    assert (none.threshold, none.recall) == (0.5, 0.5)


def test_false_detections_are_counted_only_where_nothing_is():
    crops = [with_cells(0.9, detections=(0.9, 0.8, 0.7)), without()]
    accuracy = measure_signet(crops, threshold=0.75)
    assert accuracy.working is not None
    assert (accuracy.working.recall, accuracy.working.false_per_crop) == (1.0, 0.0)
    assert accuracy.found_per_cell == 2.0
    assert accuracy.clean_share == 1.0
    assert measure_signet([*crops, without(0.75)], threshold=0.75).clean_share == 0.5


def test_the_detectors_own_threshold_counts_itself():
    crops = [with_cells(0.5, 0.4), without(0.5, 0.4), without()]
    working = measure_signet(crops, threshold=0.5).working
    assert working is not None
    assert (working.recall, working.false_per_crop) == (0.5, 0.5)


def test_intervals_draw_patients_and_hold_the_figure():
    random = np.random.default_rng(3)
    crops = [with_cells(*random.uniform(0, 1, 20), patient=f"a{number % 4}") for number in range(12)]
    crops += [without(*random.uniform(0, 0.8, 5), patient=f"b{number}") for number in range(15)]
    accuracy = measure_signet(crops, threshold=0.5)
    assert (accuracy.patients_with, accuracy.patients_without, accuracy.cells) == (4, 15, 240)
    for point in accuracy.curve:
        assert point.recall_interval is not None
        assert point.recall_interval.low <= point.recall <= point.recall_interval.high
    assert accuracy.to_json()["working"]["false_interval"] is not None


@pytest.mark.parametrize("crops", [[with_cells(0.5)], [without(0.5)], [with_cells(), without()], []])
def test_without_cells_or_without_crops_that_hold_none_there_is_nothing_to_measure(crops):
    with pytest.raises(InvalidTableError, match="needs marked cells"):
        measure_signet(crops)


def empty_image(tmp_path, *, scores, marked="all"):
    image = LabelledImage(
        "s", "n", "c", tmp_path, 0.25, x=np.empty(0), y=np.empty(0), labels=np.empty(0, "<U9"), marked=marked
    )
    return compare(table([5.0] * len(scores), [5.0] * len(scores), scores), image)


def test_the_threshold_leaves_as_many_false_detections_as_allowed(tmp_path):
    images = [empty_image(tmp_path, scores=scores) for scores in ([0.9, 0.31234, 0.2], [0.5, 0.4])]
    threshold = threshold_of_false_positives(images, per_image=1.5)
    assert threshold == 0.313
    assert sum((one.score >= threshold).sum() for one in images) == 3
    assert threshold_of_false_positives(images, per_image=9.0) == 0.15


def test_images_that_may_hold_something_set_no_threshold(tmp_path):
    unsure = empty_image(tmp_path, scores=[0.99] * 9, marked="some")
    sure = empty_image(tmp_path, scores=[0.5, 0.3])
    assert threshold_of_false_positives([unsure, sure], per_image=1.0) == 0.301
    with pytest.raises(SettingsError, match="hold nothing"):
        threshold_of_false_positives([unsure], per_image=1.0)
