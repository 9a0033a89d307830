"""What turns one slide's colours into those of a target, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from .colour_table import ColourTable
from .concentration import least_squares, sparse_codes
from .density import rgb_to_density
from .h_e_profile import REFERENCE
from .profile import StainProfile
from .reinhard import LEAST_SPREAD, REINHARD_REFERENCE, ColourStatistics, lab_to_rgb, rgb_to_lab
from .vahadane import CODE_SPARSITY

__all__ = [
    "BY_NETWORK",
    "GLASS_DENSITY",
    "METHODS",
    "ColourNormalizer",
    "ColourTransfer",
    "Normalizer",
    "SlideColours",
    "StainTransfer",
    "Unchanged",
    "colours_for",
    "density_of",
    "is_alike",
    "table_of",
]

Floats = NDArray[np.float64]
SlideColours = StainProfile | ColourStatistics

METHODS = ("none", "reinhard", "macenko", "vahadane", "cyclegan", "distilled")
"""Ways to normalise; the last two need a network (`slidelab.workflows`)."""
BY_NETWORK = ("cyclegan", "distilled")
LN_10 = float(np.log(10.0))
Triple = tuple[float, float, float]
LEAST_LIKENESS = 0.6
"""Correlation of the lightness of stained pixels before and after, below which a slide is left as it is.

It is 0.80 or more in 70 fields of H&E; less than 1 since the two stains change by different factors."""
GLASS_DENSITY = (0.02, 0.08)
"""Mean OD up to which Reinhard leaves a pixel to the white point, and from which it has its full effect."""


class Normalizer(Protocol):
    """What turns a slide's pixels into a target's look; frozen, and may be sent to other processes."""

    @property
    def method(self) -> str:
        """One of `METHODS`."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What the reader of a result must know; with one of `FALLBACKS` pixels stay as they are."""

    @property
    def halo(self) -> int:
        """How far around a pixel others matter, px: 0 where a pixel's own colour decides.

        Nearer to an image's border than this, pixels are as if there were glass beyond: read so much more on
        every side, and cut it off.
        """

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image (H, W, 3) in its new colours."""

    def to_json(self) -> dict[str, Any]:
        """Return what was done, as plain JSON values."""


class ColourNormalizer(Normalizer, Protocol):
    """A normalizer for which a pixel's own colour decides: its images may have any shape (..., 3)."""

    def recolour(self, colours: Floats) -> Floats:
        """Return new colours (N, 3) for colours (N, 3), 0-255, neither rounded nor cut to that range."""


