"""Marks move to the nuclei that they mean, and nowhere else."""

from pathlib import Path

import numpy as np

from slidelab.models import CellTable, LabelledImage
from slidelab.workflows.learning.centre_marks import centre_marks


def table(points):
    """Cells at points, px."""
    points = np.asarray(points, float).reshape(-1, 2)
    count = len(points)
    return CellTable(
        x=points[:, 0],
        y=points[:, 1],
        outlines=points[:, None] + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        area_um2=np.ones(count, np.float32),
        probability=np.ones(count, np.float32),
        labels=np.zeros(count, np.uint8),
    )


def image(points, **changes):
    points = np.asarray(points, float)
    labels = np.array(["Positive", "Negative", "Positive"][: len(points)])
    return LabelledImage("set", "a", "a", Path("a.png"), 0.5, points[:, 0], points[:, 1], labels, **changes)


def test_a_mark_beside_its_nucleus_moves_to_it_and_keeps_its_label():
    marked = image([[10.0, 10.0], [50.0, 50.0], [90.0, 10.0]])
    (moved,) = centre_marks(
        [marked], lambda _: table([[52.0, 49.0], [13.0, 12.0], [200.0, 5.0]]), within_um=3.0
    )
    assert np.column_stack([moved.x, moved.y]).tolist() == [[13.0, 12.0], [52.0, 49.0], [90.0, 10.0]]
    assert moved.labels.tolist() == marked.labels.tolist()


def test_two_marks_never_move_to_one_nucleus():
    marked = image([[10.0, 10.0], [12.0, 10.0]])
    (moved,) = centre_marks([marked], lambda _: table([[11.5, 10.0]]), within_um=3.0)
    assert moved.x.tolist() == [10.0, 11.5]


def test_images_with_outlines_are_left_alone():
    marked = image([[10.0, 10.0]], load_instances=lambda: np.zeros((4, 4), np.int32))
    assert centre_marks([marked], lambda _: table([[11.0, 10.0]]), within_um=3.0) == [marked]
