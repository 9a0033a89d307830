"""The colours of one slide's stains, fitted once per slide and guarded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from .density import rgb_to_density, separate_density, unmixing_matrix

__all__ = ["DAB_VECTOR", "HEMATOXYLIN_VECTOR", "StainProfile", "fit_h_dab", "published_h_e", "unmix"]

HEMATOXYLIN_VECTOR = (0.65, 0.70, 0.29)
"""Hematoxylin, optical density of red, green, blue (Ruifrok and Johnston 2001)."""
DAB_VECTOR = (0.27, 0.57, 0.78)
"""Diaminobenzidine, the same source."""
EOSIN_VECTOR = (0.2159, 0.8012, 0.5581)
"""Eosin as QuPath's default has it."""

TISSUE_DENSITY = 0.15
"""A pixel carries stain when its mean density exceeds this (base 10): above glass and faint background."""
EXTREME_PERCENTILE = 1.0
"""Share of pixels, in percent, beyond the two fitted stain directions (Macenko 2009, alpha = 1)."""
LEAST_PIXELS = 2_000
"""Fewer stained pixels than this cannot support a fit."""
DARK_DENSITY = 0.5
"""Mean density over the channels from which a brown pixel is dark, OD: DAB outweighs the counterstain."""
LEAST_DARK_PIXELS = 500
"""Fewer dark brown pixels do not tell a direction."""
LARGEST_TURN_DEG = 18.0
"""A fitted vector further than this from the published one is taken for another dye or for noise.

Hematoxylin and DAB lie 37 degrees apart; less than half of that keeps the two from being exchanged."""
LEAST_SEPARATION_DEG = 20.0
"""Closer than this the unmixing would amplify noise more than threefold."""
DAB_SHARE = 0.005
"""Least share of stained pixels that must look brown before the DAB vector is fitted, not assumed."""
PUBLISHED_H_E = "published H&E"
"""Source of a profile with the published vectors of hematoxylin and eosin."""
H_E_SOURCES = frozenset({PUBLISHED_H_E, "reference H&E", "macenko", "vahadane"})
"""Sources of profiles whose second stain is eosin."""
BROWN_OF_H_E = 0.05
"""Share of brown pixels from which a slide is no H&E slide; pigmented skin has 0.006."""


