"""Whole cells around nuclei: areas on drawn cells, and that neither tile nor order matters."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.models.cytoplasm import (
    CytoplasmSettings,
    bound_cells,
    red_density,
    refine_nuclei,
    trace_cells,
)
from slidelab.models.star_outlines import RAYS, polygon_area

MPP = 0.5
WHITE = (240, 240, 242)


def _draw(
    cells: list[tuple[float, float, float, float]], *, side: int = 360, halo: float = 0.0
) -> NDArray[np.uint8]:
    """Draw discs: x, y of the middle, radius of the cell and of its nucleus, um."""
    yy, xx = (np.mgrid[:side, :side] + 0.5) * MPP
    density = np.zeros((side, side, 3))
    for x, y, outer, inner in cells:
        away = np.hypot(xx - x, yy - y)
        body = np.clip((outer - away) / 1.0 + 0.5, 0, 1)
        if halo:
            body *= 1 - np.clip((inner + halo - away) / 1.0 + 0.5, 0, 1) * 0.95
        density = np.maximum(density, body[..., None] * [0.13, 0.07, 0.05])
        density += np.clip((inner - away) / 1.0 + 0.5, 0, 1)[..., None] * [0.5, 0.45, 0.25]
    noise = np.random.default_rng(1).normal(0, 1.0, density.shape)
    return np.clip(np.array(WHITE) * 10**-density + noise, 0, 255).astype(np.uint8)


def _rays(image: NDArray[np.uint8], cells: list[tuple[float, float, float, float]]) -> NDArray[np.float32]:
    x, y, _, inner = np.array(cells).T
    return trace_cells(image, x / MPP, y / MPP, nuclear_um2=np.pi * inner**2, white=WHITE, mpp=MPP)


@pytest.mark.parametrize(("outer", "inner"), [(20.0, 3.3), (9.0, 4.0), (6.5, 5.2), (24.0, 2.5)])
def test_areas_of_lone_cells_are_right_within_a_tenth(outer: float, inner: float) -> None:
    cells = [(90.0, 90.0, outer, inner)]
    rays = _rays(_draw(cells), cells)
    body = bound_cells([90], [90], nuclear_um2=[np.pi * inner**2], rays=rays, limits=[True])
    assert body.area_um2[0] == pytest.approx(np.pi * outer**2, rel=0.1)
    assert body.closed[0] == 1


def test_a_clear_zone_around_the_nucleus_belongs_to_the_cell() -> None:
    cells = [(90.0, 90.0, 20.0, 7.0)]
    rays = _rays(_draw(cells, halo=6.0), cells)
    body = bound_cells([90], [90], nuclear_um2=[150], rays=rays, limits=[True])
    assert body.area_um2[0] == pytest.approx(np.pi * 400, rel=0.15)


def test_touching_cells_share_the_line_between_them_and_a_neutrophil_takes_nothing() -> None:
    cells = [(70.0, 90.0, 18.0, 3.3), (100.0, 90.0, 18.0, 3.3), (78.0, 90.0, 3.0, 2.0)]
    rays = _rays(_draw(cells), cells)
    x, y = [70.0, 100.0, 78.0], [90.0, 90.0, 90.0]
    body = bound_cells(x, y, nuclear_um2=[34, 34, 12], rays=rays, limits=[True, True, False])
    assert body.area_um2[0] == pytest.approx(body.area_um2[1], rel=0.05)
    assert 0.75 * np.pi * 324 < body.area_um2[0] < np.pi * 324
    taken = bound_cells(x, y, nuclear_um2=[34, 34, 12], rays=rays, limits=[True, True, True])
    assert taken.area_um2[0] < 0.8 * body.area_um2[0]


def test_a_cell_in_the_midst_of_others_has_no_area() -> None:
    grid = [(60.0 + 22 * i, 60.0 + 22 * j, 16.0, 3.3) for i in range(4) for j in range(4)]
    rays = _rays(_draw(grid), grid)
    x, y = np.array(grid)[:, 0], np.array(grid)[:, 1]
    body = bound_cells(x, y, nuclear_um2=np.full(16, 34), rays=rays, limits=np.ones(16, bool))
    inner = [5, 6, 9, 10]
    assert np.isnan(body.area_um2[inner]).all()
    assert (body.closed[inner] < 0.5).all()


def test_neither_the_window_nor_the_order_changes_a_ray() -> None:
    rng = np.random.default_rng(2)
    cells = [(*rng.uniform(45, 135, 2), rng.uniform(6, 20), 3.3) for _ in range(12)]
    image = _draw(cells)
    whole = _rays(image, cells)
    reach = CytoplasmSettings().reach_px(MPP)
    for row, (x, y, _, inner) in enumerate(cells):
        left, top = (max(0, int(place / MPP) - reach) // 2 * 2 for place in (x, y))
        part = image[top : top + 2 * reach + 2, left : left + 2 * reach + 2]
        alone = trace_cells(
            part,
            [x / MPP - left],
            [y / MPP - top],
            nuclear_um2=[np.pi * inner**2],
            white=WHITE,
            mpp=MPP,
        )
        assert np.array_equal(alone[0], whole[row])
    turned = _rays(image, cells[::-1])
    assert np.array_equal(turned[::-1], whole)
    x, y = np.array(cells)[:, 0], np.array(cells)[:, 1]
    areas = np.full(12, 34.0)
    body = bound_cells(x, y, nuclear_um2=areas, rays=whole, limits=areas > 0)
    other = bound_cells(x[::-1], y[::-1], nuclear_um2=areas, rays=whole[::-1], limits=areas > 0)
    assert np.array_equal(body.area_um2, other.area_um2[::-1], equal_nan=True)


@pytest.mark.parametrize("wrong", [0.75, 1.3])
def test_borders_of_nuclei_move_to_where_they_are(wrong: float) -> None:
    cells = [(90.0, 90.0, 20.0, 4.5)]
    red = red_density(_draw(cells), WHITE)
    found, contrast, steep = refine_nuclei(
        red, [180.0], [180.0], radii=np.full((1, RAYS), 9.0 * wrong), mpp=MPP
    )
    assert steep[0] > 0.5
    assert polygon_area(found)[0] * MPP**2 == pytest.approx(np.pi * 4.5**2, rel=0.06)
    assert contrast[0] == pytest.approx(0.5, abs=0.1)


def test_a_nucleus_out_of_focus_falls_less_steeply() -> None:
    from scipy.ndimage import gaussian_filter

    red = red_density(_draw([(90.0, 90.0, 20.0, 4.5)]), WHITE)
    given = np.full((1, RAYS), 9.0)
    found = [
        refine_nuclei(gaussian_filter(red, blur), [180.0], [180.0], radii=given, mpp=MPP)[2][0]
        for blur in (0, 2, 4, 6)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.5 > 0.33 > found[-1]


def test_what_hardly_stands_out_keeps_its_border() -> None:
    red = np.full((100, 100), 0.1, np.float32)
    found, contrast, _ = refine_nuclei(red, [50.0], [50.0], radii=np.full((1, RAYS), 8.0), mpp=MPP)
    assert (found == 8).all()
    assert contrast[0] == pytest.approx(0, abs=1e-6)


def test_empty_tables_and_wrong_ones() -> None:
    image = np.full((64, 64, 3), 240, np.uint8)
    assert trace_cells(image, [], [], nuclear_um2=[], white=WHITE, mpp=MPP).shape == (0, RAYS)
    assert bound_cells([], [], nuclear_um2=[], rays=np.empty((0, RAYS)), limits=[]).area_um2.shape == (0,)
    with pytest.raises(InvalidTableError):
        bound_cells([1.0], [1.0], nuclear_um2=[30.0], rays=np.ones((2, RAYS)), limits=[True])
    with pytest.raises(SettingsError):
        CytoplasmSettings(least_od=-1)
