"""How two scanners see the same stained tissue: colour, white point, sharpness, noise, compression."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Scanner:
    """One scanner's look.

    The tone curve is a power per channel, ``255 (I / 255)^gamma``, because then Beer-Lambert's law
    still holds in the file: optical densities are multiplied by gamma, and nothing else happens.
    """

    name: str
    "Key in the registry."
    white: Vector
    "Light through clean glass before the tone curve, 0-255 per channel (R, G, B)."
    gamma: Vector
    "Exponent of the tone curve per channel."
    stains: dict[str, dict[str, Vector]] = field(hash=False)
    "Kind -> stain -> optical density per unit of stain (R, G, B), normalised to length one on use."
    blur_um: float
    "Sigma of the optical point spread, um."
    sharpening: float
    "Weight of the unsharp mask that the scanner's software adds."
    noise: float
    "Standard deviation of the sensor noise, grey levels."
    shading: float
    "Depth of the illumination's fall-off towards a camera field's corners, share of white."
    jpeg_quality: int
    "JPEG quality, 1-100."
    jpeg_subsampling: tuple[int, int]
    "Chroma subsampling, horizontal and vertical."

    def vectors(self, kind: str) -> dict[str, Vector]:
        """Return the unit optical density vectors of a kind's stains, before the tone curve."""
        return {name: _unit(vector) for name, vector in self.stains[kind].items()}

    def effective_vectors(self, kind: str) -> dict[str, Vector]:
        """Return the stain vectors as they stand in the file, not normalised: their length is the gain."""
        red, green, blue = self.gamma
        return {n: (v[0] * red, v[1] * green, v[2] * blue) for n, v in self.vectors(kind).items()}

    @property
    def white_point(self) -> Vector:
        """RGB of clean glass in the file, 0-255."""
        red, green, blue = (255.0 * (w / 255.0) ** g for w, g in zip(self.white, self.gamma, strict=True))
        return (red, green, blue)


def _unit(vector: Vector) -> Vector:
    length = math.hypot(*vector)
    return (vector[0] / length, vector[1] / length, vector[2] / length)


IHC_KINDS = ("ki67", "er", "pr", "her2", "pdl1")  # hematoxylin and DAB: the same colours for all

# Starting points: Ruifrok & Johnston, Anal Quant Cytol Histol 2001;23:291 (hematoxylin .65 .70 .29,
# eosin .07 .99 .11, DAB .27 .57 .78). Immunohistochemistry uses progressive hematoxylins that scan
# bluer than the one of H&E, and scanned eosin takes more blue than Ruifrok's; both are moved that way.
_IHC_A: dict[str, Vector] = {
    "hematoxylin": (0.77, 0.56, 0.31),
    "dab": (0.27, 0.57, 0.78),
    "ground": (0.53, 0.57, 0.62),
}
_PAP: dict[str, Vector] = {  # hematoxylin, and the light green and eosin of EA: ours, after scanned slides
    "hematoxylin": (0.70, 0.64, 0.33),
    "cyan": (0.82, 0.47, 0.33),
    "eosin": (0.16, 0.82, 0.55),
}
_SMEAR: dict[str, Vector] = {  # azure B, eosin Y and methylene blue as in May-Gruenwald-Giemsa: ours
    "azure": (0.70, 0.66, 0.27),
    "eosin": (0.20, 0.74, 0.64),
    "blue": (0.78, 0.56, 0.28),
}
_SCANNER_A = Scanner(
    name="a",
    white=(234.0, 234.0, 239.0),
    gamma=(1.0, 1.0, 1.0),
    stains={
        **dict.fromkeys(IHC_KINDS, _IHC_A),
        "he": {"hematoxylin": (0.65, 0.70, 0.29), "eosin": (0.22, 0.84, 0.49)},
        "pap": _PAP,
        "smear": _SMEAR,
    },
    blur_um=0.20,
    sharpening=0.0,
    noise=1.1,
    shading=0.004,
    jpeg_quality=88,
    jpeg_subsampling=(2, 1),
)

_IHC_B: dict[str, Vector] = {
    "hematoxylin": (0.71, 0.60, 0.37),
    "dab": (0.34, 0.60, 0.72),
    "ground": (0.50, 0.60, 0.63),
}
_SCANNER_B = Scanner(
    name="b",
    white=(243.0, 240.0, 233.0),
    gamma=(1.10, 1.14, 1.08),
    stains={
        **dict.fromkeys(IHC_KINDS, _IHC_B),
        "he": {"hematoxylin": (0.61, 0.72, 0.34), "eosin": (0.29, 0.80, 0.53)},
        "pap": _PAP,
        "smear": _SMEAR,
    },
    blur_um=0.30,
    sharpening=1.1,
    noise=2.0,
    shading=0.007,
    jpeg_quality=78,
    jpeg_subsampling=(2, 2),
)

SCANNERS: dict[str, Scanner] = {"a": _SCANNER_A, "b": _SCANNER_B}
