from __future__ import annotations

import pytest

from slidelab.wsi.formats.pyramid import make_levels


@pytest.mark.parametrize(
    ("full", "size", "expected"),
    [
        ((650, 743), (325, 371), 2.0),
        ((650, 743), (162, 185), 4.0),  # 650 / 162 = 4.012: the rest of 2 px was cut off
        ((4443, 3567), (2221, 1783), 2.0),
        ((4443, 3567), (2222, 1784), 2.0),  # rounded up instead
        ((2220, 2967), (1, 1), 2048.0),  # 1 / 2593 by the mean; the chain of halves says 2048
        ((3000, 3000), (1000, 1000), 3.0),
        ((1000, 1000), (700, 700), 1000 / 700),
    ],
)
def test_downsample_is_whole_wherever_the_sizes_allow(full, size, expected) -> None:
    assert make_levels([full, size])[1].downsample == pytest.approx(expected, abs=1e-12)


def test_level_0_has_downsample_1() -> None:
    (level,) = make_levels([(123, 45)])
    assert (level.width, level.height, level.downsample) == (123, 45, 1.0)
