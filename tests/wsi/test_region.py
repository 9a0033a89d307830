from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import RegionError
from slidelab.wsi import Region

regions = st.builds(
    Region, st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 60), st.integers(1, 60)
)


def pixels(region: Region | None) -> set[tuple[int, int]]:
    if region is None:
        return set()
    return {(x, y) for x in range(region.x, region.right) for y in range(region.y, region.bottom)}


@given(regions, regions)
def test_intersection_holds_exactly_the_common_pixels(a: Region, b: Region) -> None:
    assert pixels(a.intersection(b)) == pixels(a) & pixels(b)


def test_regions_that_only_touch_do_not_intersect() -> None:
    assert Region(0, 0, 10, 10).intersection(Region(10, 0, 5, 5)) is None


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_an_empty_region_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(RegionError, match="empty"):
        Region(0, 0, *size)


def test_half_pixels_are_refused() -> None:
    with pytest.raises(RegionError, match=r"x = 0\.5 is not a whole number"):
        Region(0.5, 0, 5, 5)  # type: ignore[arg-type]
