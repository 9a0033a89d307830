"""Labelled immunohistochemistry images: nuclei marked by experts, to train on and to measure with.

Each set keeps its own file format; a reader per set turns it into `LabelledImage`. Scales are stated by
the set's authors or judged from the size of nuclei; `scale_stated` says which.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDependencyError, SlideNotFoundError

__all__ = ["KI67_SETS", "LabelledImage", "read_labelled"]

SPLIT_SALT = "slidelab-1"
"""Fixes which cases belong to which part for ever; changing it would leak validation cases."""


@dataclass(frozen=True)
class LabelledImage:
    """One image whose nuclei an expert has marked."""

    set_name: str
    """Name of the collection."""
    name: str
    """Name of the image in it."""
    case: str
    """Patient or slide; images of one case are never divided between training and validation."""
    path: Path
    """The image file."""
    mpp: float
    """um per px of the image."""
    x: NDArray[np.float64] = field(repr=False)
    """Marked nuclei, px of the image: (N,)."""
    y: NDArray[np.float64] = field(repr=False)
    """Marked nuclei, px: (N,)."""
    positive: NDArray[np.bool_] = field(repr=False)
    """Whether the nucleus was marked as stained: (N,)."""
    scale_stated: bool = False
    """False when ``mpp`` was judged from nuclear size."""
    region: Path | None = None
    """Mask image (255 inside) of the part that was marked; outside nothing is known."""

    @property
    def part(self) -> str:
        """``"tuning"`` or ``"validation"``, fixed by the case's name: about one case in two each."""
        digest = hashlib.sha256(f"{SPLIT_SALT}:{self.set_name}:{self.case}".encode()).digest()
        return "validation" if digest[0] < 128 else "tuning"

    def inside(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points of the image lie where nuclei were marked.

        Parameters
        ----------
        x, y : (N,) float array
            Points, px of the image.
        """
        if self.region is None:
            return np.ones(np.shape(x), bool)
        from PIL import Image

        with Image.open(self.region) as opened:
            mask = np.asarray(opened.convert("L")) > 127
        with Image.open(self.path) as opened:
            scale = mask.shape[1] / opened.width
        columns = np.clip((np.asarray(x) * scale).astype(int), 0, mask.shape[1] - 1)
        rows = np.clip((np.asarray(y) * scale).astype(int), 0, mask.shape[0] - 1)
        return np.asarray(mask[rows, columns])


def read_labelled(folder: Path, set_name: str) -> list[LabelledImage]:
    """Read one collection.

    Parameters
    ----------
    folder : Path
        Folder that holds the collection's own folder.
    set_name : str
        One of `KI67_SETS`.

    Raises
    ------
    SlideNotFoundError
        If the collection is not there.
    """
    place = folder / set_name
    if not place.is_dir():
        raise SlideNotFoundError(
            f"no labelled images at {place}", "Give the folder that holds the collections."
        )
    return list(KI67_SETS[set_name](place))


def _read_dcis(place: Path) -> Iterator[LabelledImage]:
    """DCIS: markers at twice the image's scale, tumour regions as masks."""
    for path in sorted((place / "images").glob("*.jpg")):
        table = np.genfromtxt(
            place / "markers" / f"{path.stem}.csv", delimiter=",", skip_header=1, ndmin=2, dtype=np.float64
        )
        kind, x, y = table[:, 0], table[:, 1], table[:, 2]
        full_size = path.stem.startswith("1M07")
        if not full_size:
            x, y = x / 2 - 1, y / 2 + 1
        yield LabelledImage(
            place.name,
            path.stem,
            path.stem,
            path,
            0.25 if full_size else 0.5,
            x=x,
            y=y,
            positive=kind == 1,
            region=place / "region" / f"{path.stem}.png",
        )


def _read_bcdata(place: Path) -> Iterator[LabelledImage]:
    """BCData: one HDF5 file of coordinates per class; 40x."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            "reading BCData labels needs h5py", "Install it with: pip install 'slidelab[validate]'"
        ) from error
    for path in sorted((place / "images").iterdir()):
        points = []
        for kind in ("positive", "negative"):
            with h5py.File(place / "annotations" / kind / f"{path.stem}.h5") as file:
                points.append(np.asarray(file["coordinates"], np.float64).reshape(-1, 2))
        both = np.concatenate(points) + 0.5
        yield LabelledImage(
            place.name,
            path.stem,
            path.stem,
            path,
            0.25,
            x=both[:, 0],
            y=both[:, 1],
            positive=np.arange(len(both)) < len(points[0]),
            scale_stated=True,
        )


def _read_shidc(place: Path) -> Iterator[LabelledImage]:
    """SHIDC-B-Ki-67: JSON points; class 3 is a lymphocyte and belongs to neither count."""
    for path in sorted(place.glob("*.jpg")):
        rows = json.loads(path.with_suffix(".json").read_text())
        rows = [row for row in rows if row["label_id"] in (1, 2)]
        yield LabelledImage(
            place.name,
            path.stem,
            "_".join(path.stem.split("_")[:2]),
            path,
            0.17,
            x=np.array([row["x"] for row in rows], np.float64),
            y=np.array([row["y"] for row in rows], np.float64),
            positive=np.array([row["label_id"] == 1 for row in rows], bool),
        )


def _read_glioma(place: Path) -> Iterator[LabelledImage]:
    """Glioma: one polygon per nucleus; its centroid stands for it."""
    for path in sorted(place.glob("*/original.jpg")):
        polygons = json.loads((path.parent / "polygons.json").read_text())["polygons"]
        points = np.array(
            [np.mean(polygon, axis=0) for name in polygons for polygon in polygons[name]], np.float64
        ).reshape(-1, 2)
        positive = np.array([name == "Positive" for name in polygons for _ in polygons[name]], bool)
        yield LabelledImage(
            place.name,
            path.parent.name,
            path.parent.name.split("-")[0],
            path,
            0.11,
            x=points[:, 0],
            y=points[:, 1],
            positive=positive,
        )


KI67_SETS: dict[str, Callable[[Path], Iterator[LabelledImage]]] = {
    "ki67-dcis-points": _read_dcis,
    "ki67-bcdata-sample": _read_bcdata,
    "ki67-shidc-sample": _read_shidc,
    "ki67-glioma-nuclei": _read_glioma,
}
