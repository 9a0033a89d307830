"""Make labelled images that a detector of nuclei on cervical slides learns from (`slidelab train detector`).

python scripts/teach_pap_nuclei.py OUT [--data FOLDER] [--teacher nuclei-fast.he-open]

No set of Papanicolaou-stained fields has all its nuclei outlined. Here the teacher, which sees four times the
pixels, outlines them on fields of liquid-based slides, on which pictures of lesions, organisms and Herlev's
cells were laid, the latter with the outlines that experts drew; what the teacher is not sure of counts as
unknown. Pap phantoms stand beside them; their neutrophils count as unknown: in the fields lobes are single.
Only training and tuning parts are used, and nothing of CRIC, which measures the outcome.
OUT receives images, label masks, masks of what is known, and ``manifest.csv``.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, label

from slidelab.errors import SettingsError
from slidelab.models.cytoplasm import red_density, refine_nuclei
from slidelab.models.labelled.cytology_cells import LabelledCell
from slidelab.models.labelled.cytology_sets import read_cells
from slidelab.models.labelled.instances import fill_polygons
from slidelab.models.loading import load_detector
from slidelab.models.registry import Registry
from slidelab.models.star_detector import StarDetector
from slidelab.models.star_outlines import ray_directions
from slidelab.workflows.cervix.planted import at_mpp, plant
from slidelab.wsi import open_slide
from slidelab.wsi.phantom.pap import PapSettings, write_pap_phantom

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
MPP = 0.5
"""Of the images, um per px: the teacher's."""
FIELDS, PICTURES, OUTLINED = "lbc-circled-fields", "cdetector-11class", "herlev-200"
COMPOSED = " + ".join((FIELDS, PICTURES, OUTLINED))
"""What the manifest calls fields with pictures on them."""
COPIES = {"training": 60, "tuning": 6}
"""Images of each part; every one is a field, mirrored, with other pictures."""
PER_IMAGE = 14
"""Pictures laid on a field, as far as there is room."""
OUTLINED_SHARE = 0.35
"""Share of them whose nucleus an expert outlined."""
LARGEST_PX = 260
"""Larger pictures leave no room for others."""
SURE = 0.25
"""Peaks of the teacher from here on are nuclei, if they stand out."""
CONTRAST = 0.10
"""Density by which they do."""
UNKNOWN_PX = 6
"""What lies so near to a doubtful nucleus is unknown."""
NEW = 60_000
"""Number of an expert's nucleus before all are numbered."""
LEAST_UM2 = 22.0
"""A picture without a nucleus of this size hides one that the teacher missed."""
PHANTOM_PX = 1536
PHANTOMS = {"training": range(40, 48), "tuning": range(48, 49)}
"""Seeds."""


@dataclass(frozen=True)
class Picture:
    """A picture of a cell or group, at the teacher's resolution."""

    image: NDArray[np.uint8]
    nucleus: NDArray[np.bool_] | None
    """Where an expert saw the nucleus."""


@dataclass(frozen=True)
class Taught:
    """An image with its nuclei."""

    name: str
    part: str
    set_name: str
    image: NDArray[np.uint8]
    instances: NDArray[np.int32]
    known: NDArray[np.bool_]


