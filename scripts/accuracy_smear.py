"""Measure a detector of blood cells, and the smear road with it, and write the figures into its card.

python scripts/accuracy_smear.py MODEL.json [--data FOLDER] [--docs PAGE] [--dry]

Boxes: average precision at an intersection over union of 0.5, per kind and as their mean, on the validation
fields of BCCD and draaslan, which nothing was learnt from or tuned on; intervals by blocks of neighbouring
fields. Counts at the card's thresholds are held against all boxes, and against the boxes on known ground:
where stain without any box lies under a detection nobody knows whether it is right (`known_ground`).

Beyond these sets: red cells of Chula RBC-12 (another microscope, marked by points), scales judged from red
cells beside those that boxes give, the five-part differential from field to class on BCCD (labels per image,
noisy) and KRD-WBC, and phantoms of which every cell is known.

--docs puts the tables between `<!-- begin smear -->` and `<!-- end smear -->` of a page.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slidelab.models import CellTable, LabelledImage, read_collection, split_images
from slidelab.models.labelled.smear_fields import SMEAR_KINDS, SmearField, read_smear_fields
from slidelab.models.loading import load_detector
from slidelab.models.star_detector import StarDetector
from slidelab.quantify import FIVE_PARTS, Interval, bootstrap_by_patient, match_points
from slidelab.quantify.box_precision import ScoredBoxes, box_average_precision
from slidelab.quantify.count_interval import exact_interval
from slidelab.workflows.learning.detector_accuracy import detect_whole
from slidelab.workflows.learning.detector_card import attach_metrics
from slidelab.workflows.smear.readers import CellReader, LearnedSmear, SmearReader, choose_white
from slidelab.workflows.smear.scale import estimate_scale
from slidelab.wsi import open_slide
from slidelab.wsi.phantom.smear import SmearPhantom, paint_smear_field

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = "scripts/accuracy_smear.py"
SETS = ("bccd", "draaslan-rbc-wbc")
PART = "validation"
FAINT = 0.05
"""Curves go down to detections of this score."""
CHULA_FIELDS = 20
CHULA_MARGIN_PX = 40
"""Cells nearer to the border of a Chula field are often not marked."""
POINT_UM = 3.0
PHANTOM_FIELDS = 4
RBC, WBC, PLATELET = range(3)


@dataclass(frozen=True)
class FieldResult:
    """What was found in one field beside its boxes."""

    field: SmearField
    cells: CellTable
    """Faint ones too, px of the field."""
    boxes: NDArray[np.float64]
    """Of the cells, inside the field: (N, 4)."""
    known: NDArray[np.bool_]
    """Whether each lies on known ground: (N,)."""

    def scored(self, kind: int) -> ScoredBoxes:
        """Return the boxes of a kind."""
        own = self.cells.labels == kind
        marked = self.field.boxes[self.field.labels == SMEAR_KINDS[kind]]
        return ScoredBoxes(self.boxes[own], self.cells.probability[own], marked)

    def count(self, kind: int, threshold: float, *, on_known: bool) -> int:
        """Return how many cells of a kind are found."""
        own = (self.cells.labels == kind) & (self.cells.probability >= threshold)
        return int((own & self.known).sum() if on_known else own.sum())

    def marked(self, kind: int) -> int:
        """Return how many cells of a kind are boxed."""
        return int((self.field.labels == SMEAR_KINDS[kind]).sum())


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("card", type=Path)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--dry", action="store_true", help="leave the card as it is")
    arguments = parser.parse_args()
    os.environ.setdefault("SLIDELAB_MODELS", str(arguments.card.parent))
    weights = arguments.card.with_suffix(".safetensors")
    detector = load_detector((arguments.card, weights), device="cpu")
    thresholds = detector.settings.class_thresholds or (detector.settings.threshold,) * len(SMEAR_KINDS)
    results = {name: measure_set(detector, arguments.data, name) for name in SETS}
    reader = smear_reader(arguments.card)
    parts = [
        box_table(results, thresholds),
        scale_table(reader, arguments.data),
        chula_table(detector, reader, arguments.data),
        differential_table(detector, reader, arguments.data),
        phantom_table(detector),
    ]
    text = "\n".join(parts)
    print(text)
    if not arguments.dry:
        attach_metrics(arguments.card, metrics(results, thresholds))
    if arguments.docs:
        fill(arguments.docs, text)


def smear_reader(card: Path) -> SmearReader:
    """Return the detector as the road uses it."""
    from slidelab.models.card import ModelCard

    known = ModelCard.read(card)
    return LearnedSmear.of(
        known,
        card.with_suffix(".safetensors"),
        device="cpu",
        stride=known.input.stride_px,
        reach_px=known.receptive_field_px,
    )


def measure_set(detector: StarDetector, folder: Path, name: str) -> list[FieldResult]:
    """Find the cells of the validation fields of a set, down to faint ones."""
    fields = {each.name: each for each in read_smear_fields(folder / "bloodsmear" / name)}
    faint = StarDetector(
        detector.session,
        mpp=detector.mpp,
        settings=replace(detector.settings, threshold=FAINT, class_thresholds=()),
    )
    stride = detector.session.network.settings.stride
    results = []
    for image in split_images(read_collection(folder, name))[PART]:
        cells = detect_whole(faint.detect, image, mpp=detector.mpp, stride=stride)
        with open_slide(image.path, mpp=image.mpp) as slide:
            size = np.array([slide.width, slide.height])
        low, high = (np.clip(end(cells.outlines, 1), 0, size) for end in (np.min, np.max))
        boxes = np.concatenate([low, high], 1)
        known = image.inside(cells.x, cells.y)
        results.append(FieldResult(fields[image.name], cells, boxes, known))
    return results


def average_precision(results: Sequence[FieldResult], kind: int, rows: NDArray[np.intp]) -> float:
    """Average precision of a kind on some fields."""
    value = box_average_precision([results[row].scored(kind) for row in rows])
    return float("nan") if value is None else value


def kinds_of(results: Sequence[FieldResult]) -> list[int]:
    """Return the kinds that a set boxes."""
    return [number for number, kind in enumerate(SMEAR_KINDS) if kind in results[0].field.kinds]


def mean_precision(results: Sequence[FieldResult], rows: NDArray[np.intp]) -> float:
    """Mean of the kinds' average precision."""
    values = [average_precision(results, kind, rows) for kind in kinds_of(results)]
    return float(np.nanmean(values))


