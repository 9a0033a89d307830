"""Nuclei of a whole phantom meet its truth without being painted."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.wsi.phantom.cells import TUMOUR, Cells, measure
from slidelab.wsi.phantom.layout import Layout
from slidelab.wsi.phantom.settings import PhantomSettings
from slidelab.wsi.phantom.sites import pick_evenly, push_apart
from slidelab.wsi.phantom.tissue import place_pieces


def everything(settings: PhantomSettings) -> Cells:
    width, height = settings.width * settings.mpp, settings.height * settings.mpp
    return Layout(settings).cells_near(0.0, 0.0, width, height)


@pytest.mark.parametrize("truth", [5.0, 24.0, 50.0, 93.7])
def test_index_over_many_nuclei_is_within_a_tenth_of_a_point(truth: float) -> None:
    cells = everything(PhantomSettings(width=10_000, height=10_000, truth=truth, seed=4))
    assert len(cells) >= 5000
    assert 100.0 * cells.positive.mean() == pytest.approx(truth, abs=0.1)
    assert abs(cells.positive.sum() - truth / 100.0 * len(cells)) <= 1.0  # picked evenly over all chunks


def test_positivity_varies_over_the_slide() -> None:
    layout = Layout(PhantomSettings(width=10_000, height=10_000, seed=4))
    cells = layout.cells_near(0.0, 0.0, 2500.0, 2500.0)
    spot = layout.field.hot_spots[0]
    near = np.hypot(cells.x - spot.x, cells.y - spot.y) < spot.radius
    assert near.sum() > 500
    assert cells.positive[near].mean() > 1.5 * cells.positive[~near].mean()


def test_nuclei_do_not_depend_on_the_window_asked_for() -> None:
    layout = Layout(PhantomSettings(width=6000, height=6000, seed=4))
    whole = layout.cells_near(300.0, 300.0, 1100.0, 1100.0)
    parts = [
        Layout(layout.settings).cells_near(x, y, x + 200.0, y + 200.0)
        for x in (900.0, 700.0, 500.0, 300.0)
        for y in (300.0, 900.0, 500.0, 700.0)
    ]
    joined = Cells.join(parts)
    order, other = np.lexsort((whole.x, whole.y)), np.lexsort((joined.x, joined.y))
    assert len(whole) > 100
    np.testing.assert_array_equal(whole.radii[order], joined.radii[other])
    np.testing.assert_array_equal(whole.positive[order], joined.positive[other])


def test_scanner_compression_and_artefacts_do_not_change_the_tissue() -> None:
    def digest(**options: object) -> str:
        cells = everything(PhantomSettings(width=3000, height=3000, **options))
        return hashlib.sha256(cells.x.tobytes() + cells.radii.tobytes() + cells.amounts.tobytes()).hexdigest()

    assert digest() == digest(scanner="b", compression="none", artefacts=False)
    assert digest() != digest(seed=2)


@pytest.mark.parametrize("kind_share", [0.2, 0.6])
def test_stroma_share_is_met(kind_share: float) -> None:
    cells = everything(PhantomSettings(width=8000, height=8000, stroma_share=kind_share))
    assert np.mean(cells.kind != TUMOUR) == pytest.approx(kind_share, abs=0.002)


@pytest.mark.parametrize("size", [(4096, 4096), (20_000, 6000), (1000, 9000)])
@pytest.mark.parametrize("fraction", [0.02, 0.25, 0.6])
def test_pieces_stay_on_the_glass_and_within_their_share(size: tuple[int, int], fraction: float) -> None:
    settings = PhantomSettings(width=size[0], height=size[1], tissue_fraction=fraction, seed=7)
    pieces = place_pieces(settings)
    outline = np.concatenate([piece.outline for piece in pieces])
    assert outline.min() > 5.0
    assert (outline < np.array(size) * settings.mpp - 5.0).all()
    share = sum(piece.area for piece in pieces) / (size[0] * size[1] * settings.mpp**2)
    assert 0.5 * fraction < share <= fraction + 1e-9


@given(
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=200),
    st.floats(0.0, 1e4),
    st.integers(0, 200),
)
def test_even_picks_hold_their_expected_number_in_any_run(share: list[float], start: float, cut: int) -> None:
    shares = np.array(share)
    picked = pick_evenly(shares, start=start)
    for part in (slice(None), slice(0, cut), slice(cut, None)):
        assert abs(picked[part].sum() - shares[part].sum()) <= 1.0 + 1e-6
    assert not picked[shares == 0.0].any() or np.abs(start % 1.0 - 0.5) < 1e-6


def test_even_picks_go_on_from_chunk_to_chunk() -> None:
    shares = np.full(100, 0.037)
    whole = pick_evenly(shares)
    parts = np.concatenate([pick_evenly(shares[:40]), pick_evenly(shares[40:], start=40 * 0.037)])
    np.testing.assert_array_equal(whole, parts)


def test_discs_are_pushed_off_one_another() -> None:
    rng = np.random.default_rng(0)
    place = rng.uniform(0.0, 100.0, (60, 2))
    after = push_apart(place, np.full(60, 4.0))

    def overlaps(p: np.ndarray) -> int:
        distance = np.hypot(*(p[:, None] - p).transpose(2, 0, 1)) + 99.0 * np.eye(60)
        return int((distance < 6.4).sum())

    assert overlaps(after) < 0.4 * overlaps(place)
    assert np.abs(after - place).max() < 15.0


def test_measure_knows_centroid_and_area_of_a_far_rectangle() -> None:
    corner = np.array([4e4, 7e4])
    rectangle = corner + np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]])
    x, y, area = measure(rectangle[None])
    assert (x[0], y[0], area[0]) == pytest.approx((4e4 + 2.0, 7e4 + 1.0, 8.0), abs=1e-9)
