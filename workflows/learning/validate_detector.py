"""`slidelab validate detector`: detectors held against nuclei that experts have marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import SettingsError
from ...models import COLLECTIONS, KI67_SETS, LabelledImage, read_collection, split_images
from ...models.labelled import read_manifest
from ...tiling import atomic_file, write_json
from ..slides.tile_detector import LearnedDetector, choose_detector
from .case_figures import DRAWS, SEED, Figure, measure_figures
from .detector_accuracy import RADIUS_UM
from .image_counts import ALL_KI67, CELL_CLASSES, STRICT_RADIUS_UM, ImageCounts, count_image
from .image_detectors import BaselineOnImages, ImageDetector, NetworkOnImages
from .published_figures import published_of

if TYPE_CHECKING:
    from ...models.registry import LicencePolicy

__all__ = [
    "ALL_KI67",
    "DetectorReport",
    "IndexPoint",
    "SetResult",
    "report_detectors",
    "validate_detector",
    "validate_models",
    "write_validation",
]

Progress = Callable[[str, LabelledImage], None]


@dataclass(frozen=True)
class IndexPoint:
    """Labelling index of one image, percent."""

    set_name: str
    image: str
    case: str
    marked: float
    """From the experts' marks."""
    found: float
    """From the detector."""


@dataclass(frozen=True)
class SetResult:
    """One detector on one set, or on several pooled."""

    detector: str
    set_name: str
    cases: int
    images: int
    marked: int
    """Marked nuclei that count."""
    figures: Mapping[str, Figure] = field(repr=False)
    """By name; what the set's labels or the detector cannot tell is absent."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Matched nuclei, marked (rows) by called (columns), as `CELL_CLASSES`; empty without classes."""
    points: tuple[IndexPoint, ...] = field(default=(), repr=False)
    """Index of each image where both sides have one."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "detector": self.detector,
            "set": self.set_name,
            "cases": self.cases,
            "images": self.images,
            "marked": self.marked,
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            "confusion": [list(row) for row in self.confusion],
            "index": [
                {"image": point.image, "case": point.case, "marked": point.marked, "found": point.found}
                for point in self.points
            ],
        }


@dataclass(frozen=True)
class DetectorReport:
    """All detectors on all sets."""

    part: str
    """Part of the sets that was measured."""
    detectors: tuple[str, ...]
    """In the order of the tables' columns."""
    sets: tuple[str, ...]
    """In the order of the tables' rows; pooled ones last."""
    results: tuple[SetResult, ...] = field(repr=False)
    """One per detector and set."""

    def result(self, detector: str, set_name: str) -> SetResult:
        """Return what one detector did on one set."""
        for result in self.results:
            if (result.detector, result.set_name) == (detector, set_name):
                return result
        raise SettingsError(
            f"{detector} was not measured on {set_name}",
            f"Choose from {', '.join(self.detectors)} and {', '.join(self.sets)}.",
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "part": self.part,
            "radius_um": RADIUS_UM,
            "strict_radius_um": STRICT_RADIUS_UM,
            "draws": DRAWS,
            "seed": SEED,
            "classes": list(CELL_CLASSES),
            "detectors": list(self.detectors),
            "sets": list(self.sets),
            "results": [result.to_json() for result in self.results],
            "published": [figure.to_json() for figure in published_of(self.sets)],
        }

    def to_markdown(self) -> str:
        """Return tables with a row per set and the detectors beside one another."""
        from .validation_tables import validation_tables

        return validation_tables(self)

    def index_chart(self) -> bytes | None:
        """Return a PNG of the index found against marked, and of their difference; None without an index."""
        from .validation_chart import draw_index_agreement

        return draw_index_agreement(self) if any(result.points for result in self.results) else None


