"""Colours shifted and stretched in the l-alpha-beta space, channel by channel (Reinhard 2001)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from .screening import can_normalise, screen

__all__ = ["REINHARD_REFERENCE", "ColourStatistics", "fit_reinhard", "lab_to_rgb", "rgb_to_lab"]

Floats = NDArray[np.float64]
Triple = tuple[float, float, float]

RGB_TO_LMS = (
    (0.3811, 0.5783, 0.0402),
    (0.1967, 0.7244, 0.0782),
    (0.0241, 0.1288, 0.8444),
)
"""From red, green, blue to the cones of the eye (Reinhard 2001, equation 4)."""
LMS_TO_LAB = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (6**-0.5, 6**-0.5, -2 * 6**-0.5),
    (2**-0.5, -(2**-0.5), 0.0),
)
"""From logarithms of those to l, alpha, beta (equation 6)."""
LEAST_SPREAD = 1e-6
"""Floor of a standard deviation that is divided by."""


@dataclass(frozen=True)
class ColourStatistics:
    """Mean and spread of a slide's stained pixels in l-alpha-beta; the default is HistomicsTK's reference."""

    mean: Triple = (8.74108, -0.12440, 0.04450)
    """Mean of l, alpha, beta; natural logarithms of values on the scale 0-255."""
    spread: Triple = (0.61354, 0.10990, 0.02860)
    """Standard deviation of each."""
    background: Triple = (255.0, 255.0, 255.0)
    """What clear glass reads, red green blue, 1-255."""
    flags: tuple[str, ...] = ()
    """What the reader of a result must know; see `slidelab.stain.FALLBACKS`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "source": "reinhard",
            "mean": list(self.mean),
            "spread": list(self.spread),
            "background": list(self.background),
            "flags": list(self.flags),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read back what `to_json` gave.

        Raises
        ------
        SettingsError
            If a field is missing or has the wrong shape.
        """
        try:
            made = cls(
                mean=_triple(value["mean"]),
                spread=_triple(value["spread"]),
                background=_triple(value["background"]),
                flags=tuple(str(flag) for flag in value["flags"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(
                f"these are no colour statistics: {error}", "Use a profile that an earlier run has written."
            ) from error
        if min(made.spread) < 0 or not 1 <= min(made.background) <= max(made.background) <= 255:
            raise SettingsError("impossible colour statistics", "Use a profile that an earlier run wrote.")
        return made


REINHARD_REFERENCE = ColourStatistics()
"""HistomicsTK's target: a TCGA glioblastoma slide."""


def fit_reinhard(pixels: NDArray[np.uint8], background: Triple = (255.0, 255.0, 255.0)) -> ColourStatistics:
    """Measure mean and spread of the stained pixels of a sample.

    It never fails: where the sample cannot tell, the reference comes back with a flag.

    Parameters
    ----------
    pixels : (..., 3) uint8 array
        Tissue pixels sampled over the whole slide; white where nothing was to be taken.
    background : (red, green, blue)
        White point of the slide.

    Returns
    -------
    ColourStatistics
        The slide's, with rounded numbers: what is used is what a file keeps.
    """
    found = screen(pixels, background)
    if not can_normalise(found.flags):
        return ColourStatistics(background=background, flags=found.flags)
    lab = rgb_to_lab(found.rgb.astype(np.float64))
    return ColourStatistics(_triple(lab.mean(axis=0)), _triple(lab.std(axis=0)), background, found.flags)


def rgb_to_lab(rgb: Floats) -> Floats:
    """Return l, alpha, beta (N, 3) of colours (N, 3) on the scale 0-255; values below 1 count as 1."""
    cones = _weighted(np.maximum(rgb, 1.0), RGB_TO_LMS)
    return _weighted(np.log(cones), LMS_TO_LAB)


def lab_to_rgb(lab: Floats) -> Floats:
    """Return the colours (N, 3), scale 0-255, of l, alpha, beta; some cannot be shown."""
    cones = np.exp(_weighted(lab, np.linalg.inv(np.array(LMS_TO_LAB))))
    return _weighted(cones, np.linalg.inv(np.array(RGB_TO_LMS)))


def _weighted(values: Floats, rows: Any) -> Floats:
    """Return each row's weighted sum of the three columns, rounded the same for any number of pixels."""
    sums = [values[:, 0] * row[0] + values[:, 1] * row[1] + values[:, 2] * row[2] for row in rows]
    return np.stack(sums).T  # stored column by column: all work on them is


def _triple(values: Any) -> Triple:
    """Three finite floats, rounded so that they survive JSON unchanged."""
    first, second, third = (round(float(value), 6) for value in values)
    if not np.isfinite([first, second, third]).all():
        raise ValueError(f"{first}, {second}, {third}")
    return first, second, third