def with_interval(results: Sequence[FieldResult], statistic: object) -> tuple[float, Interval | None]:
    """Return a figure of all fields, and its interval by blocks of fields."""
    cases = [result.field.case for result in results]
    assert callable(statistic)
    return float(statistic(np.arange(len(results)))), bootstrap_by_patient(statistic, cases)


def count_error(
    results: Sequence[FieldResult], kind: int, threshold: float, *, on_known: bool
) -> tuple[int, int, float]:
    """Return found and boxed cells, and the error in percent of the boxed."""
    found = sum(result.count(kind, threshold, on_known=on_known) for result in results)
    marked = sum(result.marked(kind) for result in results)
    return found, marked, 100 * (found / marked - 1) if marked else float("nan")


def box_table(results: dict[str, list[FieldResult]], thresholds: Sequence[float]) -> str:
    """Markdown table of average precision and counts."""
    rows = [
        "| validation fields | kind | boxes | AP at IoU 0.5 (95 % by blocks) | found on known ground (error) "
        "| found in all (error) |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        blocks = len({result.field.case for result in found})
        label = f"{name}: {len(found)} fields in {blocks} blocks"
        for kind in kinds_of(found):
            value, interval = with_interval(found, partial(average_precision, found, kind))
            counts = []
            for on_known in (True, False):
                cells, marked, error = count_error(found, kind, thresholds[kind], on_known=on_known)
                counts.append(f"{cells} ({error:+.1f} %)")
            marked = sum(result.marked(kind) for result in found)
            rows.append(
                f"| {label} | {SMEAR_KINDS[kind]} | {marked} | {value:.3f}{spread(interval)} "
                f"| {' | '.join(counts)} |"
            )
        value, interval = with_interval(found, partial(mean_precision, found))
        rows.append(f"| {label} | **mean** | | **{value:.3f}**{spread(interval)} | | |")
    return "\n".join(rows) + "\n"


def spread(interval: Interval | None) -> str:
    """Interval of a figure."""
    return "" if interval is None else f" ({interval.low:.3f}-{interval.high:.3f})"


def scale_table(reader: SmearReader, folder: Path) -> str:
    """Markdown table of judged scales beside those that boxes give."""
    rows = ["", "| fields | µm per px from boxes | judged from red cells | difference |", "|---|---|---|---|"]
    for name in SETS:
        images = split_images(read_collection(folder, name))[PART]
        estimate = estimate_scale([image.path for image in images], reader)
        stated = images[0].mpp
        rows.append(
            f"| {name} | {stated:.4f} | {estimate.mpp:.4f} | {100 * (estimate.mpp / stated - 1):+.1f} % |"
        )
    return "\n".join(rows) + "\n"


def chula_table(detector: StarDetector, reader: SmearReader, folder: Path) -> str:
    """Markdown table of red cells on another microscope's fields."""
    place = folder / "bloodsmear" / "chula-rbc12"
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with (place / "points.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            points[row["image"]].append((float(row["x"]), float(row["y"])))
    names = sorted(
        (name for name in points if int(Path(name).stem) < 700), key=lambda name: int(Path(name).stem)
    )
    chosen = [names[at] for at in np.unique(np.linspace(0, len(names) - 1, CHULA_FIELDS).round().astype(int))]
    estimate = estimate_scale([place / "images" / name for name in chosen], reader)
    hits = found_total = marked_total = 0
    for name in chosen:
        cells, size = detect_file(detector, place / "images" / name, estimate.mpp)
        own = np.stack([cells.x, cells.y], 1)[cells.labels == RBC]
        marked = np.array(points[name])
        low, high = np.full(2, CHULA_MARGIN_PX), size - CHULA_MARGIN_PX
        own, marked = (each[((each >= low) & (each <= high)).all(1)] for each in (own, marked))
        matches = match_points(own * estimate.mpp, marked * estimate.mpp, radius_um=POINT_UM)
        hits += matches.true_positives
        found_total += len(own)
        marked_total += len(marked)
    recall = exact_interval(hits, marked_total)
    return (
        f"\nChula RBC-12, {len(chosen)} fields, red cells at least {CHULA_MARGIN_PX} px from the border, "
        f"scale judged as {estimate.mpp:.4f} µm per px: {hits} of {marked_total} marked cells found, "
        f"{100 * hits / marked_total:.1f} % ({100 * recall.low:.1f}-{100 * recall.high:.1f} %); "
        f"{found_total} found in all ({100 * (found_total / marked_total - 1):+.1f} %; overlapping cells "
        f"often carry no mark).\n"
    )


def detect_file(detector: StarDetector, path: Path, mpp: float) -> tuple[CellTable, NDArray[np.float64]]:
    """Find the cells of an image file with a scale; cells in px of the image, and its size."""
    none = np.empty(0)
    image = LabelledImage("file", path.stem, path.stem, path, mpp, x=none, y=none, labels=np.empty(0, "<U1"))
    with open_slide(path, mpp=mpp) as slide:
        size = np.array([slide.width, slide.height], np.float64)
    stride = detector.session.network.settings.stride
    return detect_whole(detector.detect, image, mpp=detector.mpp, stride=stride), size


def differential_table(detector: StarDetector, reader: SmearReader, folder: Path) -> str:
    """Markdown table of white cells found and named, from field to class."""
    white = choose_white("auto", device="cpu")
    if white is None:
        return "\nNo classifier of white cells is at hand: no differential was measured.\n"
    rows = [
        f"\nWhite cells found and named by {white.name}, whole fields in, one class out:",
        "",
        "| fields | labelled | found | named rightly, of the found | unclassified | by class |",
        "|---|---|---|---|---|---|",
    ]
    for name, truth, mpp in differential_sets(reader, folder):
        right, found, unknown = Counter[str](), 0, 0
        for path, label in truth:
            named = name_largest(detector, white, path, mpp)
            found += named is not None
            unknown += named == ""
            right[label] += named == label
        total = Counter(label for _, label in truth)
        by_class = ", ".join(f"{label} {right[label]}/{total[label]}" for label in FIVE_PARTS if total[label])
        good = sum(right.values())
        interval = exact_interval(good, max(found, 1))
        rows.append(
            f"| {name} | {len(truth)} | {found} | {good} = {100 * good / max(found, 1):.1f} % "
            f"({100 * interval.low:.1f}-{100 * interval.high:.1f}) | {unknown} | {by_class} |"
        )
    return "\n".join(rows) + "\n"


def differential_sets(reader: SmearReader, folder: Path) -> list[tuple[str, list[tuple[Path, str]], float]]:
    """Return name, (image, class) pairs and scale of the sets with one labelled white cell per field."""
    place = folder / "bloodsmear" / "bccd"
    with (place / "images.csv").open(newline="", encoding="utf-8") as stream:
        types = {row["file"]: row["wbc_type_from_kaggle_labels"].lower() for row in csv.DictReader(stream)}
    images = split_images(read_collection(folder, "bccd"))[PART]
    bccd = [(image.path, types[image.path.name]) for image in images if types[image.path.name] in FIVE_PARTS]
    krd = folder / "bloodsmear" / "krd-wbc"
    with (krd / "labels.csv").open(newline="", encoding="utf-8") as stream:
        labelled = [(krd / "images" / row["image"], row["class"].lower()) for row in csv.DictReader(stream)]
    labelled = [(path, label) for path, label in labelled if label in FIVE_PARTS]
    scale = estimate_scale([path for path, _ in labelled], reader).mpp
    return [
        ("bccd, validation (labels noisy)", bccd, images[0].mpp),
        (f"krd-wbc (scale judged: {scale:.4f})", labelled, scale),
    ]


def name_largest(detector: StarDetector, white: CellReader, path: Path, mpp: float) -> str | None:
    """Return the class of the surest white cell of a field; empty if unclassified, None if none is found."""
    cells, _ = detect_file(detector, path, mpp)
    own = np.flatnonzero(cells.labels == WBC)
    if not len(own):
        return None
    row = own[int(cells.probability[own].argmax())]
    with open_slide(path, mpp=mpp) as slide:
        plane = slide.plane(white.mpp)
        left, top = (
            int(np.floor(at / plane.downsample - white.side / 2 + 0.5)) for at in (cells.x[row], cells.y[row])
        )
        crop = plane.read(left, top, white.side, white.side)
    probability, unknown = white.read(crop[None])
    return "" if unknown[0] else white.classes[int(probability[0].argmax())]


def phantom_table(detector: StarDetector) -> str:
    """Markdown table of counts on phantoms, which nothing was learnt from."""
    rows = ["", "| phantom fields | kind | true | found | F1 at 3 µm |", "|---|---|---|---|---|"]
    for scanner in "ab":
        totals = np.zeros((3, 3), int)
        for number in range(PHANTOM_FIELDS):
            settings = SmearPhantom(
                width=1024,
                height=768,
                seed=number + 1,
                white_per_mm2=200.0,
                scanner=scanner,
                thick=0.0,
                thin=0.0,
            )
            image, truth = paint_smear_field(settings)
            cells = detector.detect(image)
            kinds = np.array([RBC, PLATELET, *[WBC] * 5])[truth.kind]
            for kind in range(3):
                own = np.stack([cells.x, cells.y], 1)[cells.labels == kind] * settings.mpp
                marked = np.stack([truth.x, truth.y], 1)[kinds == kind]
                matches = match_points(own, marked, radius_um=POINT_UM)
                totals[kind] += (matches.true_positives, len(own), len(marked))
        for kind, (hits, found, marked) in enumerate(totals.tolist()):
            rows.append(
                f"| scanner {scanner}, {PHANTOM_FIELDS} of 256 x 192 µm | {SMEAR_KINDS[kind]} | {marked} "
                f"| {found} | {2 * hits / max(1, found + marked):.3f} |"
            )
    return "\n".join(rows) + "\n"


def metrics(results: dict[str, list[FieldResult]], thresholds: Sequence[float]) -> list[dict[str, object]]:
    """Return the figures as a card holds them."""
    rows: list[dict[str, object]] = []
    for name, found in results.items():
        figures = [("mean average precision of boxes at IoU 0.5", partial(mean_precision, found))]
        figures += [
            (
                f"average precision of {SMEAR_KINDS[kind]} boxes at IoU 0.5",
                partial(average_precision, found, kind),
            )
            for kind in kinds_of(found)
        ]
        for title, statistic in figures:
            value, interval = with_interval(found, statistic)
            rows.append(metric(name, title, value, interval, len(found)))
        for kind in kinds_of(found):
            error = count_error(found, kind, thresholds[kind], on_known=True)[2]
            title = f"count error of {SMEAR_KINDS[kind]} on known ground, percent"
            rows.append(metric(name, title, error, None, len(found)))
    return rows


def metric(name: str, title: str, value: float, interval: Interval | None, n: int) -> dict[str, object]:
    """Return one figure as a card holds it."""
    return {
        "set": name,
        "part": PART,
        "name": title,
        "value": round(value, 4),
        "low": None if interval is None else round(interval.low, 4),
        "high": None if interval is None else round(interval.high, 4),
        "n": n,
        "script": SCRIPT,
    }


def fill(path: Path, text: str) -> None:
    """Put measured text between its markers in a page."""
    begin, end = "<!-- begin smear -->\n", "<!-- end smear -->"
    head, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(head + begin + "\n" + text + "\n" + end + rest.split(end)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
