"""Published stain vectors, and separation of an image into stains by them (Ruifrok and Johnston 2001)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .density import separate_density, unmixing_matrix

__all__ = ["H_DAB", "H_E", "H_E_DAB", "StainSet", "separate_stains"]

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class StainSet:
    """Stains that may lie on a slide together, with their published colours."""

    names: tuple[str, ...]
    """Two or three stains."""
    vectors: tuple[Triple, ...]
    """Optical density of red, green, blue of each, as published: not of unit length."""
    source: str
    """Where the vectors are from."""

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Length of each published vector, (n,)."""
        return np.asarray(np.linalg.norm(np.array(self.vectors), axis=1))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Matrix from optical density to concentrations, (3, 3); columns as in ``names``, residual last."""
        return unmixing_matrix(np.array(self.vectors))


H_E = StainSet(
    ("hematoxylin", "eosin"),
    ((0.65, 0.70, 0.29), (0.2159, 0.8012, 0.5581)),
    "QuPath's default H&E",
)
H_DAB = StainSet(
    ("hematoxylin", "DAB"),
    ((0.65, 0.70, 0.29), (0.27, 0.57, 0.78)),
    "Ruifrok and Johnston 2001; QuPath's default H-DAB",
)
H_E_DAB = StainSet(
    ("hematoxylin", "eosin", "DAB"),
    ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)),
    "Ruifrok and Johnston 2001; scikit-image's rgb_from_hed",
)


def separate_stains(
    image: NDArray[np.uint8], stains: StainSet, *, background: Triple = (255.0, 255.0, 255.0)
) -> NDArray[np.float32]:
    """Separate an image into its stains by published vectors.

    Parameters
    ----------
    image : (..., 3) uint8 array
        sRGB pixels.
    stains : StainSet
        ``H_E``, ``H_DAB``, ``H_E_DAB`` or one's own.
    background : (red, green, blue)
        White point, 1-255.

    Returns
    -------
    (n, ...) float32 array
        Optical density (base 10) of each stain; negative values are cut to 0.

    Notes
    -----
    Vectors are brought to unit length first, as QuPath does, and two are completed by their cross product.
    scikit-image leaves the published lengths: its concentrations are these divided by ``stains.lengths``,
    and by 6 since it counts in units of 6 decades.

    Examples
    --------
    >>> import numpy as np
    >>> pixel = np.array([[[150, 110, 70]]], np.uint8)
    >>> [round(float(density), 4) for density in separate_stains(pixel, H_DAB)[:, 0, 0]]
    [0.0127, 0.6959]
    """
    matrix = stains.matrix[:, : len(stains.names)]
    return separate_density(image, matrix, background=background)
