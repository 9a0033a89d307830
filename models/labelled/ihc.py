"""Readers of the labelled immunohistochemistry collections: Ki-67, and ER/PR.

Each keeps its own file format. Scales are stated by the authors or judged from the size of nuclei.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingDependencyError
from .image import LabelledImage
from .instances import centroids, components, fill_polygons, read_grey

__all__ = [
    "read_bcdata",
    "read_dcis",
    "read_deepliif",
    "read_endonuke",
    "read_glioma",
    "read_pilot",
    "read_shidc",
]


def read_dcis(place: Path) -> Iterator[LabelledImage]:
    """DCIS: markers at twice the image's scale, tumour regions as masks."""
    for path in sorted((place / "images").iterdir()):
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
            labels=_stained(kind == 1),
            marked="tumour",
            region=place / "region" / f"{path.stem}.png",
        )


def read_bcdata(place: Path) -> Iterator[LabelledImage]:
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
            labels=_stained(np.arange(len(both)) < len(points[0])),
            marked="tumour",
            scale_stated=True,
        )


def read_shidc(place: Path) -> Iterator[LabelledImage]:
    """SHIDC-B-Ki-67: JSON points; 1 and 2 are tumour nuclei, 3 is a lymphocyte."""
    names = np.array(["", "Positive", "Negative", "Lymphocyte"])
    for path in sorted(place.glob("*.jpg")):
        rows = json.loads(path.with_suffix(".json").read_text())
        yield LabelledImage(
            place.name,
            path.stem,
            "_".join(path.stem.split("_")[:2]),
            path,
            0.17,
            x=np.array([row["x"] for row in rows], np.float64),
            y=np.array([row["y"] for row in rows], np.float64),
            labels=names[[row["label_id"] for row in rows]],
            marked="tumour",
        )


def read_glioma(place: Path) -> Iterator[LabelledImage]:
    """Glioma: one polygon per nucleus; its centroid stands for it."""
    for path in sorted(place.glob("*/original.jpg")):
        by_name = json.loads((path.parent / "polygons.json").read_text())["polygons"]
        polygons = [polygon for name in by_name for polygon in by_name[name]]
        points = np.array([np.mean(polygon, axis=0) for polygon in polygons], np.float64).reshape(-1, 2)
        positive = np.array([name == "Positive" for name in by_name for _ in by_name[name]], bool)
        yield LabelledImage(
            place.name,
            path.parent.name,
            path.parent.name.split("-")[0],
            path,
            0.11,
            x=points[:, 0],
            y=points[:, 1],
            labels=_stained(positive),
            instance_ids=np.arange(1, len(points) + 1, dtype=np.int32),
            load_instances=partial(_glioma_instances, path),
        )


def read_pilot(place: Path) -> Iterator[LabelledImage]:
    """Ki-67 pilot: masks of tumour nuclei, 0 inside; whether stained was not marked."""
    for path in sorted(place.glob("*.jpg")):
        load = partial(_pilot_instances, path.with_name(f"{path.stem}_mask.png"))
        ids, x, y = centroids(load())
        yield LabelledImage(
            place.name,
            path.stem,
            path.stem,
            path,
            0.5,
            x=x,
            y=y,
            labels=np.full(len(ids), "Tumour"),
            marked="tumour",
            instance_ids=ids,
            load_instances=load,
        )


def read_deepliif(place: Path) -> Iterator[LabelledImage]:
    """DeepLIIF: colour masks of all nuclei, red stained, blue unstained, green between."""
    for path in sorted(place.glob("*_groundtruth.png")):
        load = partial(_deepliif_instances, path)
        ids, x, y = centroids(load())
        red = np.array([_deepliif_red(path)[int(b), int(a)] for a, b in zip(x, y, strict=True)], bool)
        name = path.stem.removesuffix("_groundtruth")
        yield LabelledImage(
            place.name,
            name,
            name,
            path.with_name(f"{name}.png"),
            0.25,
            x=x,
            y=y,
            labels=_stained(red),
            instance_ids=ids,
            load_instances=load,
        )


def read_endonuke(place: Path) -> Iterator[LabelledImage]:
    """EndoNuke: points on all nuclei of ER and PR tiles; the first letters name the sheet they came from."""
    sheets = {"302d4d0": 0.29, "a028cad": 0.44, "c12ea4f": 0.29}
    names = {"nucleus": "Nucleus", "stroma": "Stroma", "epithelium": "Epithelium", "other": "Other"}
    for points in sorted(place.glob("*_points.csv")):
        name = points.stem.removesuffix("_points")
        with points.open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        yield LabelledImage(
            place.name,
            name,
            name,
            points.with_name(f"{name}.jpg"),
            sheets[name[:7]],
            x=np.array([row["x"] for row in rows], np.float64),
            y=np.array([row["y"] for row in rows], np.float64),
            labels=np.array([names[row["class"]] for row in rows]),
            scale_stated=True,
        )


def _stained(positive: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Name what experts saw."""
    return np.where(positive, "Positive", "Negative")


def _glioma_instances(path: Path) -> NDArray[np.int32]:
    """Draw the polygons of one image."""
    from PIL import Image

    by_name = json.loads((path.parent / "polygons.json").read_text())["polygons"]
    with Image.open(path) as opened:
        width, height = opened.size
    return fill_polygons([p for name in by_name for p in by_name[name]], width=width, height=height)


def _pilot_instances(path: Path) -> NDArray[np.int32]:
    """Number the nuclei of an inverted mask."""
    return components(read_grey(path) < 128, least_px=20)


def _deepliif_red(path: Path) -> NDArray[np.bool_]:
    """Mark what was drawn in red."""
    from PIL import Image

    with Image.open(path) as opened:
        colours = np.asarray(opened.convert("RGB"), np.int32)
    return np.asarray(colours[..., 0] > colours[..., 2])


def _deepliif_instances(path: Path) -> NDArray[np.int32]:
    """Number the nuclei of a colour mask; the green line between touching ones parts them."""
    from PIL import Image

    with Image.open(path) as opened:
        colours = np.asarray(opened.convert("RGB"), np.int32)
    inside = (np.maximum(colours[..., 0], colours[..., 2]) > 127) & (colours[..., 1] < 128)
    return components(inside, least_px=20)