@dataclass(frozen=True)
class Unchanged:
    """Leaves pixels as they are: method ``none``, or a slide whose colours could not be told."""

    source: SlideColours | None = None
    """What could be measured of the slide; None: nothing was asked for."""
    flags: tuple[str, ...] = ()
    """Why nothing is done; empty for ``none``."""
    method: str = "none"
    """What was asked for."""
    halo: ClassVar[int] = 0
    """A pixel's own colour decides."""

    def recolour(self, colours: Floats) -> Floats:
        """Return the colours."""
        return colours

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image."""
        return image

    def to_json(self) -> dict[str, Any]:
        """Return the method, why nothing is done, and what was measured."""
        told: dict[str, Any] = {"method": self.method, "flags": list(self.flags)}
        return told if self.source is None else told | {"slide": self.source.to_json()}


@dataclass(frozen=True)
class StainTransfer:
    """Exchanges the stains: amounts of the slide's own, shown in the target's colours and strengths."""

    source: StainProfile
    """The slide's stains, with strengths."""
    target: StainProfile = REFERENCE
    """The stains to show them in, with strengths."""
    flags: tuple[str, ...] = ()
    """What the reader of a result must know."""
    halo: ClassVar[int] = 0
    """A pixel's own colour decides."""

    @property
    def method(self) -> str:
        """``macenko``, or ``vahadane``, which reads amounts sparsely."""
        return self.source.source

    @property
    def gains(self) -> tuple[float, float]:
        """How many times stronger either stain becomes."""
        first, second = np.divide(_strengths(self.target), _strengths(self.source)).tolist()
        return first, second

    def recolour(self, colours: Floats) -> Floats:
        """Return new colours: ``white 10^-(gains h W)`` with amounts h of the slide's stains."""
        density = density_of(colours, self.source.background)
        if self.method == "vahadane":
            amounts = sparse_codes(density, self.source.vectors, sparsity=CODE_SPARSITY)
        else:
            amounts = least_squares(density, self.source.vectors)
        weights = np.array(self.gains)[:, None] * self.target.vectors
        light = [
            white * np.exp(-LN_10 * (amounts[:, 0] * first + amounts[:, 1] * second))
            for white, first, second in zip(self.target.background, *weights, strict=True)
        ]
        return np.stack(light).T

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image in its new colours."""
        return table_of(self).apply(image)

    def to_json(self) -> dict[str, Any]:
        """Return method, both looks and flags."""
        return _told(self)


@dataclass(frozen=True)
class ColourTransfer:
    """Gives the stained pixels the target's mean and spread in l-alpha-beta; glass fades to white."""

    source: ColourStatistics
    """The slide's colours."""
    target: ColourStatistics = REINHARD_REFERENCE
    """The colours to give it."""
    flags: tuple[str, ...] = ()
    """What the reader of a result must know."""
    method: str = "reinhard"
    """Its name."""
    halo: ClassVar[int] = 0
    """A pixel's own colour decides."""

    @property
    def gains(self) -> tuple[float, float, float]:
        """How many times wider each channel's spread becomes."""
        spread = np.maximum(self.source.spread, LEAST_SPREAD)
        first, second, third = np.divide(self.target.spread, spread).tolist()
        return first, second, third

    def recolour(self, colours: Floats) -> Floats:
        """Return new colours.

        Reinhard's map moves glass like anything else and would tint it; so pixels fade from the full map
        to the mere change of the white point as their density falls to that of glass.
        """
        lab = rgb_to_lab(colours)
        moved = (lab - np.array(self.source.mean)) * np.array(self.gains) + np.array(self.target.mean)
        red, green, blue = np.clip(colours, 1.0, self.source.background).T  # no channel lighter than glass
        density = (np.log(np.prod(self.source.background)) - np.log(red * green * blue)) / (3.0 * LN_10)
        faint, full = GLASS_DENSITY
        share = np.clip((density - faint) / (full - faint), 0.0, 1.0)[:, None]
        balanced = colours * (np.array(self.target.background) / np.array(self.source.background))
        # Beyond what can be shown a mixture would have a kink: cut both first.
        return np.asarray(share * np.clip(lab_to_rgb(moved), 0.0, 255.0) + (1.0 - share) * balanced)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image in its new colours."""
        return table_of(self).apply(image)

    def to_json(self) -> dict[str, Any]:
        """Return method, both looks and flags."""
        return _told(self)


@lru_cache(maxsize=4)
def table_of(normalizer: ColourNormalizer) -> ColourTable:
    """Return the table of a normalizer, one per process."""
    return ColourTable(normalizer.recolour)


def colours_for(method: str) -> str:
    """Return the method that measures a slide's colours for a method; networks begin with Macenko's."""
    return "macenko" if method in BY_NETWORK else method


def is_alike(before: NDArray[np.uint8], after: NDArray[Any], *, background: Triple) -> bool:
    """Tell whether what was lighter than its surroundings still is.

    Parameters
    ----------
    before, after : (..., 3) uint8 or float array
        Pixels of a slide and what became of them, in the same order.
    background : (red, green, blue)
        White point of the slide; only its stained pixels count.
    """
    rgb, new = before.reshape(-1, 3), after.reshape(-1, 3)
    stained = rgb_to_density(rgb, background).mean(axis=1) > GLASS_DENSITY[1]
    first = rgb[stained].astype(np.float64).sum(axis=1)
    second = np.clip(new[stained].astype(np.float64), 0.0, 255.0).sum(axis=1)
    if len(first) == 0 or min(first.std(), second.std()) < 1e-9:
        return False
    return float(np.corrcoef(first, second)[0, 1]) >= LEAST_LIKENESS


def density_of(colours: Floats, background: tuple[float, float, float]) -> Floats:
    """Return the optical density (base 10) of colours (N, 3), as `rgb_to_density` does, in full precision."""
    return np.asarray(np.maximum(0.0, np.log(np.maximum(colours, 1.0) / np.array(background)) / -LN_10))


def _strengths(profile: StainProfile) -> tuple[float, float]:
    """Return the strengths of a profile that must have them."""
    if profile.strengths is None:
        raise SettingsError(
            f"a stain profile from {profile.source!r} without strengths",
            "Normalisation needs a profile written by `slidelab normalise`.",
        )
    return profile.strengths


def _told(normalizer: StainTransfer | ColourTransfer) -> dict[str, Any]:
    """Return method, flags and both looks."""
    return {
        "method": normalizer.method,
        "flags": list(normalizer.flags),
        "slide": normalizer.source.to_json(),
        "target": normalizer.target.to_json(),
    }