@dataclass(frozen=True)
class StainProfile:
    """White point and stain vectors of one slide.

    The default is the published H-DAB pair on a perfectly white background.
    """

    background: tuple[float, float, float] = (255.0, 255.0, 255.0)
    """What clear glass reads, red green blue, 1-255."""
    hematoxylin: tuple[float, float, float] = HEMATOXYLIN_VECTOR
    """Hematoxylin direction in optical density; need not have unit length."""
    chromogen: tuple[float, float, float] = DAB_VECTOR
    """Direction of the second stain in optical density: DAB, or eosin."""
    source: str = "default"
    """``fitted``, ``default``, ``published H&E`` or which of the two vectors was fitted; for normalisation
    ``macenko``, ``vahadane`` or ``reference H&E``."""
    flags: tuple[str, ...] = ()
    """What the reader of a result must know, such as ``STAIN_NOT_H_DAB``."""
    strengths: tuple[float, float] | None = None
    """99th percentile of the slide's concentration of either stain, OD (base 10); None: not measured."""
    middles: tuple[float, float] | None = None
    """Median of either concentration as a share of its strength, 0-1; None: not measured."""

    @property
    def vectors(self) -> NDArray[np.float64]:
        """Unit vectors, hematoxylin then chromogen: (2, 3)."""
        rows = np.array([self.hematoxylin, self.chromogen], np.float64)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    @property
    def second_stain(self) -> str:
        """What stains beside hematoxylin: ``DAB`` or ``eosin``."""
        return "eosin" if self.source in H_E_SOURCES else "DAB"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        told: dict[str, Any] = {
            "background": list(self.background),
            "hematoxylin": list(self.hematoxylin),
            "chromogen": list(self.chromogen),
            "source": self.source,
            "flags": list(self.flags),
        }
        for name, pair in (("strengths", self.strengths), ("middles", self.middles)):
            if pair is not None:
                told[name] = list(pair)
        return told

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read back what `to_json` gave.

        Raises
        ------
        SettingsError
            If a field is missing or has the wrong shape.
        """
        try:
            return cls(
                background=_triple(value["background"]),
                hematoxylin=_triple(value["hematoxylin"]),
                chromogen=_triple(value["chromogen"]),
                source=str(value["source"]),
                flags=tuple(value["flags"]),
                strengths=_pair(value.get("strengths"), name="strengths"),
                middles=_pair(value.get("middles"), name="middles"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(
                f"this is no stain profile: {error}", "Use a profile that an earlier run has written."
            ) from error


def unmix(image: NDArray[np.uint8], profile: StainProfile) -> NDArray[np.float32]:
    """Separate an image into hematoxylin and DAB.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        sRGB pixels.
    profile : StainProfile
        The slide's colours.

    Returns
    -------
    (2, H, W) float32 array
        Optical density (base 10) of hematoxylin and of DAB; negative values are cut to 0.

    Notes
    -----
    A pixel's result depends on that pixel alone, so it is the same for every tiling.
    """
    matrix = unmixing_matrix(profile.vectors)[:, :2]
    return separate_density(image, matrix, background=profile.background)


def fit_h_dab(
    pixels: NDArray[np.uint8], background: tuple[float, float, float] = (255.0, 255.0, 255.0)
) -> StainProfile:
    """Fit the hematoxylin and DAB vectors of a slide from a sample of its tissue.

    The two extreme directions of the stained pixels in the plane of their greatest variance (Macenko
    2009), each kept only while it stays near the published vector of its stain; otherwise the published
    one takes its place and the profile says so. DAB is then freed from the counterstain below it. It never
    fails: a pale or blank sample gives the default.

    Parameters
    ----------
    pixels : (N, 3) uint8 array
        Tissue pixels sampled over the whole slide.
    background : (red, green, blue)
        White point.

    Returns
    -------
    StainProfile
        With ``source`` and ``flags`` telling what was fitted: ``STAIN_DEFAULT`` (too little stain to
        fit), ``DAB_DEFAULT`` or ``HEMATOXYLIN_DEFAULT`` (that vector is the published one),
        ``STAIN_NOT_H_DAB`` (the second dye is nearer to eosin or another red than to DAB).

    References
    ----------
    .. [1] Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009.
    .. [2] Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution, 2001.
    """
    default = StainProfile(background=background)
    density = rgb_to_density(pixels.reshape(-1, 3), background).astype(np.float64)
    # Pixels at the floor of a channel carry no direction: log of almost nothing is mostly noise.
    usable = (density.mean(axis=1) > TISSUE_DENSITY) & (pixels.reshape(-1, 3).min(axis=1) > 8)
    density = density[usable]
    if len(density) < LEAST_PIXELS:
        return replace(default, flags=("STAIN_DEFAULT",))
    blue_end, brown_end = _extreme_directions(density)
    profile = _guarded(default, blue_end, brown_end, brown_share=_brown_share(density))
    return _without_counterstain(profile, density)


def published_h_e(
    pixels: NDArray[np.uint8], background: tuple[float, float, float] = (255.0, 255.0, 255.0)
) -> StainProfile:
    """Return the published vectors of hematoxylin and eosin for a slide.

    Parameters
    ----------
    pixels : (N, 3) uint8 array
        Tissue pixels sampled over the whole slide.
    background : (red, green, blue)
        White point.

    Returns
    -------
    StainProfile
        With the flag ``STAIN_DEFAULT`` where there is hardly any stain, and ``STAIN_NOT_H_E`` where so much
        of it is brown that the slide was stained for something else.
    """
    profile = StainProfile(background, HEMATOXYLIN_VECTOR, EOSIN_VECTOR, source=PUBLISHED_H_E)
    density = rgb_to_density(pixels.reshape(-1, 3), background).astype(np.float64)
    density = density[density.mean(axis=1) > TISSUE_DENSITY]
    if len(density) < LEAST_PIXELS:
        return replace(profile, flags=("STAIN_DEFAULT",))
    return replace(profile, flags=("STAIN_NOT_H_E",) if _brown_share(density) >= BROWN_OF_H_E else ())


def _extreme_directions(density: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the robust extremes of the pixels' directions: hematoxylin's end first, then the other."""
    _, axes = np.linalg.eigh(density.T @ density)
    axes = axes[:, [2, 1]]  # eigh sorts upwards; the mean direction first, the spread second
    axes = axes * np.where(axes.sum(axis=0) < 0, -1.0, 1.0)
    projected = density @ axes
    angles = np.arctan2(projected[:, 1], projected[:, 0])
    ends = np.percentile(angles, [EXTREME_PERCENTILE, 100.0 - EXTREME_PERCENTILE])
    directions = [axes @ np.array([np.cos(angle), np.sin(angle)]) for angle in ends]
    # Hematoxylin absorbs red most, DAB blue most.
    directions.sort(key=lambda vector: vector[2] - vector[0])
    return directions[0], directions[1]


