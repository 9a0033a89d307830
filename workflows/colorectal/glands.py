"""From class and gland maps to single glands, each with its class and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...tiling.morphology import count_labels, label_pieces
from .class_maps import SlideMaps
from .classes import LESION_CLASSES
from .tissue_reader import GLAND_STEP

__all__ = ["POOL_UM", "UNCERTAIN_BELOW", "GlandTable", "find_glands"]

GLAND_LEAST_UM2 = 1000.0
"""Smaller pieces are specks and no glands, um2: a crypt cut across covers 2000 and more."""
NECK_UM = 8.0
"""Two swellings are two glands if the neck between them is this much narrower, to each side, um."""
SMOOTH_UM = 8.0
"""Widths are smoothed by this much (sigma) before necks are sought, um."""
POOL_UM = 80.0
"""Class probabilities are averaged over a Gaussian of this sigma, um, weighted by gland: the network learnt
from one label per image of 290 um, whose width this Gaussian has."""
UNCERTAIN_BELOW = 0.5
"""A gland whose likeliest class has a lower mean probability is uncertain and counted apart."""
GROUP_PX = 1024
"""Side of the squares whose glands are cut together, cells of the gland map."""
BAND_ROWS = 256
"""Rows of the gland map worked on at once."""

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class GlandTable:
    """The glands of a slide."""

    labels: Labels
    """(H, W) number of the gland, from 1, on the cells of the gland map; 0 beside glands."""
    area_mm2: Floats
    """(N,) mm2."""
    x: Floats
    """(N,) centroid, cells of the gland map."""
    y: Floats
    """(N,) centroid, cells of the gland map."""
    probability: Floats
    """(N, K) mean probability of each class over the gland, weighted by that of gland; sums to 1."""
    fragment: NDArray[np.int32]
    """(N,) number of the fragment, from 1; 0 where there is none."""

    def __len__(self) -> int:
        return len(self.area_mm2)

    @property
    def kind(self) -> NDArray[np.intp]:
        """(N,) index of the likeliest class."""
        return np.asarray(self.probability.argmax(1))

    @property
    def confidence(self) -> Floats:
        """(N,) mean probability of that class."""
        return np.asarray(self.probability.max(1, initial=0.0))

    @property
    def is_certain(self) -> Mask:
        """(N,) whether the class may be named."""
        return np.asarray(self.confidence >= UNCERTAIN_BELOW)

    def grades(self) -> Bytes:
        """Return the class of the gland at each place: 0 none, 1 ... K, K + 1 uncertain."""
        told = np.where(self.is_certain, self.kind + 1, len(LESION_CLASSES) + 1)
        return np.concatenate([[0], told]).astype(np.uint8)[self.labels]


def find_glands(maps: SlideMaps, *, threshold: float, fragments: Labels) -> GlandTable:
    """Cut the gland map into glands and give each its class.

    Parameters
    ----------
    maps : SlideMaps
        What the networks saw.
    threshold : float
        Probability from which a place is gland.
    fragments : (H, W) int32 array
        Number of the fragment at each cell of the gland map; 0 on glass and where an artefact lies.

    Returns
    -------
    GlandTable
        Touching glands are cut at their necks.
    """
    cell_mm2 = (maps.mpp / 1000) ** 2
    mask = (maps.glands >= round(threshold * 255)) & (fragments > 0)
    pieces, sizes = label_pieces(mask)
    del mask
    large = sizes * cell_mm2 >= GLAND_LEAST_UM2 / 1e6
    large[0] = False
    labels = np.zeros(pieces.shape, np.int32)
    count = 0
    for box, inside in _groups(pieces, large):
        part = _cut_at_necks(inside, um=maps.mpp)
        into = labels[box]
        into[inside] = part[inside] + count
        count += int(part.max(initial=0))
    return _measure(labels, count, maps, fragments=fragments)


def _groups(pieces: Labels, chosen: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Yield the chosen pieces of a slide in groups of neighbours: their box, and where in it they are.

    A piece belongs to the square of a fixed grid that holds the corner of its box, so that memory is bounded
    and no piece is ever cut.
    """
    from scipy import ndimage

    boxes = ndimage.find_objects(pieces)
    squares: dict[tuple[int, int], list[int]] = {}
    for number in np.flatnonzero(chosen):
        rows, columns = boxes[number - 1]
        squares.setdefault((rows.start // GROUP_PX, columns.start // GROUP_PX), []).append(int(number))
    for square in sorted(squares):
        members = squares[square]
        own = [boxes[number - 1] for number in members]
        rows, columns = (
            slice(min(each[axis].start for each in own), max(each[axis].stop for each in own))
            for axis in (0, 1)
        )
        named = np.zeros(len(chosen), bool)
        named[members] = True
        yield (rows, columns), named[pieces[rows, columns]]


def _cut_at_necks(mask: Mask, *, um: float) -> Labels:
    """Number the glands of a mask; pieces are cut where they are narrow between two swellings."""
    from scipy import ndimage
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    padded = np.pad(mask, 1)  # the slide's edge is an edge of glands as well
    width = ndimage.distance_transform_edt(padded)[1:-1, 1:-1].astype(np.float32) * np.float32(um)
    width = ndimage.gaussian_filter(width, SMOOTH_UM / um)
    # In whole tenths of a micrometre: plateaus are plateaus.
    tenths = np.rint(width * 10).astype(np.int32)
    maxima: Any = h_maxima
    seeds = label_pieces((maxima(tenths, NECK_UM * 10) > 0) & mask)[0]
    bare = _without_seed(mask, seeds)
    seeds[bare > 0] = bare[bare > 0] + seeds.max()
    flood: Any = watershed
    return np.asarray(flood(-tenths, seeds, mask=mask), np.int32)


def _without_seed(mask: Mask, seeds: Labels) -> Labels:
    """Number the pieces that hold no seed; each is a gland as it is."""
    pieces, sizes = label_pieces(mask)
    held = np.zeros(len(sizes), bool)
    held[pieces[seeds > 0]] = True
    held[0] = True
    names = np.cumsum(~held).astype(np.int32) * ~held
    return np.asarray(names[pieces], np.int32)


def pooled_classes(maps: SlideMaps) -> Bytes:
    """Return the class map averaged over its surroundings, weighted by how much gland there is."""
    from scipy import ndimage

    height, width = maps.classes.shape[1:]
    sigma = POOL_UM / (maps.mpp * GLAND_STEP)
    glands = maps.glands.reshape(height, GLAND_STEP, width, GLAND_STEP).mean((1, 3), dtype=np.float64)
    total = np.maximum(ndimage.gaussian_filter(glands, sigma, mode="constant"), 1e-3)
    pooled = np.zeros(maps.classes.shape, np.uint8)
    for kind, values in enumerate(maps.classes):
        share = ndimage.gaussian_filter(values * glands, sigma, mode="constant") / total
        pooled[kind] = np.rint(np.clip(share, 0, 255))
    return pooled


def _measure(labels: Labels, count: int, maps: SlideMaps, *, fragments: Labels) -> GlandTable:
    """Sum up each gland in bands of rows; sums of whole numbers, so nothing depends on their order."""
    classes = pooled_classes(maps)
    kinds = len(classes)
    sums = np.zeros((kinds, count + 1))
    x, y = np.zeros((2, count + 1))
    fragment = np.zeros(count + 1, np.int32)
    for top in range(0, labels.shape[0], BAND_ROWS):
        band = slice(top, top + BAND_ROWS)
        inside = labels[band] > 0
        names = labels[band][inside]
        if not names.size:
            continue
        rows, columns = np.nonzero(inside)
        weight = maps.glands[band][inside].astype(np.float64)
        y += np.bincount(names, rows + top + 0.5, minlength=count + 1)
        x += np.bincount(names, columns + 0.5, minlength=count + 1)
        fragment[names] = fragments[band][inside]
        coarse = (rows + top) // GLAND_STEP, columns // GLAND_STEP
        for kind in range(kinds):
            sums[kind] += np.bincount(names, weight * classes[kind][coarse], minlength=count + 1)
    px = count_labels(labels, size=count + 1)[1:]
    total = np.maximum(sums.sum(0), 1)
    return GlandTable(
        labels=labels,
        area_mm2=np.asarray(px * (maps.mpp / 1000) ** 2, np.float64),
        x=x[1:] / np.maximum(px, 1),
        y=y[1:] / np.maximum(px, 1),
        probability=(sums / total).T[1:],
        fragment=fragment[1:],
    )
