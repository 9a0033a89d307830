"""Areas in mm²: of counted pixels, and of a microscope's field of view."""

from __future__ import annotations

from math import pi

from ..errors import SettingsError


def pixel_area_mm2(pixels: int, *, mpp: tuple[float, float] | None) -> float | None:
    """Return the area of a number of pixels.

    Parameters
    ----------
    pixels : int
        Count of pixels.
    mpp : (float, float) or None
        Resolution in x and y of the level that was measured, um per pixel.

    Returns
    -------
    float or None
        mm²; None where the resolution is unknown, for then there is no area, density or size to report.
    """
    return None if mpp is None else pixels * mpp[0] * mpp[1] / 1e6


def microscope_field_mm2(field_number: float, *, objective: float) -> float:
    """Return the area of one field of view: diameter mm = field number / objective magnification.

    Parameters
    ----------
    field_number : float
        Field number of the eyepiece, mm (18 to 26 is usual).
    objective : float
        Magnification of the objective, for example 40.

    Returns
    -------
    float
        mm².

    Raises
    ------
    SettingsError
        If either number is not positive.
    """
    if field_number <= 0 or objective <= 0:
        raise SettingsError(
            f"field number {field_number} with objective {objective} is no microscope field",
            "Give both as positive numbers, for example 22 and 40.",
        )
    return pi * (field_number / objective / 2) ** 2