def _without_counterstain(profile: StainProfile, density: NDArray[np.float64]) -> StainProfile:
    """Free a fitted DAB vector from the hematoxylin that lies below all brown.

    Counterstain pulls the extreme towards hematoxylin: on painted slides of known colours it reads DAB 18 to
    41 % too high. It is much the same below all dark brown pixels, so the direction along which these vary is
    free of it. Where they are few, an extreme on the way to hematoxylin gives way to the published vector.
    """
    if np.array_equal(profile.chromogen, DAB_VECTOR):
        return profile
    unit = density / np.linalg.norm(density, axis=1, keepdims=True)
    stains = np.array([profile.hematoxylin, DAB_VECTOR])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    dark = (np.argmax(unit @ stains.T, axis=1) == 1) & (density.mean(axis=1) > DARK_DENSITY)
    apart = angle_deg(profile.chromogen, profile.hematoxylin)
    if int(dark.sum()) >= LEAST_DARK_PIXELS:
        _, axes = np.linalg.eigh(np.cov(density[dark].T))
        along = axes[:, 2] * np.sign(axes[:, 2].sum())
        if angle_deg(along, profile.hematoxylin) <= apart:
            return profile  # the extreme holds no more counterstain than dark brown does
        if angle_deg(along, DAB_VECTOR) <= LARGEST_TURN_DEG:
            return replace(profile, chromogen=_triple(along))
    if apart >= angle_deg(DAB_VECTOR, profile.hematoxylin):
        return profile
    source = {"fitted": "hematoxylin fitted", "DAB fitted": "default"}[profile.source]
    return replace(profile, chromogen=DAB_VECTOR, source=source)


def _brown_share(density: NDArray[np.float64]) -> float:
    """Share of stained pixels that lie nearer to DAB than to hematoxylin and to eosin."""
    unit = density / np.linalg.norm(density, axis=1, keepdims=True)
    stains = np.array([HEMATOXYLIN_VECTOR, DAB_VECTOR, EOSIN_VECTOR])
    stains = stains / np.linalg.norm(stains, axis=1, keepdims=True)
    return float(np.mean(np.argmax(unit @ stains.T, axis=1) == 1))


def _guarded(
    default: StainProfile,
    blue_end: NDArray[np.float64],
    brown_end: NDArray[np.float64],
    *,
    brown_share: float,
) -> StainProfile:
    """Keep each fitted vector only where it is believable."""
    blue_fits = angle_deg(blue_end, HEMATOXYLIN_VECTOR) <= LARGEST_TURN_DEG
    brown_fits = (
        brown_share >= DAB_SHARE
        # Red ink pulls the end of the spread towards eosin, and is never brown.
        and angle_deg(brown_end, DAB_VECTOR) < angle_deg(brown_end, EOSIN_VECTOR)
        and angle_deg(brown_end, DAB_VECTOR) <= LARGEST_TURN_DEG
        and angle_deg(brown_end, blue_end if blue_fits else HEMATOXYLIN_VECTOR) >= LEAST_SEPARATION_DEG
    )
    hematoxylin = _triple(blue_end / np.linalg.norm(blue_end)) if blue_fits else HEMATOXYLIN_VECTOR
    chromogen = _triple(brown_end / np.linalg.norm(brown_end)) if brown_fits else DAB_VECTOR
    flags = []
    if not blue_fits:
        flags.append("HEMATOXYLIN_DEFAULT")
    if not brown_fits:
        flags.append("DAB_DEFAULT")
        if _is_another_dye(brown_end, brown_share):
            flags.append("STAIN_NOT_H_DAB")
    if angle_deg(hematoxylin, chromogen) < LEAST_SEPARATION_DEG:
        return replace(default, flags=("STAIN_DEFAULT",))
    sources = {(True, True): "fitted", (True, False): "hematoxylin fitted", (False, True): "DAB fitted"}
    return StainProfile(
        background=default.background,
        hematoxylin=hematoxylin,
        chromogen=chromogen,
        source=sources.get((blue_fits, brown_fits), "default"),
        flags=tuple(flags),
    )


def _is_another_dye(second: NDArray[np.float64], brown_share: float) -> bool:
    """Tell an H&E or red-chromogen slide from an H-DAB slide without much brown."""
    turned = angle_deg(second, HEMATOXYLIN_VECTOR) > LARGEST_TURN_DEG
    redder = angle_deg(second, EOSIN_VECTOR) < angle_deg(second, DAB_VECTOR)
    return turned and redder and brown_share < 0.05


def angle_deg(first: Any, second: Any) -> float:
    """Angle between two directions in degrees."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    cosine = float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _pair(values: Any, *, name: str) -> tuple[float, float] | None:
    """Two positive floats, or None where nothing was measured."""
    if values is None:
        return None
    first, second = (float(value) for value in values)
    if not (0 < first < np.inf and 0 < second < np.inf):
        raise ValueError(f"{name} {first} and {second}")
    return first, second


def _triple(values: Any) -> tuple[float, float, float]:
    """Three plain floats, rounded so that they survive JSON unchanged."""
    first, second, third = (round(float(value), 6) for value in values)
    return first, second, third
