"""The classical detector: right on drawn nuclei, and equal bit for bit however the image is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slidelab.models import UnmixedNuclei
from slidelab.models.star_outlines import mean_inside, polygon_area, polygon_centroid, ray_directions
from slidelab.tiling import TileGrid

MPP = 0.5


def draw(centres, radii, *, shape, dab=None, hematoxylin=0.5):
    """Draw soft discs; returns densities (2, H, W)."""
    from scipy import ndimage

    rows, columns = np.mgrid[: shape[0], : shape[1]]
    densities = np.zeros((2, *shape), np.float32)
    for number, ((x, y), radius) in enumerate(zip(centres, radii, strict=True)):
        inside = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2
        densities[0][inside] = hematoxylin
        densities[1][inside] = 0.0 if dab is None else dab[number]
    return np.stack([ndimage.gaussian_filter(plane, 0.8) for plane in densities])


def scatter(seed, shape, count, least=22.0):
    """Random centres at least ``least`` px apart."""
    random = np.random.default_rng(seed)
    centres: list[np.ndarray] = []
    for _ in range(count * 30):
        point = random.uniform(14, np.array(shape[::-1]) - 14)
        if all(np.hypot(*(point - other)) >= least for other in centres):
            centres.append(point)
        if len(centres) == count:
            break
    return np.array(centres)


def test_drawn_nuclei_are_found_where_they_are_and_as_large_as_they_are():
    centres = scatter(1, (400, 500), 120)
    radii = np.random.default_rng(2).uniform(5.5, 9.0, len(centres))
    cells = UnmixedNuclei().detect(draw(centres, radii, shape=(400, 500)), mpp=MPP)
    assert len(cells) == len(centres)
    apart = np.hypot(cells.x[:, None] - centres[:, 0], cells.y[:, None] - centres[:, 1])
    nearest = apart.argmin(axis=0)
    assert apart.min(axis=0).max() < 1.0
    assert cells.area_um2[nearest] == pytest.approx(np.pi * (radii * MPP) ** 2, rel=0.12)


def test_mean_density_inside_matches_what_was_drawn():
    centres = scatter(3, (400, 400), 80)
    dab = np.random.default_rng(4).uniform(0, 0.9, len(centres))
    densities = draw(centres, np.full(len(centres), 8.0), shape=(400, 400), dab=dab)
    cells = UnmixedNuclei().detect(densities, mpp=MPP)
    apart = np.hypot(cells.x[:, None] - centres[:, 0], cells.y[:, None] - centres[:, 1])
    measured = cells.measurements["dab_od_mean"][apart.argmin(axis=0)]
    # The soft edge of one pixel belongs to the outline and lowers the mean by about a tenth.
    assert measured == pytest.approx(dab, rel=0.15, abs=0.01)


def test_polar_mean_equals_the_mean_of_the_filled_polygon():
    from skimage.draw import polygon

    random = np.random.default_rng(5)
    plane = random.uniform(0, 1, (80, 80)).astype(np.float32)
    from scipy import ndimage

    plane = ndimage.gaussian_filter(plane, 2).astype(np.float32)
    radii = np.full((1, 32), 9.0, np.float32)
    outline = ray_directions() * 9.0 + 40.5
    rows, columns = polygon(outline[:, 1] - 0.5, outline[:, 0] - 0.5)
    measured = mean_inside(plane, np.array([[40, 40]]), radii)
    assert measured[0] == pytest.approx(plane[rows, columns].mean(), abs=0.01)


def test_polygon_formulas_agree_with_a_circle_and_a_shifted_centre():
    radii = np.full((3, 32), 5.0, np.float32)
    assert polygon_area(radii) == pytest.approx(np.pi * 25, rel=0.01)
    outline = ray_directions()[None] * 5.0 + np.array([1.5, -0.5])
    assert polygon_centroid(outline)[0] == pytest.approx([1.5, -0.5])


def test_large_dark_nuclei_are_not_split():
    centres = scatter(6, (400, 400), 25, least=45.0)
    cells = UnmixedNuclei().detect(
        draw(centres, np.full(len(centres), 13.0), shape=(400, 400), hematoxylin=1.5), mpp=MPP
    )
    assert len(cells) == len(centres)


def test_touching_nuclei_are_parted():
    centres = np.array([[60.0, 60.0], [74.0, 60.0], [140.0, 60.0], [140.0, 74.5]])
    cells = UnmixedNuclei().detect(draw(centres, np.full(4, 7.5), shape=(120, 200)), mpp=MPP)
    assert len(cells) == 4


@pytest.mark.parametrize("value", [0.0, 0.4, 2.0])
def test_a_flat_image_has_no_nuclei(value):
    assert len(UnmixedNuclei().detect(np.full((2, 64, 96), value, np.float32), mpp=MPP)) == 0


def field(seed, shape):
    """A crowded, noisy field with flat and saturated spots, so that ties and clusters occur."""
    random = np.random.default_rng(seed)
    centres = random.uniform(0, np.array(shape[::-1]), (shape[0] * shape[1] // 250, 2))
    radii = random.uniform(4, 11, len(centres))
    densities = draw(centres, radii, shape=shape, dab=random.choice([0.0, 0.3, 1.2], len(centres)))
    densities += random.normal(0, 0.02, densities.shape).astype(np.float32)
    densities[:, : shape[0] // 3] = np.round(densities[:, : shape[0] // 3], 1)
    return np.maximum(densities, 0)


SHAPE = (420, 380)
FIELD = field(7, SHAPE)
DETECTOR = UnmixedNuclei()
HALO = 2 * int(np.ceil(DETECTOR.reach_um / MPP / 2))


def window(x, y, width, height):
    """The field as any reader would deliver it: no stain beyond its borders."""
    padded = np.zeros((2, height, width), np.float32)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, SHAPE[1]), min(y + height, SHAPE[0])
    if x1 > x0 and y1 > y0:
        padded[:, y0 - y : y1 - y, x0 - x : x1 - x] = FIELD[:, y0:y1, x0:x1]
    return padded


def detect_tiled(core, halo, order=None):
    """Detect tile by tile; returns all columns, sorted by place."""
    grid = TileGrid(SHAPE[1], SHAPE[0], core, halo, DETECTOR.stride)
    parts = []
    for index in order if order is not None else range(len(grid)):
        tile = grid[index]
        x, y, width, height = tile.outer
        cells = DETECTOR.detect(window(x, y, width + width % 2, height + height % 2), mpp=MPP)
        cells = cells.select(tile.owns(cells.x + x, cells.y + y)).placed(x=x, y=y, scale=1.0)
        measured = [cells.measurements[name] for name in sorted(cells.measurements)]
        parts.append(
            np.column_stack(
                [
                    cells.x,
                    cells.y,
                    cells.area_um2,
                    cells.probability,
                    *measured,
                    cells.outlines.reshape(len(cells), 64),
                ]
            )
        )
    table = np.concatenate(parts)
    return table[np.lexsort(table.T[::-1])]


UNTILED = detect_tiled(1000, HALO)


@settings(max_examples=25)
@given(core=st.integers(30, 260).map(lambda half: 2 * half), extra=st.integers(0, 20), data=st.data())
def test_tiled_equals_untiled_bit_for_bit(core, extra, data):
    halo = HALO + 2 * extra
    count = len(TileGrid(SHAPE[1], SHAPE[0], core, halo, 2))
    order = data.draw(st.permutations(range(count)))
    tiled = detect_tiled(core, halo, order)
    assert len(UNTILED) > 200
    assert np.array_equal(tiled, UNTILED)


def test_a_halo_that_is_too_small_breaks_it():
    # If this passed, the test above would prove nothing.
    assert not np.array_equal(detect_tiled(60, 4), UNTILED)
