"""The scale of field images that state none, from the red cells themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ResolutionError
from ...wsi import open_slide
from .readers import KINDS, SmearReader

__all__ = ["RED_CELL_UM", "ScaleEstimate", "estimate_scale", "stained_part"]

RED_CELL_UM = 7.5
"""Diameter that the median red cell is taken to have, um."""
FINEST = 0.05
"""um per px below which `open_slide` takes no scale."""
GUESSES = tuple(float(guess) for guess in np.round(FINEST * 1.3 ** np.arange(9), 4))
"""um per px that are tried: from a camera behind a 100x lens to a 40x scan."""
FIELDS = 6
"""Images that are looked at, spread evenly."""
NEAR = 0.25
"""A detected red cell counts for a guess if its diameter is that near to `RED_CELL_UM`, as a share of it."""
LEAST_COVERED = 0.3
"""Share of the stain that such cells must cover at the best guess."""
FEWEST_CELLS = 20
REFINEMENTS = 2
LARGEST_PX = 4096
"""A guess at which a field would be larger than this at the network's resolution is out of the question."""


@dataclass(frozen=True)
class ScaleEstimate:
    """um per px, judged from red cells."""

    mpp: float
    cells: int
    """Red cells that it rests on."""
    covered: float
    """Share of the stain that they cover: how well the guess explains the fields."""


@dataclass(frozen=True)
class _Sight:
    """What is seen in one field under one guess."""

    diameters: NDArray[np.float64]
    """Of whole red cells, um under the guess: (N,)."""
    covered_um2: float
    stained_um2: float


def estimate_scale(images: Sequence[Path], reader: SmearReader) -> ScaleEstimate:
    """Judge the scale of fields of one microscope and camera.

    Every guess is tried on a few fields: under the right one the detector finds red cells of `RED_CELL_UM`
    that cover most of what is stained. The best guess is then moved until the median red cell has that size.

    Parameters
    ----------
    images : sequence of Path
        Fields of one size in px.
    reader : SmearReader
        The detector.

    Raises
    ------
    ResolutionError
        If no guess explains the fields; the advice names ``--mpp``.

    Notes
    -----
    The estimate makes the patient's median red cell 7.5 um: whether it is larger or smaller than usual
    cannot be told from such fields.
    """
    chosen = [images[at] for at in np.unique(np.linspace(0, len(images) - 1, FIELDS).round().astype(int))]
    seen = {guess: _look(chosen, reader, mpp=guess) for guess in GUESSES}
    best = max(GUESSES, key=lambda guess: seen[guess].covered)
    for _ in range(REFINEMENTS):
        median = seen[best].median
        if median is None:
            break
        moved = best * RED_CELL_UM / median
        if moved < FINEST:
            raise ResolutionError(
                f"judged from their red cells the images have {moved:.3f} um per pixel, under {FINEST:g}",
                "Make the images smaller by half: no detail is lost at this scale.",
            )
        seen[moved] = _look(chosen, reader, mpp=moved)
        best = moved
    found = seen[best]
    if found.cells < FEWEST_CELLS or found.covered < LEAST_COVERED:
        raise ResolutionError(
            f"the images state no scale, and it cannot be judged from {found.cells} red cells of the size "
            f"sought that cover {100 * found.covered:.0f} % of the stain",
            "State um per pixel with --mpp, about 0.07 for a 100x oil lens on a usual camera.",
        )
    return ScaleEstimate(round(best, 5), found.cells, round(found.covered, 4))


@dataclass(frozen=True)
class _Seen:
    """What is seen in all fields under one guess."""

    cells: int
    """Red cells of the size sought."""
    median: float | None
    """Median diameter of the whole red cells, um under the guess; None without any."""
    covered: float


def _look(images: Sequence[Path], reader: SmearReader, *, mpp: float) -> _Seen:
    """Find the red cells of some fields under a guess."""
    sights = [sight for path in images if (sight := _look_at(path, reader, mpp=mpp)) is not None]
    if not sights:
        return _Seen(0, None, 0.0)
    diameters = np.concatenate([sight.diameters for sight in sights])
    stained = sum(sight.stained_um2 for sight in sights)
    return _Seen(
        int(_is_near(diameters).sum()),
        float(np.median(diameters)) if len(diameters) else None,
        sum(sight.covered_um2 for sight in sights) / stained if stained else 0.0,
    )


def _look_at(path: Path, reader: SmearReader, *, mpp: float) -> _Sight | None:
    """Find the red cells of one field under a guess; None where the field would be too large or too small."""
    with open_slide(path, mpp=mpp) as slide:
        plane = slide.plane(reader.mpp)
        if not reader.stride <= max(plane.width, plane.height) <= LARGEST_PX:
            return None
        width, height = (-(-side // reader.stride) * reader.stride for side in (plane.width, plane.height))
        image = plane.read(0, 0, width, height)
        size = np.array([plane.width, plane.height])
        um = plane.mpp
    cells = reader.find(image, seconds={})
    low, high = cells.outlines.min(1), cells.outlines.max(1)
    whole = ((low >= 0) & (high <= size)).all(1) & (cells.labels == KINDS.index("RBC"))
    diameters = np.sqrt(4 / np.pi * cells.area_um2[whole].astype(np.float64))
    covered = float(cells.area_um2[whole][_is_near(diameters)].sum())
    stained = stained_part(image[: size[1], : size[0]])
    return _Sight(diameters, covered, float(stained.sum()) * um**2)


def _is_near(diameters: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which cells are about as large as a red cell is."""
    return np.asarray(np.abs(diameters / RED_CELL_UM - 1) <= NEAR)


def stained_part(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell what is stained: darker in green than Otsu's threshold of the image, pale centres filled in."""
    from scipy import ndimage
    from skimage import filters

    green = image[..., 1]
    if green.min() == green.max():
        return np.zeros(green.shape, bool)
    otsu: Any = filters.threshold_otsu
    return np.asarray(ndimage.binary_fill_holes(green < float(otsu(green))))
