"""The student of a stain generator: for one slide, what the generator makes of a colour on average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from .colour_lattice import ColourLattice
from .density import rgb_to_density
from .profile import StainProfile
from .tone_transfer import ToneTransfer
from .transfer import GLASS_DENSITY, LN_10, density_of, table_of

__all__ = ["DistilledTransfer", "colour_distance", "fit_student"]

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class DistilledTransfer:
    """The exchange of stains with a correction that was learnt from a generator; a pixel's colour decides."""

    transfer: ToneTransfer
    """What is corrected."""
    corrections: ColourLattice
    """OD to add, by colour of the slide."""
    teacher: str
    """Name of the generator and the sha256 of its weights: ``NAME@...``."""
    distance: tuple[float, float]
    """Mean and 95th percentile of the colour distance to the teacher (CIEDE2000), on stained pixels of
    windows that corrections were not learnt from."""
    flags: tuple[str, ...] = ()
    """What the reader of a result must know."""
    method: str = "distilled"
    """Its name."""
    halo: ClassVar[int] = 0
    """A pixel's own colour decides."""

    @property
    def source(self) -> StainProfile:
        """The slide's stains."""
        return self.transfer.source

    @property
    def target(self) -> StainProfile:
        """The stains that it is shown in."""
        return self.transfer.target

    def recolour(self, colours: Floats) -> Floats:
        """Return new colours (N, 3) for colours (N, 3), 0-255."""
        density = density_of(colours, self.source.background)
        said = _share(density)[:, None] * self.corrections.at(colours)
        shown = np.maximum(self.transfer.density(density) + said, 0.0)
        return np.asarray(np.array(self.target.background) * np.exp(-LN_10 * shown))

    def apply(self, image: Pixels) -> Pixels:
        """Return an image in its new colours."""
        return table_of(self).apply(image)

    def to_json(self) -> dict[str, Any]:
        """Return all that `from_json` needs, as plain JSON values."""
        return {
            "method": self.method,
            "flags": list(self.flags),
            "slide": self.source.to_json(),
            "target": self.target.to_json(),
            "generator": self.teacher,
            "colour_distance_to_generator": {"mean": self.distance[0], "p95": self.distance[1]},
            "corrections": self.corrections.to_text(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read back what `to_json` gave.

        Raises
        ------
        SettingsError
            If a field is missing or wrong.
        """
        try:
            distance = value["colour_distance_to_generator"]
            return cls(
                ToneTransfer(StainProfile.from_json(value["slide"]), StainProfile.from_json(value["target"])),
                ColourLattice.from_text(value["corrections"]),
                teacher=str(value["generator"]),
                distance=(float(distance["mean"]), float(distance["p95"])),
                flags=tuple(str(flag) for flag in value["flags"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(
                f"this is no distilled profile: {error}", "Use a profile that an earlier run has written."
            ) from error


def fit_student(
    before: Pixels, after: Pixels, transfer: ToneTransfer, *, teacher: str, flags: tuple[str, ...] = ()
) -> DistilledTransfer:
    """Learn what a generator made of a slide's windows as a function of colour.

    Parameters
    ----------
    before, after : (N, H, W, 3) uint8 array
        Windows over the slide's tissue, and what the generator made of them; two at least.
    transfer : ToneTransfer
        What the generator corrects.
    teacher : str
        Its name.
    flags : tuple of str
        What was noted about the slide.

    Returns
    -------
    DistilledTransfer
        Learnt from all windows; its distance is that of one learnt from every other window, on the rest.
    """
    half = _learn(before[::2], after[::2], transfer)
    seen = DistilledTransfer(transfer, half, teacher, (0.0, 0.0))
    stained = _stained(before[1::2], transfer.source.background)
    rest, wanted = before[1::2][stained], after[1::2][stained]
    distances = colour_distance(seen.recolour(rest.astype(np.float64)), wanted) if len(rest) else np.zeros(1)
    distance = (round(float(distances.mean()), 3), round(float(np.percentile(distances, 95)), 3))
    return DistilledTransfer(transfer, _learn(before, after, transfer), teacher, distance, flags)


def colour_distance(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Return the CIEDE2000 distances of colours (N, 3), sRGB 0-255, taken for D65: (N,)."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    compare: Any = deltaE_ciede2000
    convert: Any = rgb2lab
    one, other = (
        convert(np.clip(np.asarray(each, np.float64) / 255.0, 0.0, 1.0)) for each in (first, second)
    )
    return np.asarray(compare(one, other))


def _learn(before: Pixels, after: Pixels, transfer: ToneTransfer) -> ColourLattice:
    """Return the corrections that explain pairs of pixels."""
    stained = _stained(before, transfer.source.background)
    colours, made = before[stained], after[stained]
    density = density_of(colours.astype(np.float64), transfer.source.background)
    base = np.maximum(transfer.density(density), 0.0)
    wanted = density_of(made.astype(np.float64), transfer.target.background)
    share = _share(density)
    # A step of density shows the less the darker a pixel is; what fades out teaches less.
    light = (made.mean(axis=1) / 255.0) ** 2
    values = (wanted - base) / np.maximum(share, 0.05)[:, None]
    return ColourLattice.fit(colours, values, weights=share**2 * np.maximum(light, 0.01))


def _share(density: Floats) -> Floats:
    """Return how much of the correction counts at densities (N, 3): none on glass."""
    faint, full = GLASS_DENSITY
    mean = (density[:, 0] + density[:, 1] + density[:, 2]) / 3.0
    return np.asarray(np.clip((mean - faint) / (full - faint), 0.0, 1.0))


def _stained(pixels: Pixels, background: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Tell which pixels carry stain."""
    return np.asarray(rgb_to_density(pixels, background).mean(axis=-1) > GLASS_DENSITY[0])
