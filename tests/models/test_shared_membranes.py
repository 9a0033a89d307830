"""A line between two cells goes to the one whose membrane it is, for any order of cells and any tiling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.models.cell_expansion import expand_outlines
from slidelab.models.shared_membranes import own_membranes, sharing_reach_um

MPP = 0.5
ANGLES = np.arange(32) * np.pi / 16
RAYS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
DARK, FAINT, BLANK = 0.9, 0.3, 0.05


def outlines(centres, radii):
    """Round outlines on a grid of 1/64 px."""
    spokes = np.reshape(radii, (-1, 1, 1)) * RAYS
    return centres[:, None] + np.round(spokes * 64) / 64


def share(rings, centres, cells):
    x, y = centres.T
    return own_membranes(rings, x=x, y=y, cells=cells, mpp=MPP)


def facing(centres, a, b, radius=12.0):
    """The rays of cell a that end within 1.5 um of cell b: about 30 degrees to either side."""
    ends = centres[a] + radius * RAYS
    return np.hypot(*(ends - centres[b]).T) - radius < 3.0


def read_field(centres, stain, *, radius=12.0):
    """Round cells, each of one density, that read their neighbour's line where it is the darker."""
    cells = outlines(centres, np.full(len(centres), radius))
    rings = np.repeat(np.asarray(stain, float)[:, None], 32, axis=1)
    apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    for a, b in zip(*np.nonzero((apart > 0) & (apart < 2 * radius + 2)), strict=True):
        rows = facing(centres, a, b, radius)
        rings[a, rows] = np.maximum(rings[a, rows], stain[b])
    return rings, cells


def row_of(count, distance=24.0):
    return np.stack([50.0 + distance * np.arange(count), np.full(count, 50.0)], axis=1)


def hexagon():
    """One cell in the middle and six around it that touch it."""
    turns = np.arange(6) * np.pi / 3
    around = 80 + 24.0 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return np.round(np.concatenate([[[80.0, 80.0]], around]) * 64) / 64


def test_an_unstained_cell_gives_its_stained_neighbours_line_back():
    centres = row_of(2)
    rings, cells = read_field(centres, [DARK, BLANK])
    assert (rings[1] > 0.5).sum() == 5
    own = share(rings, centres, cells)
    np.testing.assert_array_equal(own[0], rings[0].astype(np.float32))
    assert own[1].max() == pytest.approx(BLANK)


def test_two_that_are_alike_keep_their_line_both():
    centres = row_of(2)
    rings, cells = read_field(centres, [DARK, DARK])
    np.testing.assert_array_equal(share(rings, centres, cells), rings.astype(np.float32))


def test_a_weak_cell_beside_a_strong_one_stays_complete_and_weak():
    centres = row_of(2)
    rings, cells = read_field(centres, [DARK, FAINT])
    own = share(rings, centres, cells)
    np.testing.assert_allclose(own[1], FAINT, atol=1e-6)
    assert own[0].min() == pytest.approx(DARK)


def test_a_cell_that_borrowed_from_several_is_left_with_little():
    centres = hexagon()
    rings, cells = read_field(centres, [BLANK, *[DARK, BLANK] * 3])
    assert (rings[0] > 0.5).mean() > 0.4
    own = share(rings, centres, cells)[0]
    assert own.mean() < 0.5 * rings[0].mean()
    assert (own > FAINT).mean() < 0.1


def test_a_complete_strong_cell_keeps_all_whatever_lies_beside_it():
    centres = hexagon()
    for stain in ([DARK, BLANK, FAINT, BLANK, BLANK, FAINT, BLANK], [DARK] * 7):
        rings, cells = read_field(centres, stain)
        np.testing.assert_allclose(share(rings, centres, cells)[0], DARK, atol=1e-6)


def test_in_a_chain_of_cells_the_stain_does_not_travel():
    centres = row_of(7)
    rings, cells = read_field(centres, [BLANK, BLANK, DARK, BLANK, BLANK, DARK, DARK])
    own = share(rings, centres, cells)
    np.testing.assert_allclose(own[[0, 1, 3, 4]], BLANK, atol=1e-6)
    np.testing.assert_allclose(own[[2, 5, 6]], DARK, atol=1e-6)


def test_an_incomplete_cell_beside_unstained_ones_stays_incomplete():
    centres = row_of(3)
    rings, cells = read_field(centres, [BLANK] * 3)
    half = RAYS[:, 0] > 0  # towards the cell on the right
    rings[1, half] = DARK
    rings[2, facing(centres, 2, 1)] = DARK
    own = share(rings, centres, cells)
    np.testing.assert_array_equal(own[1] > 0.5, half)
    assert own[2].max() < 0.1