def main() -> None:
    """Write everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--teacher", default="nuclei-fast.he-open")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    teacher = load_detector(Registry().find(asked.teacher), device="cpu").faint()
    cells = read_cells(asked.data, [FIELDS, PICTURES, OUTLINED])
    with (asked.out / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "annotation", "mpp", "case", "set", "region", "part"))
        for part in COPIES:
            for one in (*taught_fields(cells, teacher, part), *phantoms(asked.out, part)):
                writer.writerow(write(one, asked.out))
                print(f"{one.name}: {one.instances.max()} nuclei", flush=True)


def write(one: Taught, folder: Path) -> tuple[str, ...]:
    """Write an image and its masks; returns its line of the manifest."""
    names = tuple(f"{one.name}{ending}.png" for ending in ("", "-nuclei", "-known"))
    Image.fromarray(one.image).save(folder / names[0])
    Image.fromarray(one.instances.astype(np.uint16)).save(folder / names[1])
    Image.fromarray(one.known.astype(np.uint8) * 255).save(folder / names[2])
    return names[0], names[1], str(MPP), one.name, one.set_name, names[2], one.part


def taught_fields(cells: Sequence[LabelledCell], teacher: StarDetector, part: str) -> Iterator[Taught]:
    """Yield fields of one part with pictures of the same part, outlined by the teacher."""
    random = np.random.default_rng(2026)
    own = [cell for cell in cells if cell.part == part]
    paths = dict.fromkeys((cell.path, cell.mpp) for cell in own if cell.set_name == FIELDS)
    fields = [opened(path, mpp) for path, mpp in paths]
    groups = [
        [picture for picture in pictures if max(picture.image.shape) <= LARGEST_PX]
        for picture_set in (PICTURES, OUTLINED)
        if (pictures := [picture_of(cell) for cell in own if cell.set_name == picture_set])
    ]
    for number in range(COPIES[part]):
        field = fields[number % len(fields)][:: random.choice((1, -1)), :: random.choice((1, -1))]
        image, laid = np.ascontiguousarray(field), []
        for _ in range(PER_IMAGE):
            group = groups[int(random.random() < OUTLINED_SHARE)]
            picture = group[int(random.integers(len(group)))]
            try:
                image, places = plant(image, [("", picture.image)], seed=int(random.integers(1 << 31)))
            except SettingsError:  # no room left for this one
                continue
            laid.append((picture, places[0]))
        instances, known = outlined(image, teacher)
        for picture, place in laid:
            box = (slice(place.top, place.top + place.height), slice(place.left, place.left + place.width))
            draw_expert(instances[box], known[box], picture)
        fresh = label(instances == NEW)[0]
        instances = np.where(fresh > 0, fresh + instances[instances != NEW].max(initial=0), instances)
        yield Taught(
            f"{part}-{number:02d}",
            part,
            " + ".join((FIELDS, PICTURES, OUTLINED)),
            image,
            instances.astype(np.int32),
            known,
        )


def picture_of(cell: LabelledCell) -> Picture:
    """Read the picture of a cell, without its padding, and the nucleus that an expert outlined in it."""
    image = np.asarray(Image.open(cell.path).convert("RGB"))
    left, top, right, bottom = cell.box or (0, 0, image.shape[1], image.shape[0])
    image = at_mpp(np.ascontiguousarray(image[top:bottom, left:right]), mpp=cell.mpp, wanted=MPP)
    if cell.mask is None:
        return Picture(image, None)
    mask = Image.fromarray(np.asarray(Image.open(cell.mask).convert("L"))[top:bottom, left:right])
    nucleus = np.asarray(mask.resize(image.shape[1::-1], Image.Resampling.BILINEAR)) > 127
    return Picture(image, nucleus if nucleus.any() else None)


def draw_expert(instances: NDArray[np.int32], known: NDArray[np.bool_], picture: Picture) -> None:
    """Correct, where a picture lies, what the teacher said: in place."""
    if picture.nucleus is None:
        if not (np.bincount(instances.ravel())[1:] * MPP**2 >= LEAST_UM2).any():
            known[:] = False
        return
    for number in np.unique(instances[picture.nucleus]):
        if number:
            instances[instances == number] = 0
    instances[picture.nucleus] = NEW
    known[picture.nucleus] = True


def opened(path: Path, mpp: float) -> NDArray[np.uint8]:
    """Read an image at the teacher's resolution."""
    return at_mpp(np.asarray(Image.open(path).convert("RGB")), mpp=mpp, wanted=MPP)


def outlined(image: NDArray[np.uint8], teacher: StarDetector) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the nuclei that the teacher finds, and where it has no doubt."""
    height, width = image.shape[:2]
    stride = teacher.session.network.settings.stride
    whole = np.pad(image, ((0, -height % stride), (0, -width % stride), (0, 0)), constant_values=255)
    red = red_density(whole, np.percentile(image.reshape(-1, 3), 95, axis=0))
    found = teacher.detect(whole, np.stack([red, red]))
    away = found.outlines - np.stack([found.x, found.y], axis=1)[:, None]
    radii = np.hypot(away[..., 0], away[..., 1]).astype(np.float32)
    radii, contrast, _ = refine_nuclei(red, found.x, found.y, radii=radii, mpp=MPP)
    centres = np.stack([found.x, found.y], axis=1)
    borders = centres[:, None] + radii[..., None] * ray_directions()
    sure = (found.probability >= SURE) & (contrast >= CONTRAST)
    instances = fill_polygons(list(borders[sure]), width=width, height=height)
    doubtful = fill_polygons(list(borders[~sure]), width=width, height=height) > 0
    if doubtful.any():
        doubtful = distance_transform_edt(~doubtful) <= UNKNOWN_PX
    return instances, ~(doubtful & (instances == 0))


def phantoms(folder: Path, part: str) -> Iterator[Taught]:
    """Yield painted slides of one part."""
    for seed in PHANTOMS[part]:
        random = np.random.default_rng(seed)
        path = folder / f"pap-{seed}.tiff"
        settings = PapSettings(
            width=PHANTOM_PX,
            height=PHANTOM_PX,
            mpp=MPP,
            seed=seed,
            scanner="ab"[seed % 2],
            squamous_per_mm2=float(random.uniform(60, 300)),
            neutrophils_per_mm2=float(random.uniform(30, 400)),
            metaplastic=6,
            endocervical=2,
            lesions={"ASC-US": 6, "LSIL": 6, "ASC-H": 5, "HSIL": 5},
        )
        truth = write_pap_phantom(path, settings)
        table = pq.read_table(truth.cells_path, columns=["class", "geometry"])
        lobed = np.array(table["class"].to_pylist()) == "neutrophil"
        outlines = [
            shapely.get_coordinates(polygon)[:-1]
            for polygon in shapely.from_wkb(table["geometry"].to_numpy())
        ]
        instances = fill_polygons(outlines, width=PHANTOM_PX, height=PHANTOM_PX)
        known = ~np.append(False, lobed)[instances]
        known = distance_transform_edt(known) > UNKNOWN_PX
        instances[~known] = 0
        with open_slide(path) as slide:
            plane = slide.plane(MPP)
            image = plane.read(0, 0, PHANTOM_PX, PHANTOM_PX)
        yield Taught(f"pap-{seed}", part, "phantom", image, instances, known)


if __name__ == "__main__":
    main()
