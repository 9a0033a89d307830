"""The exchange of stains that the generator corrects: amounts pass a tone curve, and nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from .density import unmixing_matrix
from .h_e_profile import REFERENCE
from .profile import StainProfile

__all__ = ["GENTLEST", "STEEPEST", "ToneTransfer", "look_numbers"]

Floats = NDArray[np.float64]

GENTLEST, STEEPEST = 0.4, 2.5
"""Slopes of the tone curve at no stain, at least and at most: noise must not become tissue."""


@dataclass(frozen=True)
class ToneTransfer:
    """Amounts of the slide's stains, brought to the target's middles and strengths, in the target's colours.

    Unlike `StainTransfer` it brings the medians of the amounts together as well, not only their 99th
    percentiles, and keeps what neither stain explains.
    """

    source: StainProfile
    """The slide's stains, with strengths."""
    target: StainProfile = REFERENCE
    """The stains to show them in, with strengths."""

    @property
    def gains(self) -> tuple[float, float]:
        """How many times stronger either stain's 99th percentile becomes."""
        gains = np.divide(self.target.strengths or (1.0, 1.0), self.source.strengths or (1.0, 1.0))
        first, second = gains.tolist()
        return first, second

    @property
    def slopes(self) -> tuple[float, float]:
        """Slopes of the curves at no stain; 1 where a middle was not measured."""
        if self.source.middles is None or self.target.middles is None:
            return 1.0, 1.0
        source, target = np.array(self.source.middles), np.array(self.target.middles)
        odds = target * (1.0 - source) / (source * (1.0 - target))
        first, second = np.clip(odds, GENTLEST, STEEPEST).tolist()
        return first, second

    def density(self, density: Floats) -> Floats:
        """Return densities (N, 3), base 10, in the target's look; they may be below 0.

        The curve takes 0 to 0, 1 (the strength) to 1 and the source's middle to the target's, as far as its
        slope stays within bounds; beyond 0 and 1 it goes on as a straight line.
        """
        inverse = unmixing_matrix(self.source.vectors)
        frame = np.linalg.inv(unmixing_matrix(self.target.vectors))
        amounts = [density[:, 0] * c[0] + density[:, 1] * c[1] + density[:, 2] * c[2] for c in inverse.T]
        strengths = zip(self.source.strengths or (1.0, 1.0), self.target.strengths or (1.0, 1.0), strict=True)
        for stain, ((own, aimed), slope) in enumerate(zip(strengths, self.slopes, strict=True)):
            amounts[stain] = aimed * _curve(amounts[stain] / own, slope)
        shown = [amounts[0] * c[0] + amounts[1] * c[1] + amounts[2] * c[2] for c in frame.T]
        return np.stack(shown).T


def look_numbers(profile: StainProfile) -> Floats:
    """Return what the generator is told of a look: vectors (6), strengths (2, OD), middles (2): (10,).

    Raises
    ------
    SettingsError
        If strengths or middles were not measured.
    """
    if profile.strengths is None or profile.middles is None:
        raise SettingsError(
            f"a stain profile from {profile.source!r} without strengths and middles",
            "Use a profile written by `slidelab normalise` of this version, or an image as the target.",
        )
    return np.concatenate([profile.vectors.reshape(-1), profile.strengths, profile.middles])


def _curve(amounts: Floats, slope: float) -> Floats:
    """Return amounts along the curve."""
    inner = np.clip(amounts, 0.0, 1.0)
    within = slope * inner / (1.0 + (slope - 1.0) * inner)
    return np.asarray(within + slope * np.minimum(amounts, 0.0) + np.maximum(amounts - 1.0, 0.0) / slope)