def validate_models(
    models: Sequence[str],
    *,
    data: Path,
    stain: str,
    part: str = "validation",
    policy: LicencePolicy = "research",
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> DetectorReport:
    """Measure models, by name, on all collections of a stain or on the sets of a manifest.

    Parameters
    ----------
    models : sequence of str
        Names from the `Registry`, ``auto`` for the default, ``unmixed-nuclei`` for the baseline.
    data : Path
        Folder that holds the collections, or a manifest (`read_manifest`).
    stain : str
        ``H-DAB`` or ``H&E``.
    part : str
        ``validation``, ``tuning`` or ``training``.
    policy : {"research", "permissive"}
        Which weights may be used.
    device : str
        ``auto``, ``cpu``, ``cuda``.
    progress : callable, optional
        Called with images done and in all, for all models together.
    """
    detectors = dict(_image_detector(model, stain=stain, policy=policy, device=device) for model in models)
    if data.is_file():
        read = split_images(read_manifest(data))[part]
        sets = dict.fromkeys(image.set_name for image in read)
        images = {name: [image for image in read if image.set_name == name] for name in sets}
    else:
        names = [
            name
            for name, collection in COLLECTIONS.items()
            if collection.stain == stain and collection.target == "nuclei"
        ]
        images = {name: split_images(read_collection(data, name))[part] for name in names}
    total, done = len(detectors) * sum(map(len, images.values())), iter(range(1 << 31))

    def advance(_name: str, _image: LabelledImage) -> None:
        if progress is not None:
            progress(next(done), total)

    return report_detectors(detectors, images=images, part=part, progress=advance)


def _image_detector(
    model: str, *, stain: str, policy: LicencePolicy, device: str
) -> tuple[str, ImageDetector]:
    """Return the name and the detector of a model."""
    chosen = choose_detector(model, stain=stain, policy=policy, device=device)
    if not isinstance(chosen, LearnedDetector):
        return chosen.name, BaselineOnImages(stain=stain)
    from ...models.loading import load_detector

    return chosen.name, NetworkOnImages(load_detector((chosen.card, chosen.weights), device=device))


def validate_detector(
    detectors: Mapping[str, ImageDetector],
    *,
    data: Path,
    sets: Sequence[str],
    part: str = "validation",
    progress: Progress | None = None,
) -> DetectorReport:
    """Measure detectors on labelled collections.

    Parameters
    ----------
    detectors : mapping of str to ImageDetector
        What to measure, by the name that the tables show.
    data : Path
        Folder that holds the collections.
    sets : sequence of str
        Names of collections; those of one stain belong together.
    part : str
        ``validation``, which nothing was ever fitted to; or ``tuning`` or ``training``.
    progress : callable, optional
        Called with the detector's name and each image before it is measured.

    Returns
    -------
    DetectorReport

    Raises
    ------
    SettingsError
        If a collection or part is unknown, or no image belongs to the part.
    SlideNotFoundError
        If a collection is not there.

    Notes
    -----
    Only what lies inside the marked region counts. Where the marks tell tumour, nuclei count whose
    ``tumour_probability`` reaches the detector's threshold; a detector that cannot tell tumour is charged
    with every nucleus it finds. Matches are one to one within 4 um and within 3 um; average precision is at
    4 um, over all candidates. Intervals draw cases with replacement, 2,000 times, one seed for all.
    """
    images: dict[str, list[LabelledImage]] = {}
    for name in dict.fromkeys(sets):
        parts = split_images(read_collection(data, name))
        if part not in parts:
            raise SettingsError(f"no part is called {part!r}", f"Choose from: {', '.join(parts)}.")
        images[name] = parts[part]
    return report_detectors(detectors, images=images, part=part, progress=progress)


def report_detectors(
    detectors: Mapping[str, ImageDetector],
    *,
    images: Mapping[str, Sequence[LabelledImage]],
    part: str,
    progress: Progress | None = None,
) -> DetectorReport:
    """Measure detectors on labelled images that were read before, by set; see `validate_detector`."""
    if not detectors or not any(images.values()):
        raise SettingsError(
            f"{len(detectors)} detectors and no image of the {part} part to measure"
            if detectors
            else "no detector to measure",
            "Name at least one detector and one collection that has such images.",
        )
    results = []
    for name, detector in detectors.items():
        counts: dict[str, list[ImageCounts]] = {}
        for set_name, members in images.items():
            counts[set_name] = [_count(name, detector, image=image, progress=progress) for image in members]
        results += [_summarise(name, set_name, counts=members) for set_name, members in counts.items()]
        if len(_ki67(images)) > 1:
            pooled = [one for set_name in _ki67(images) for one in counts[set_name]]
            results.append(_summarise(name, ALL_KI67, counts=pooled))
    rows = (*images, ALL_KI67) if len(_ki67(images)) > 1 else tuple(images)
    return DetectorReport(part, tuple(detectors), tuple(rows), tuple(results))


def write_validation(report: DetectorReport, folder: Path) -> tuple[Path, ...]:
    """Write ``validation.json``, ``validation.md`` and, where there is an index, ``index.png``.

    Parameters
    ----------
    report : DetectorReport
        What to write.
    folder : Path
        Made if need be; files of these names are replaced.

    Returns
    -------
    tuple of Path
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "validation.json", report.to_json())
    contents = {"validation.md": report.to_markdown().encode()}
    chart = report.index_chart()
    if chart is not None:
        contents["index.png"] = chart
    for name, content in contents.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_bytes(content)
    return tuple(folder / name for name in ("validation.json", *contents))


def _count(
    name: str, detector: ImageDetector, *, image: LabelledImage, progress: Progress | None
) -> ImageCounts:
    """Count one image, and say so before."""
    if progress is not None:
        progress(name, image)
    return count_image(detector, image)


def _ki67(sets: Iterable[str]) -> list[str]:
    """Return the sets that the pooled row is made of."""
    return [name for name in sets if name in KI67_SETS]


def _summarise(detector: str, set_name: str, *, counts: Sequence[ImageCounts]) -> SetResult:
    """Pool the images of a set."""
    figures = measure_figures(counts)
    table = [
        [int(sum(one.sums.get(f"class:{row}:{column}", 0.0) for one in counts)) for column in CELL_CLASSES]
        for row in CELL_CLASSES
    ]
    return SetResult(
        detector,
        set_name,
        cases=len({(one.set_name, one.case) for one in counts}),
        images=len(counts),
        marked=int(sum(one.sums["marked"] for one in counts)),
        figures=figures,
        confusion=tuple(tuple(row) for row in table) if "class_accuracy" in figures else (),
        points=tuple(
            IndexPoint(one.set_name, one.name, one.case, marked=one.index[0], found=one.index[1])
            for one in counts
            if one.index is not None
        ),
    )
