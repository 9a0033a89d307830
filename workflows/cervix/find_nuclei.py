"""Nuclei of a cytology slide: which detector looks for them, on pixels that may be coarser than others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from ...models.cells import CellTable
from ..slides.learned_model import loaded_network
from ..slides.tile_detector import BASELINE, LearnedDetector, choose_detector

__all__ = ["WORKING_MPP", "choose_nuclei", "find_nuclei", "shrink_of"]

Floats = NDArray[np.float32]

WORKING_MPP = 0.5
"""Of the pixels on which borders and cytoplasm are measured, um per px."""
SAME_SHRINK = 0.02
"""Share by which a detector's resolution may differ from a whole multiple of that."""
STAINS = ("Papanicolaou", "H&E")
"""Stains whose detectors serve."""
STAND_IN = "nuclei-fast.he-open"
"""Taken where no detector for this stain may be used: of those for H&E it misses fewest nuclei here."""


def choose_nuclei(model: str = "auto", *, policy: Any = "research", device: str = "auto") -> LearnedDetector:
    """Find the detector of nuclei that a user asks for.

    Parameters
    ----------
    model : str
        ``auto`` for the best that the policy allows, else a model's name or the path of a card.
    policy : {"research", "permissive"}
        Whether weights trained on data for research only may be used.
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    SettingsError
        If it is no network, or its resolution is no whole multiple of `WORKING_MPP`.
    SlidelabError
        As `choose_detector`.
    """
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    if model == "auto":
        ranked = registry.ranked(task="cell-detection", stain="Papanicolaou")
        model = next((card.name for card in ranked if _whole_shrink(card.mpp)), STAND_IN)
    stain = STAINS[0]
    if model != BASELINE and (own := registry.find(model).card.stain) in STAINS:
        stain = own
    detector = choose_detector(model, stain=stain, policy=policy, device=device)
    if not isinstance(detector, LearnedDetector):
        raise SettingsError(f"{model} is no network", "Choose a detector from slidelab models list.")
    shrink_of(detector)
    return detector


def shrink_of(detector: LearnedDetector) -> int:
    """Return how many working pixels, each way, make one pixel of a detector.

    Raises
    ------
    SettingsError
        If that is no whole number.
    """
    times = _whole_shrink(detector.mpp)
    if not times:
        raise SettingsError(
            f"{detector.name} works at {detector.mpp:g} um per px",
            f"Choose a detector for {WORKING_MPP:g} um per px or a whole multiple of it.",
        )
    return times


def find_nuclei(
    image: NDArray[np.uint8], red: Floats, detector: LearnedDetector, *, seconds: dict[str, float]
) -> CellTable:
    """Find nuclei, also those that the detector is less sure of: what stands out too little goes later.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Working pixels; sides are multiples of the detector's stride times `shrink_of`.
    red : (H, W) float32 array
        From `red_density`.
    detector : LearnedDetector
        From `choose_nuclei`.
    seconds : dict
        Receives the wall seconds by phase.

    Returns
    -------
    CellTable
        In px of the image.
    """
    times = shrink_of(detector)
    network = loaded_network(*detector.place).faint()
    small, density = _mean_pixels(image, times), _mean_density(red, times)
    found = network.detect(small, np.stack([density, density]), seconds=seconds)
    return found if times == 1 else found.placed(x=0.0, y=0.0, scale=float(times))


def _whole_shrink(mpp: float) -> int:
    """Return a resolution as a whole multiple of the working one; 0 if it is none."""
    times = round(mpp / WORKING_MPP)
    return times if times >= 1 and abs(mpp / (times * WORKING_MPP) - 1) <= SAME_SHRINK else 0


def _mean_pixels(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Return means of squares of pixels, rounded half up as `Plane` does."""
    if times == 1:
        return image
    return np.asarray((_sums(image.astype(np.uint16), times) + times**2 // 2) // times**2, np.uint8)


def _mean_density(red: Floats, times: int) -> Floats:
    """Return means of squares of densities."""
    return red if times == 1 else np.asarray(_sums(red, times) * np.float32(1 / times**2), np.float32)


def _sums(values: NDArray[Any], times: int) -> NDArray[Any]:
    """Return sums of squares of values, added in one order wherever the square lies."""
    for axis in (0, 1):
        parts = [values[(slice(None),) * axis + (slice(start, None, times),)] for start in range(times)]
        values = parts[0]
        for part in parts[1:]:
            values = values + part
    return values
