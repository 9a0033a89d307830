"""Membranes are read where they run: complete rings as complete, gaps as gaps, stronger stain as stronger."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.models.cell_expansion import expand_outlines
from slidelab.models.membrane_ring import read_membranes, ring_reach_um

MPP = 0.5
FINE = 6  # the painter's pixels per pixel
THICK_UM = 0.8
BLUR_UM = 0.7  # sigma of a soft lens
TURN = 2 * np.pi
ANGLES = np.arange(32) * np.pi / 16
RAYS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)


@dataclass(frozen=True)
class Ring:
    """A painted membrane; lengths in um."""

    x: float
    y: float
    radius: float
    od: float = 1.0
    covered: float = 1.0  # share of the directions, from `start` on
    start: float = 0.0
    wave: float = 0.0

    def border(self, angle):
        return self.radius * (1 + self.wave * np.cos(3 * angle + self.start))

    def holds(self, angle):
        return (angle - self.start) % TURN < TURN * self.covered - 1e-9


def paint(rings, *, side_um=40.0, cytoplasm=0.0, blur_um=BLUR_UM, noise=0.0):
    """Density of painted membranes: light is blurred and gathered in pixels, not density."""
    fine = MPP / FINE
    places = (np.arange(round(side_um / fine)) + 0.5) * fine
    density = np.full((len(places), len(places)), 0.0)
    for ring in rings:
        dx, dy = places[None] - ring.x, places[:, None] - ring.y
        angle, apart = np.arctan2(dy, dx) % TURN, np.hypot(dx, dy) - ring.border(np.arctan2(dy, dx) % TURN)
        density = np.maximum(density, cytoplasm * (apart < 0))
        on = (np.abs(apart) < THICK_UM / 2) & ring.holds(angle)
        density = np.maximum(density, ring.od * on)
    light = ndimage.gaussian_filter(10.0**-density, blur_um / fine)
    rows = len(places) // FINE
    dab = -np.log10(light.reshape(rows, FINE, rows, FINE).mean((1, 3)))
    return (dab + np.random.default_rng(0).normal(0, noise, dab.shape)).astype(np.float32)


def nuclei_of(places_um, radii_um):
    """Centres and round outlines, px on a grid of 1/64."""
    centres = np.round(np.asarray(places_um, float) / MPP * 64) / 64
    spokes = np.asarray(radii_um, float).reshape(-1, 1, 1) / MPP * RAYS
    return centres, centres[:, None] + np.round(spokes * 64) / 64


def read(dab, places_um, radii_um, by_um=5.0):
    centres, nuclei = nuclei_of(places_um, radii_um)
    return read_at(dab, centres, nuclei, by_um)


def read_at(dab, centres, nuclei, by_um=5.0):
    x, y = centres.T
    cells = expand_outlines(x, y, nuclei, by_um=by_um, mpp=MPP)
    return read_membranes(dab, x=x, y=y, nuclei=nuclei, cells=cells, mpp=MPP)


def completeness(ring_od, least):
    return (ring_od >= least).mean(axis=1)


def level(od, blur_um=BLUR_UM):
    """Half of what a whole round membrane of this density reads: where its gaps begin."""
    whole = read(paint([Ring(20.1, 20.2, 6.0, od)], blur_um=blur_um), [(20.1, 20.2)], [3.5])
    return np.median(whole.membrane_od) / 2


@pytest.mark.parametrize("blur_um", [0.25, 0.7])
@pytest.mark.parametrize("od", [0.3, 0.6, 1.2])
@pytest.mark.parametrize("covered", [0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
def test_completeness_is_the_painted_one(od, covered, blur_um):
    random = np.random.default_rng(7)
    found = []
    for radius in (5.0, 6.5, 8.0):  # the outline of the expansion is at 8 to 8.5 um: right for none but one
        start = random.uniform(0, TURN)
        ring = Ring(20.1, 20.2, radius, od, covered, start, wave=0.08)
        dab = paint([ring], blur_um=blur_um, noise=0.01)
        found.append(completeness(read(dab, [(20.1, 20.2)], [3.3]).membrane_od, level(od, blur_um))[0])
    np.testing.assert_allclose(found, covered, atol=0.08)


def test_a_nucleus_beside_the_middle_of_its_cell_changes_little():
    ring = Ring(20.0, 20.0, 6.5, 1.0, covered=0.7, start=0.4)
    found = read(paint([ring]), [(21.5, 19.2)], [3.0])
    seen = ring.holds(np.arctan2(*_on_ring((21.5, 19.2), ring).T[::-1]) % TURN).mean()
    assert completeness(found.membrane_od, level(1.0))[0] == pytest.approx(seen, abs=0.08)


def _on_ring(place, ring):
    """Where the rays from a place meet a round ring, from its middle."""
    away = np.array(place) - (ring.x, ring.y)
    along = RAYS @ away
    far = -along + np.sqrt(along**2 - away @ away + ring.radius**2)
    return away + far[:, None] * RAYS


def test_cells_that_touch_read_their_shared_membrane_and_not_their_neighbours_others():
    rings = [Ring(14.0, 20.0, 6.0, 1.0), Ring(26.0, 20.0, 6.0, 1.0, covered=0.5, start=np.pi / 2)]
    found = read(paint(rings), [(14.0, 20.0), (26.0, 20.0)], [3.5, 3.5])
    first, second = completeness(found.membrane_od, level(1.0))
    assert first == pytest.approx(1.0, abs=0.08)
    assert second == pytest.approx(0.5, abs=0.08)


def test_an_unstained_cell_beside_a_stained_one_shows_its_neighbour_where_they_touch_only():
    found = read(paint([Ring(14.0, 20.0, 6.0, 1.0)]), [(14.0, 20.0), (25.5, 20.0)], [3.5, 3.5])
    stained, unstained = completeness(found.membrane_od, level(1.0))
    assert stained == pytest.approx(1.0, abs=0.08)
    assert unstained < 0.35  # one side of it: no reader of this slide knows whose membrane that is


@pytest.mark.parametrize("blur_um", [0.2, 0.7])
def test_more_stain_reads_as_more(blur_um):
    ods = [0.0, 0.1, 0.2, 0.4, 0.6, 1.0, 1.5]
    dabs = [paint([Ring(20.1, 20.2, 6.0, od)], blur_um=blur_um) for od in ods]
    found = [np.median(read(dab, [(20.1, 20.2)], [3.5]).membrane_od) for dab in dabs]
    assert (np.diff(found) > 0.01).all()


@pytest.mark.parametrize(("blur_um", "least"), [(0.2, 0.95), (0.3, 0.95), (0.7, 0.98)])
def test_a_ring_reads_as_dark_as_the_darkest_pixels_of_its_membrane(blur_um, least):
    dab = paint([Ring(20.1, 20.2, 6.0, 0.4)], blur_um=blur_um)
    found = read(dab, [(20.1, 20.2)], [3.5]).membrane_od
    on_membrane = np.sort(dab.ravel())[-64:].mean()
    assert least < np.mean(found) / on_membrane < 1.1


def test_evenly_brown_cytoplasm_is_no_ridge_and_reads_as_itself():
    found = read(paint([Ring(20.0, 20.0, 7.0, 0.3)], cytoplasm=0.3), [(20.0, 20.0)], [3.0])
    assert found.cytoplasm_od[0] == pytest.approx(0.3, abs=0.03)
    assert np.median(found.membrane_od) < 0.34


@pytest.mark.parametrize(("radius", "tolerance"), [(8.0, 0.02), (6.5, 0.03), (5.5, 0.06)])
def test_cytoplasm_is_read_short_of_the_membrane(radius, tolerance):
    found = read(paint([Ring(20.0, 20.0, radius, 1.0)], cytoplasm=0.1), [(20.0, 20.0)], [3.0])
    assert found.cytoplasm_od[0] == pytest.approx(0.1, abs=tolerance)


def test_an_unstained_cell_reads_little_more_than_noise():
    found = read(paint([], noise=0.02), [(20.0, 20.0)], [3.5])
    assert found.membrane_od.mean() < 0.05
    assert abs(found.cytoplasm_od[0]) < 0.02


def crowd(seed, count, side_px):
    random = np.random.default_rng(seed)
    centres = np.round(random.uniform(30, side_px - 30, (count, 2)) * 64) / 64
    shape = random.uniform(4, 9, (count, 1)) * (
        1 + 0.2 * np.sin(2 * ANGLES + random.uniform(0, 7, (count, 1)))
    )
    nuclei = centres[:, None] + np.round(shape[..., None] * RAYS * 64) / 64
    return centres, nuclei, random.normal(0.2, 0.2, (side_px, side_px)).astype(np.float32)


@given(seed=st.integers(0, 1000), left=st.integers(0, 90), top=st.integers(0, 90))
def test_a_ring_is_the_same_bit_for_bit_whatever_part_of_the_image_it_is_read_from(seed, left, top):
    centres, nuclei, dab = crowd(seed, 40, 300)
    x, y = centres.T
    cells = expand_outlines(x, y, nuclei, by_um=5.0, mpp=MPP)
    whole = read_membranes(dab, x=x, y=y, nuclei=nuclei, cells=cells, mpp=MPP)
    corner = np.array([left, top])
    part = dab[top : top + 200, left : left + 180]
    reach = ring_reach_um(MPP) / MPP
    far = corner + np.array([180, 200])
    inside = (cells.min(1) >= corner + reach).all(1) & (cells.max(1) <= far - reach).all(1)
    assert inside.any()
    rows = np.flatnonzero(inside)[::-1]
    seen = read_membranes(
        part,
        x=x[rows] - left,
        y=y[rows] - top,
        nuclei=nuclei[rows] - corner,
        cells=cells[rows] - corner,
        mpp=MPP,
    )
    assert np.isfinite(whole.cytoplasm_od).all()
    np.testing.assert_array_equal(seen.membrane_od, whole.membrane_od[rows])
    np.testing.assert_array_equal(seen.cytoplasm_od, whole.cytoplasm_od[rows])


def test_cells_at_the_rim_of_an_image_are_finite():
    centres, nuclei = nuclei_of([(0.4, 0.4), (19.9, 10.0), (-1.0, 25.0)], [3.5, 4.0, 3.0])
    found = read_at(np.full((60, 40), 0.25, np.float32), centres, nuclei)
    np.testing.assert_allclose(found.membrane_od, 0.25, atol=1e-6)
    np.testing.assert_allclose(found.cytoplasm_od, 0.25, atol=1e-6)


def test_nuclei_on_one_another_still_have_finite_rings():
    centres, nuclei = nuclei_of([(15, 15), (16, 15), (15, 15)], [4.0, 4.0, 4.0])
    found = read_at(np.random.default_rng(1).random((60, 60), dtype=np.float32), centres, nuclei)
    assert np.isfinite(found.membrane_od).all()
    assert np.isfinite(found.cytoplasm_od).all()


@given(seed=st.integers(0, 1000))
def test_rings_and_cytoplasms_of_any_crowd_are_numbers(seed):
    centres, nuclei, dab = crowd(seed, 60, 200)
    found = read_at(dab, centres, nuclei)
    assert np.isfinite(found.membrane_od).all()
    assert np.isfinite(found.cytoplasm_od).all()


def test_no_cells_give_no_rings():
    found = read_at(np.zeros((20, 20), np.float32), np.empty((0, 2)), np.empty((0, 32, 2)))
    assert found.membrane_od.shape == (0, 32)
    assert found.cytoplasm_od.shape == (0,)


def test_arrays_that_do_not_fit_are_refused():
    centres, nuclei = nuclei_of([(10, 10)], [3])
    dab = np.zeros((40, 40), np.float32)
    with pytest.raises(InvalidTableError, match="outlines of shape"):
        read_membranes(dab, x=centres[:, 0], y=centres[:, 1], nuclei=nuclei, cells=nuclei[:, :16], mpp=MPP)
    with pytest.raises(SettingsError, match="um per px"):
        read_membranes(dab, x=centres[:, 0], y=centres[:, 1], nuclei=nuclei, cells=nuclei, mpp=0.0)
