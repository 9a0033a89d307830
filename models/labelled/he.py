"""Readers of the labelled hematoxylin-eosin collections: outlines and classes of nuclei."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from .image import LabelledImage
from .instances import centroids, read_grey

__all__ = ["read_cpm15", "read_crchistophenotypes", "read_dsb2018", "read_gbm40", "read_nucls", "read_tnbc"]

CRC_NAMES = {
    "epithelial": "Epithelial",
    "inflammatory": "Inflammatory",
    "fibroblast": "Stromal",
    "others": "Other",
    "unclassified": "Nucleus",
}
"""CRCHistoPhenotypes' classes in slidelab's words."""
NUCLS_NAMES = ("Epithelial", "Stromal", "Inflammatory", "Other")
"""NuCLS' classes 0-3: tumour, other stromal, lymphocytes and plasma cells, other."""


def read_dsb2018(place: Path) -> Iterator[LabelledImage]:
    """Data Science Bowl 2018, stained tissue: the magnification varies and is not stated.

    0.4 um per px is assumed for all: nuclei then measure 5-20 um. Crops of the pink slides overlap, so
    those are one case.
    """
    with (place / "index.csv").open(encoding="utf-8") as stream:
        looks = {row["image"]: row["stain_look"] for row in csv.DictReader(stream)}
    for path in sorted((place / "images").glob("*.jpg")):
        case = "pink_he" if looks[path.name] == "pink_he" else path.stem
        yield _from_masks(path, place / "labels" / f"{path.stem}.png", mpp=0.4, case=case)


def read_tnbc(place: Path) -> Iterator[LabelledImage]:
    """Naylor's triple-negative breast set, re-uploaded: bent copies train, their shapes are not scored."""
    with (place / "index.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        path = place / "images" / row["image"]
        yield _from_masks(
            path,
            place / "masks" / f"{path.stem}.png",
            mpp=0.25 if row["from"] == "FlexUNet" else 0.2,  # the other re-uploader enlarged 512 px to 640 px
            case=f"patient-{row['patient_guess']}",
            shape_scored=row["geometry"] != "warped",
        )


def read_gbm40(place: Path) -> Iterator[LabelledImage]:
    """Glioblastoma: contours of all nuclei; the scale is judged from their size (40x)."""
    for path in sorted((place / "images").glob("*.jpg")):
        yield _from_masks(path, place / "labels" / f"{path.stem}.png", mpp=0.25, case=path.stem)


def read_cpm15(place: Path) -> Iterator[LabelledImage]:
    """MICCAI 2015 challenge: image01-07 at 20x, image08-15 at 40x."""
    for path in sorted((place / "images").glob("*.jpg")):
        mpp = 0.5 if int(path.stem.removeprefix("image")) < 8 else 0.25
        yield _from_masks(path, place / "labels" / f"{path.stem}.png", mpp=mpp, case=path.stem)


def read_nucls(place: Path) -> Iterator[LabelledImage]:
    """NuCLS sample: outlines, and points with classes that are joined to them; some points have none."""
    for path in sorted((place / "images").glob("*.png")):
        load = partial(read_grey, place / "labels" / f"{path.stem}_inst.png")
        instances = load()
        ids, x, y = centroids(instances)
        points = np.genfromtxt(place / "labels" / f"{path.stem}_points.csv", delimiter=",", ndmin=2).astype(
            int
        )
        labels = np.full(len(ids), "Nucleus", dtype="<U16")
        lone = []
        for column, row, kind in points:
            hit = instances[min(row, instances.shape[0] - 1), min(column, instances.shape[1] - 1)]
            if hit:
                labels[ids == hit] = NUCLS_NAMES[kind]
            else:
                lone.append((column + 0.5, row + 0.5, NUCLS_NAMES[kind]))
        yield LabelledImage(
            place.name,
            path.stem,
            path.stem,
            path,
            0.4,
            x=np.concatenate([x, [point[0] for point in lone]]),
            y=np.concatenate([y, [point[1] for point in lone]]),
            labels=np.concatenate([labels, np.array([point[2] for point in lone], dtype="<U16")]),
            instance_ids=np.concatenate([ids, np.zeros(len(lone), np.int32)]).astype(np.int32),
            load_instances=load,
        )


def read_crchistophenotypes(place: Path) -> Iterator[LabelledImage]:
    """Colorectal nuclei: points with four classes; a quarter was detected but never classified."""
    for path in sorted((place / "images").glob("*.jpg")):
        with (place / "points" / f"{path.stem}.csv").open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        yield LabelledImage(
            place.name,
            path.stem,
            path.stem,
            path,
            0.55,
            x=np.array([row["x"] for row in rows], np.float64),
            y=np.array([row["y"] for row in rows], np.float64),
            labels=np.array([CRC_NAMES[row["class"]] for row in rows]),
            scale_stated=True,
        )


def _from_masks(
    path: Path, labels: Path, *, mpp: float, case: str, shape_scored: bool = True
) -> LabelledImage:
    """Make an image of which every nucleus has an outline and none a class."""
    load = partial(read_grey, labels)
    ids, x, y = centroids(load())
    return LabelledImage(
        path.parent.parent.name,
        path.stem,
        case,
        path,
        mpp,
        x=x,
        y=y,
        labels=np.full(len(ids), "Nucleus"),
        instance_ids=ids,
        load_instances=load,
        shape_scored=shape_scored,
    )
