"""Areas of pixels and of microscope fields."""

from __future__ import annotations

import pytest

from slidelab.errors import SettingsError
from slidelab.quantify import microscope_field_mm2, pixel_area_mm2


@pytest.mark.parametrize(
    ("field_number", "objective", "expected"),
    [(22, 40, 0.2376), (22, 20, 0.9503), (20, 20, 0.7854), (22, 10, 3.8013)],
)
def test_microscope_field_area(field_number: float, objective: float, expected: float) -> None:
    # pi * (22 / 40 / 2)**2 = pi * 0.275**2 = 0.2376
    assert microscope_field_mm2(field_number, objective=objective) == pytest.approx(expected, abs=5e-5)


def test_pixel_area_uses_both_axes() -> None:
    # 1,000,000 px of 0.5 um x 0.4 um = 0.2 mm²
    assert pixel_area_mm2(1_000_000, mpp=(0.5, 0.4)) == pytest.approx(0.2)


def test_no_resolution_means_no_area() -> None:
    assert pixel_area_mm2(1_000_000, mpp=None) is None


@pytest.mark.parametrize(("field_number", "objective"), [(0, 40), (22, 0), (-22, 40)])
def test_microscope_field_refuses_nonsense(field_number: float, objective: float) -> None:
    with pytest.raises(SettingsError):
        microscope_field_mm2(field_number, objective=objective)
