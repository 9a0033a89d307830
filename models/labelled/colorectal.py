"""Colorectal images with a grade and masks of their glands: EBHI-Seg, GlaS; and tiles without a grade."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError, SlideNotFoundError

__all__ = [
    "COLORECTAL_SETS",
    "GradedImage",
    "GradedSet",
    "read_colorectal",
    "read_crc_tiles",
    "read_ebhi",
    "read_glas",
]

EBHI_CLASSES = {
    "normal": "normal",
    "polyp": "polyp",
    "serrated_adenoma": "serrated",
    "low_grade_in": "low_grade_in",
    "high_grade_in": "high_grade_in",
    "adenocarcinoma": "adenocarcinoma",
}
EBHI_MPP = 1.3
"""Not stated; nuclei suggest 1.2-1.5 um per px."""
GLAS_MPP = 0.62
"""Stated: 20x of a Zeiss MIRAX MIDI."""
CRC_TILE_MPP = 0.5
"""Stated by the authors of CRC-VAL-HE-7K."""
GLANDLESS = ("ADI", "DEB", "LYM", "MUS", "STR")
"""Tissue types of CRC-VAL-HE-7K that have no glands: fat, debris, lymphocytes, muscle, stroma."""


@dataclass(frozen=True)
class GradedImage:
    """One image of colorectal mucosa with what experts said of it."""

    set_name: str
    """Name of the collection."""
    name: str
    """Name of the image in it."""
    case: str
    """Patient; images of one patient are never divided between training and validation."""
    path: Path
    """The image file."""
    mpp: float
    """um per px of the image."""
    label: str
    """Class of the whole image, in the words of `EBHI_CLASSES` or of its own set; empty where unknown."""
    mask: Path | None = None
    """Mask of its glands with their lumen; None where none was drawn."""
    detail: str = ""
    """A finer label where the set has one."""
    scale_stated: bool = True
    """False when ``mpp`` was judged from nuclear size."""
    glandless: bool = False
    """Whether experts said that it shows tissue without glands."""

    def read_glands(self) -> NDArray[np.bool_] | None:
        """Return where the glands are, (H, W), None where nobody said."""
        from PIL import Image

        if self.glandless:
            with Image.open(self.path) as opened:
                return np.zeros((opened.height, opened.width), bool)
        if self.mask is None:
            return None
        with Image.open(self.mask) as opened:
            return np.asarray(opened.convert("L")) > 127


@dataclass(frozen=True)
class GradedSet:
    """One published set of graded images."""

    name: str
    """Name of its folder."""
    licence: str
    """Licence of the images, as far as stated."""
    source: str
    """Where it was published."""
    is_open: bool
    """Whether weights trained on it may ship under a permissive licence."""
    read: Callable[[Path], Iterator[GradedImage]]
    """Its reader."""


def read_ebhi(folder: Path) -> Iterator[GradedImage]:
    """Read EBHI-Seg: enteroscope biopsies of six classes with gland masks (Shi et al., Front Med 2023).

    The class is the worst grade in view, so a low grade image may show normal crypts as well.
    """
    for row in _rows(folder):
        yield GradedImage(
            "ebhi-seg",
            row["image"],
            row["patient"],
            folder / "images" / row["image"],
            EBHI_MPP,
            EBHI_CLASSES[row["class"]],
            folder / "masks" / row["mask"] if row["mask"] else None,
            scale_stated=False,
        )


def read_glas(folder: Path) -> Iterator[GradedImage]:
    """Read GlaS: benign and malignant colorectal glands (Sirinukunwattana et al., Med Image Anal 2017)."""
    for row in _rows(folder):
        yield GradedImage(
            "glas",
            row["image"],
            row["patient"],
            folder / "images" / row["image"],
            GLAS_MPP,
            row["grade_glas"],
            folder / "masks" / Path(row["image"]).with_suffix(".png").name,
            detail=row["grade_sirinukunwattana2015"],
        )


def read_crc_tiles(folder: Path) -> Iterator[GradedImage]:
    """Read CRC-VAL-HE-7K: tiles of tissue types, not of grades (Kather et al., PLoS Med 2019)."""
    for row in _rows(folder):
        yield GradedImage(
            "crc-val-he-7k",
            row["image"],
            row["image"],  # patients are not stated
            _image(folder, row["image"]),
            CRC_TILE_MPP,
            "",
            detail=row["class"],
            glandless=row["class"] in GLANDLESS,
        )


def _rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a set's list."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _image(folder: Path, name: str) -> Path:
    """Return an image that lies in the set's folder or in ``images`` below it."""
    below = folder / "images" / name
    return below if below.exists() else folder / name


COLORECTAL_SETS = {
    one.name: one
    for one in (
        GradedSet(
            "ebhi-seg",
            "CC-BY-4.0",
            "EBHI-Seg, Shi et al., Front Med 2023;10:1114673; doi:10.6084/m9.figshare.21540159",
            True,
            read_ebhi,
        ),
        GradedSet(
            "crc-val-he-7k",
            "CC-BY-4.0",
            "Kather et al., PLoS Med 2019;16:e1002730; doi:10.5281/zenodo.1214456",
            True,
            read_crc_tiles,
        ),
        GradedSet(
            "glas",
            "research only",
            "GlaS, Sirinukunwattana et al., Med Image Anal 2017;35:489",
            False,
            read_glas,
        ),
    )
}
"""All of them by name."""


def read_colorectal(folder: Path, names: Sequence[str] | Iterable[str]) -> list[GradedImage]:
    """Read some of `COLORECTAL_SETS`.

    Parameters
    ----------
    folder : Path
        Folder that holds ``he/``, or the sets' own folders.
    names : iterable of str
        Which sets.

    Raises
    ------
    SettingsError
        If a set is not known.
    SlideNotFoundError
        If a set is not there.
    """
    images: list[GradedImage] = []
    for name in names:
        if name not in COLORECTAL_SETS:
            raise SettingsError(
                f"no set of graded images is called {name!r}", f"Choose from: {', '.join(COLORECTAL_SETS)}."
            )
        places = [place for place in (folder / "he" / name, folder / name) if place.is_dir()]
        if not places:
            raise SlideNotFoundError(
                f"no graded images of {name} in {folder}", "Give the folder that holds the sets."
            )
        images += COLORECTAL_SETS[name].read(places[0])
    return images
