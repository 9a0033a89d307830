from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.wsi.resample import Axis, resample


def shrink(source: np.ndarray, ratio: float, window: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """Resample a window (x0, y0, x1, y1) of the plane of ``source``."""
    height, width = source.shape[:2]
    columns, rows = Axis(ratio, width), Axis(ratio, height)
    x0, y0, x1, y1 = window or (0, 0, int(np.ceil(width / ratio)), int(np.ceil(height / ratio)))
    across, down = columns.weigh(x0, x1), rows.weigh(y0, y1)
    needed = source[down.start : down.start + down.size, across.start : across.start + across.size]
    out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    resample(np.ascontiguousarray(needed), rows=down, columns=across, out=out)
    return out


def row(*values: int) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8)[None, :, None], 3, axis=2)


def test_a_box_mean_is_rounded_half_up() -> None:
    # (1 + 2 + 1 + 2) / 4 = 1.5 -> 2; (0 + 1 + 0 + 0) / 4 = 0.25 -> 0; (0 + 1 + 1 + 0) / 4 = 0.5 -> 1
    source = np.concatenate([row(1, 2, 0, 1, 0, 1), row(1, 2, 0, 0, 1, 0)])
    assert shrink(source, 2.0)[0, :, 0].tolist() == [2, 0, 1]


def test_an_area_mean_weighs_by_overlap() -> None:
    # ratio 1.5: output 0 = (10 + 0.5 * 40) / 1.5 = 20; output 1 = (0.5 * 40 + 100) / 1.5 = 80
    source = np.repeat(row(10, 40, 100), 3, axis=0)
    assert shrink(source, 1.5)[0, :, 0].tolist() == [20, 80]


def test_finer_than_stored_is_linear_between_centres() -> None:
    # ratio 0.5: centres at 0.25, 0.75, 1.25, 1.75 stored px; between centres 0.5 and 1.5, ends repeated
    assert shrink(np.repeat(row(0, 100), 2, axis=0), 0.5)[0, :, 0].tolist() == [0, 25, 75, 100]


def test_beyond_the_edge_the_last_pixel_is_repeated() -> None:
    # 3 px at ratio 2: the second box holds the pixel 30 and a copy of it
    assert shrink(np.repeat(row(10, 20, 30), 2, axis=0), 2.0)[0, :, 0].tolist() == [15, 30]


@pytest.mark.parametrize("ratio", [2.0, 3.0, 17.0, 64.0, 1.4, 2.2013, 0.7])
def test_a_uniform_image_stays_uniform(ratio: float) -> None:
    source = np.full((150, 140, 3), 255, np.uint8)
    assert (shrink(source, ratio) == 255).all()


@pytest.mark.parametrize("ratio", [2.0, 5.0, 16.0, 17.0, 1.4028, 2.2013, 9.7])
def test_the_result_is_the_mean_to_half_a_grey_level(ratio: float) -> None:
    source = np.random.default_rng(1).integers(0, 256, (200, 180, 3), dtype=np.uint8)
    size = int(180 // ratio), int(200 // ratio)

    def coverage(count: int, length: int) -> np.ndarray:
        left = np.arange(count)[:, None] * ratio
        pixel = np.arange(length)
        return np.clip(np.minimum(left + ratio, pixel + 1) - np.maximum(left, pixel), 0, 1) / ratio

    expected = np.einsum(
        "yi,xj,ijc->yxc", coverage(size[1], 200), coverage(size[0], 180), source, optimize=True
    )
    found = shrink(source, ratio, (0, 0, *size))
    assert np.abs(found - expected).max() <= 0.5 + 1e-3


@given(st.data(), st.sampled_from([1.0, 2.0, 3.0, 0.41, 0.97, 1.02, 1.4028056112224447, 2.2013, 7.31]))
def test_a_pixel_does_not_depend_on_its_window(data: st.DataObject, ratio: float) -> None:
    source = np.random.default_rng(7).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    whole = shrink(source, ratio)
    height, width = whole.shape[:2]
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    assert (shrink(source, ratio, (x0, y0, x1, y1)) == whole[y0:y1, x0:x1]).all()
