"""Fields of H&E by site: those that stain generators learn from, and those that methods are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import SlideNotFoundError
from ...models.labelled import read_collection, split_images
from ...models.labelled.colorectal import COLORECTAL_SETS, read_colorectal
from ...models.labelled.folds import split_graded
from ...models.labelled.split import part_of_cases
from ...stain import can_normalise, fit_colours, look_numbers
from ...stain.profile import StainProfile

if TYPE_CHECKING:
    from ...models.training.stain.samples import SiteField

__all__ = ["SITES", "FieldImage", "fit_field", "read_fields", "read_sites", "spread_evenly", "white_of"]

SITES = (
    "ebhi-seg",
    "tnbc-naylor",
    "nucls-sample",
    "crc-val-he-7k",
    "glas",
    "crchistophenotypes",
    "gbm40",
    "cpm15",
    "digestpath-signet",
)
"""Labelled sets of H&E at hand, each taken for a site."""
UNGRADED = "crc-val-he-7k"
"""Tiles without patient or grade: divided one by one."""
LARGEST = 1000
"""Only so much of an image's upper left corner is read, px."""
LEAST_WHITE = 200.0
"""A field without glass is not taken to have darker glass than this, grey level."""


@dataclass(frozen=True)
class FieldImage:
    """One image of a site."""

    site: str
    """Name of the set."""
    name: str
    """Name of the image in it."""
    path: Path
    """The file."""
    mpp: float
    """um per px."""


def read_fields(site: str, data: Path, *, part: str) -> list[FieldImage]:
    """List the images of a site that belong to a part of the split, in the order of their names.

    Parameters
    ----------
    site : str
        A set of `COLLECTIONS` or `COLORECTAL_SETS`.
    data : Path
        Folder of the sets.
    part : {"training", "tuning", "validation"}
        As detectors and tissue networks (fold 0) divide them, so what is validation there is so here.
    """
    if site == UNGRADED:
        graded = read_colorectal(data, [site])
        of_case = part_of_cases(site, [one.case for one in graded])
        return _listed(site, [(one.name, one.path, one.mpp) for one in graded if of_case[one.case] == part])
    if site in COLORECTAL_SETS:
        members = split_graded(read_colorectal(data, [site]))[part]
        return _listed(site, [(one.name, one.path, one.mpp) for one in members])
    images = split_images(read_collection(data, site))[part]
    return _listed(site, [(one.name, one.path, one.mpp) for one in images])


def _listed(site: str, rows: Sequence[tuple[str, Path, float]]) -> list[FieldImage]:
    """Return images by name."""
    return [FieldImage(site, name, path, mpp) for name, path, mpp in sorted(rows)]


def spread_evenly(fields: Sequence[FieldImage], most: int) -> list[FieldImage]:
    """Return at most so many of the fields, at equal steps."""
    if not fields:
        return []
    return [fields[place] for place in np.unique(np.linspace(0, len(fields) - 1, most).astype(int))]


def white_of(field: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return the white point of a field that may have no glass: 99.5th percentiles, 200 at least."""
    values = np.percentile(field.reshape(-1, 3), 99.5, axis=0)
    red, green, blue = (float(max(value, LEAST_WHITE)) for value in values)
    return red, green, blue


def read_pixels(image: FieldImage) -> NDArray[np.uint8]:
    """Return the pixels of an image (H, W, 3), at most 1000 px each way."""
    from PIL import Image

    with Image.open(image.path) as opened:
        return np.asarray(opened.convert("RGB"))[:LARGEST, :LARGEST]


def fit_field(image: FieldImage) -> tuple[NDArray[np.uint8], StainProfile]:
    """Read an image and fit its stains: pixels (H, W, 3), and the profile, which may hold a flag instead."""
    pixels = read_pixels(image)
    profile = fit_colours(pixels, "macenko", background=white_of(pixels))
    assert isinstance(profile, StainProfile)
    return pixels, profile


def read_sites(sites: Sequence[str], data: Path, *, most: int) -> list[SiteField]:
    """Return the training fields of sites with their looks; those whose stains cannot be told are left out.

    Raises
    ------
    SettingsError
        If a site is not known.
    SlideNotFoundError
        If there is nothing at ``data``, or a site is not there.
    """
    from ...models.training.stain.samples import SiteField

    if not data.is_dir():
        raise SlideNotFoundError(f"no images at {data}", "Give the folder that holds the sets.")
    fields = []
    for site in sites:
        for image in spread_evenly(read_fields(site, data, part="training"), most):
            pixels, profile = fit_field(image)
            if can_normalise(profile.flags):
                white = np.array(profile.background)
                look = look_numbers(profile)
                fields.append(SiteField(site, image.name, pixels, image.mpp, white, look))
    return fields
