"""Charts of a report: drawn from numbers alone, the same bytes each time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from slidelab.errors import InvalidTableError
from slidelab.workflows.report.charts import (
    StainHistogram,
    ThresholdCurve,
    draw_index_map,
    draw_stain_histogram,
    draw_threshold_curve,
)
from slidelab.workflows.slides.maps import FieldMap
from slidelab.workflows.slides.outline import Circle


def curve(points=40):
    thresholds = np.linspace(0.02, 1.0, points)
    return ThresholdCurve(thresholds, 80 * np.exp(-4 * thresholds), used=0.2, low=0.15, high=0.25)


def check_png(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.format == "PNG"
        assert "Software" not in image.info
        return image.size


def test_the_curve_is_read_between_its_points():
    straight = ThresholdCurve(np.array([0.1, 0.3]), np.array([40.0, 20.0]), used=0.2, low=0.1, high=0.3)
    assert straight.at(0.2) == pytest.approx(30)


def test_charts_are_png_files_that_repeat(tissue):
    fields = FieldMap(np.array([[5, 0], [30, 60]]), np.array([[50, 0], [100, 100]]), side_px=500.0, mpp=0.5)
    histogram = StainHistogram(np.linspace(0, 1, 21), np.arange(20) * 100)
    for draw in (
        lambda: draw_threshold_curve(curve()),
        lambda: draw_stain_histogram(histogram, threshold=0.2),
        lambda: draw_index_map(fields, tissue=tissue, hot_spot=Circle(500, 500, 90)),
    ):
        first = draw()
        check_png(first)
        assert first == draw()


@pytest.mark.parametrize("counts", [[0, 0, 0], [1, 0, 0], [0, 0, 7_000_000]])
def test_a_histogram_of_few_or_many_nuclei_can_be_drawn(counts):
    check_png(
        draw_stain_histogram(StainHistogram(np.array([0, 0.1, 0.2, 0.3]), np.array(counts)), threshold=0.2)
    )


def test_a_curve_of_one_point_can_be_drawn():
    check_png(
        draw_threshold_curve(ThresholdCurve(np.array([0.2]), np.array([0.0]), used=0.2, low=0.2, high=0.2))
    )


def test_a_map_without_enough_nuclei_can_be_drawn():
    few = np.full((1, 40), 3)
    check_png(draw_index_map(FieldMap(few, few, side_px=100.0, mpp=0.25)))


def test_a_tall_slide_has_a_tall_map():
    counted = np.full((30, 6), 50)
    width, height = check_png(draw_index_map(FieldMap(counted // 5, counted, side_px=100.0, mpp=0.25)))
    assert height > width


def test_rows_of_different_length_are_refused():
    with pytest.raises(InvalidTableError, match="curve"):
        ThresholdCurve(np.arange(3) / 10, np.arange(4.0), used=0.1, low=0.1, high=0.2)
    with pytest.raises(InvalidTableError, match="borders"):
        StainHistogram(np.arange(4) / 10, np.arange(4))