@pytest.mark.parametrize("distance", [30.0, 200.0])
def test_cells_that_do_not_touch_keep_what_they_show(distance):
    centres = row_of(2, distance)
    rings = np.random.default_rng(2).uniform(0, 1, (2, 32))
    own = share(rings, centres, outlines(centres, [12.0, 12.0]))
    np.testing.assert_array_equal(own, rings.astype(np.float32))


def test_glass_and_stroma_take_nothing_away():
    centres = row_of(2)
    rings, cells = read_field(centres, [DARK, BLANK])
    away = ~facing(centres, 1, 0) & (RAYS[:, 0] > 0)
    rings[1, away] = 0.7
    np.testing.assert_allclose(share(rings, centres, cells)[1, away], 0.7, atol=1e-6)


def test_an_even_cell_has_the_line_that_only_its_neighbour_saw():
    centres = row_of(2)
    rings, cells = read_field(centres, [DARK, DARK])
    missed = RAYS[:, 0] > 0.95
    rings[0, missed] = BLANK
    own = share(rings, centres, cells)
    assert own[0, missed].min() > 0.6
    half = RAYS[:, 0] > 0  # a real gap is more than that
    rings[0, half] = BLANK
    rings[0, RAYS[:, 0] < -0.7] = BLANK
    own = share(rings, centres, cells)
    assert own[0, half].max() < 0.5


def test_shares_change_by_little_where_cells_change_by_little():
    centres = row_of(2)
    found = []
    for weak in np.linspace(0.05, 0.9, 200):
        rings, cells = read_field(centres, [DARK, weak])
        found.append(share(rings, centres, cells)[1].max())
    assert np.abs(np.diff(found)).max() < 0.03
    assert (np.diff(found) > -1e-6).all()


def crowd(seed, count, side):
    random = np.random.default_rng(seed)
    centres = np.round(random.uniform(20, side - 20, (count, 2)) * 64) / 64
    nuclei = outlines(centres, random.uniform(5, 9, count))
    x, y = centres.T
    cells = expand_outlines(x, y, nuclei, by_um=5.0, mpp=MPP)
    rings = random.uniform(0, 1, (count, 1)) * random.uniform(0.5, 1.3, (count, 32))
    return centres, cells, rings * (random.uniform(0, 1, (count, 32)) < random.uniform(0.2, 1.2, (count, 1)))


@given(seed=st.integers(0, 1000))
def test_the_order_of_cells_does_not_matter(seed):
    centres, cells, rings = crowd(seed, 120, 350)
    order = np.random.default_rng(seed).permutation(120)
    whole = share(rings, centres, cells)
    assert (whole != rings.astype(np.float32)).any()
    np.testing.assert_array_equal(share(rings[order], centres[order], cells[order]), whole[order])


@given(seed=st.integers(0, 1000), left=st.integers(0, 400), top=st.integers(0, 400))
def test_a_share_is_the_same_bit_for_bit_in_any_tile_that_holds_its_reach(seed, left, top):
    centres, cells, rings = crowd(seed, 700, 900)
    whole = share(rings, centres, cells)
    farthest = np.hypot(*(cells - centres[:, None]).transpose(2, 0, 1)).max()
    reach = sharing_reach_um(farthest * MPP) / MPP
    corner = np.array([left, top])
    seen = ((centres >= corner) & (centres <= corner + 500)).all(axis=1)
    core = ((centres >= corner + reach) & (centres <= corner + 500 - reach)).all(axis=1)
    assert core.any()
    rows = np.flatnonzero(seen)
    part = share(rings[rows], centres[rows] - corner, cells[rows] - corner)
    np.testing.assert_array_equal(part[core[rows]], whole[core])


@given(seed=st.integers(0, 1000))
def test_nobody_gains_more_than_somebody_read(seed):
    centres, cells, rings = crowd(seed, 100, 300)
    own = share(rings, centres, cells)
    assert np.isfinite(own).all()
    assert own.min() >= 0
    assert own.max() <= rings.max() * (1 + 1e-6)


def test_cells_on_one_another_have_finite_shares():
    centres = np.array([[20.0, 20.0], [20.0, 20.0], [21.0, 20.0], [20.0, 20.0]])
    own = share(np.full((4, 32), 0.5), centres, outlines(centres, [9.0, 9.0, 9.0, 4.0]))
    np.testing.assert_allclose(own, 0.5, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_are_no_neighbours(count):
    centres, rings = np.full((count, 2), 9.0), np.full((count, 32), 0.25)
    np.testing.assert_array_equal(share(rings, centres, outlines(centres, np.full(count, 5.0))), rings)


def test_arrays_that_do_not_fit_are_refused():
    centres = row_of(2)
    rings, cells = read_field(centres, [DARK, BLANK])
    with pytest.raises(InvalidTableError, match="rings of shape"):
        share(rings[:, :16], centres, cells)
    with pytest.raises(SettingsError, match="um per px"):
        own_membranes(rings, x=centres[:, 0], y=centres[:, 1], cells=cells, mpp=0.0)
