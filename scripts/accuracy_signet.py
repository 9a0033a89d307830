"""Measure a signet-ring detector on DigestPath, and write the figures into its card.

python scripts/accuracy_signet.py MODEL.json [--folds FOLDER] [--data FOLDER] [--docs PAGE] [--dry]

Recall over false detections per crop without such cells (512 px at 0.25 um per px: 128 x 128 um). A cell is
found if the centre of a detection lies in its box, best detections first, one each. The validation patients
were neither learnt from nor tuned on. With --folds the patients of training and tuning are measured too,
each by a network that was trained without them: FOLDER is ``training/NAME/folds`` beside the model; these
trainings are done if they are not there.

Benign mucosa of other collections, which no detector learnt from, tells how many false detections there are
with other scanners and stains: per 0.1 mm2, the area in which five cells are called a carcinoma.

--docs puts the table between `<!-- begin signet -->` and `<!-- end signet -->` of a page.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slidelab.models import LabelledImage, read_collection, split_images
from slidelab.models.card import ModelCard
from slidelab.models.labelled.colorectal import GradedImage, read_colorectal
from slidelab.models.labelled.signet import SignetCrop, read_signet_crops
from slidelab.models.loading import load_detector
from slidelab.models.session import InferenceSession, SessionSettings
from slidelab.models.star_detector import StarDetector, StarSettings
from slidelab.models.training.config import TrainingConfig
from slidelab.quantify import Interval, bootstrap_by_patient
from slidelab.workflows.learning.detector_accuracy import detect_whole
from slidelab.workflows.learning.detector_card import TrainingImages, attach_metrics, load_trained
from slidelab.workflows.learning.left_out import LeftOut
from slidelab.workflows.learning.signet_accuracy import (
    CropScores,
    FrocPoint,
    SignetAccuracy,
    measure_signet,
    score_crop,
)
from slidelab.wsi import open_slide

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = "scripts/accuracy_signet.py"
SET = "digestpath-signet"
PART = "validation"
FAINT = 0.02
"""The curve goes down to detections of this score."""
OUTSIDE = {"ebhi-seg": ("normal", "polyp"), "glas": ("benign",)}
"""Other collections, and the classes of them that hold no such cells."""
SURE = 0.5
"""A stricter threshold, for rules that a handful of cells decides."""
DISC_UM2 = 1e5
FIVE = 5
GOAL = 2.0
"""False detections per crop at which recall goes into the card."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("card", type=Path)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--folds", type=Path, help="the training's folder of folds")
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--dry", action="store_true", help="leave the card as it is")
    arguments = parser.parse_args()
    card = ModelCard.read(arguments.card)
    parts = split_images(read_collection(arguments.data, SET))
    crops = {crop.name: crop for crop in read_signet_crops(arguments.data / "he" / SET)}
    detector = load_detector((arguments.card, arguments.card.with_suffix(".safetensors")), device="cpu")
    threshold = detector.settings.threshold
    scores = {PART: score_images(detector, parts[PART], crops=crops)}
    if arguments.folds:
        assert card.training is not None
        assert isinstance(card.training.config, dict)
        config = TrainingConfig.check(card.training.config, where=arguments.card.name)
        plan = LeftOut(config, TrainingImages(parts, origin=SET), [], arguments.folds, "cpu")
        scores["training and tuning, left out in turn"] = score_left_out(plan, crops=crops)
    measured = {part: measure_signet(found, threshold=threshold) for part, found in scores.items()}
    outside = measure_outside(detector, arguments.data, thresholds=(threshold, SURE))
    text = "\n".join(table(part, accuracy) for part, accuracy in measured.items()) + outside_table(outside)
    print(text)
    values: dict[str, object] = {part: accuracy.to_json() for part, accuracy in measured.items()}
    values["outside"] = [asdict(one) for one in outside]
    arguments.card.with_suffix(".froc.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    if not arguments.dry:
        rows = [row for part in measured for row in metrics(part, measured[part])]
        attach_metrics(arguments.card, [*rows, *map(outside_metric, outside)])
    if arguments.docs:
        fill(arguments.docs, text)


def score_images(
    detector: StarDetector, images: Sequence[LabelledImage], *, crops: dict[str, SignetCrop]
) -> list[CropScores]:
    """Find cells in images, down to faint ones, and match them with the boxes."""
    detector.settings = replace(detector.settings, threshold=FAINT)
    stride = detector.session.network.settings.stride
    return [
        score_crop(detect_whole(detector.detect, image, mpp=detector.mpp, stride=stride), crops[image.name])
        for image in images
    ]


def score_left_out(plan: LeftOut, *, crops: dict[str, SignetCrop]) -> list[CropScores]:
    """Find cells on each image of training and tuning by the network that did not see its patient."""
    scores: list[CropScores] = []
    for fold in range(plan.config.folds):
        network = load_trained(plan.train(fold), plan.config)
        session = InferenceSession(network, SessionSettings(device=plan.device))
        settings = StarSettings(largest_radius_um=plan.config.largest_radius_um)
        detector = StarDetector(session, mpp=plan.config.mpp, settings=settings)
        scores += score_images(detector, plan.left_out(fold), crops=crops)
    return scores


@dataclass(frozen=True)
class Outside:
    """False detections on images of another collection."""

    set_name: str
    classes: tuple[str, ...]
    images: int
    cases: int
    threshold: float
    rate: float
    """Per 0.1 mm2."""
    interval: Interval | None
    crowded: float
    """Share of images with five or more."""


def measure_outside(detector: StarDetector, folder: Path, *, thresholds: tuple[float, ...]) -> list[Outside]:
    """Count false detections on benign mucosa of other collections."""
    stride = detector.session.network.settings.stride
    found: list[Outside] = []
    for name, classes in OUTSIDE.items():
        images = [image for image in read_colorectal(folder, [name]) if image.label in classes]
        scores, areas = [], []
        for image in images:
            cells = detect_whole(detector.detect, labelled(image), mpp=detector.mpp, stride=stride)
            scores.append(cells.probability)
            with open_slide(image.path, mpp=image.mpp) as opened:
                areas.append(opened.width * opened.height * image.mpp**2)
        for threshold in thresholds:
            counts = np.array([(each >= threshold).sum() for each in scores], float)
            rate = partial(rate_of, counts, np.array(areas))
            cases = [image.case for image in images]
            found.append(
                Outside(
                    name,
                    classes,
                    images=len(images),
                    cases=len(set(cases)),
                    threshold=threshold,
                    rate=rate(np.arange(len(images))),
                    interval=bootstrap_by_patient(rate, cases),
                    crowded=float((counts >= FIVE).mean()),
                )
            )
    return found


def rate_of(counts: NDArray[np.float64], areas: NDArray[np.float64], rows: NDArray[np.intp]) -> float:
    """Detections per 0.1 mm2 of some images."""
    return float(counts[rows].sum() / areas[rows].sum() * DISC_UM2)


def labelled(image: GradedImage) -> LabelledImage:
    """Turn a graded image into one without cells."""
    none = np.empty(0)
    labels = np.empty(0, "<U1")
    return LabelledImage(
        image.set_name, image.name, image.case, image.path, image.mpp, x=none, y=none, labels=labels
    )


def outside_table(outside: list[Outside]) -> str:
    """Markdown table of other collections."""
    rows = [
        "",
        "| other collections | images, patients | threshold | false detections per 0.1 mm2 "
        "| images with 5 or more |",
        "|---|---|---|---|---|",
    ]
    for one in outside:
        interval = one.interval
        between = "" if interval is None else f" ({interval.low:.2f}-{interval.high:.2f})"
        rows.append(
            f"| {one.set_name}: {', '.join(one.classes)} | {one.images}, {one.cases} | {one.threshold:.3f} "
            f"| {one.rate:.2f}{between} | {one.crowded:.1%} |"
        )
    return "\n".join(rows) + "\n"


def outside_metric(one: Outside) -> dict[str, object]:
    """Return a figure as a card holds it."""
    return {
        "set": one.set_name,
        "part": ", ".join(one.classes),
        "name": f"false detections per 0.1 mm2 above {one.threshold:.3f}",
        "value": round(one.rate, 4),
        "low": None if one.interval is None else round(one.interval.low, 4),
        "high": None if one.interval is None else round(one.interval.high, 4),
        "n": one.images,
        "script": SCRIPT,
    }


def table(part: str, accuracy: SignetAccuracy) -> str:
    """Markdown table of one part."""
    rows = [
        f"**{part}**: {accuracy.cells} marked cells in {accuracy.crops_with} crops of "
        f"{accuracy.patients_with} patients; {accuracy.crops_without} crops without cells of "
        f"{accuracy.patients_without} patients.",
        "",
        "| false detections per crop without cells | recall (95 % by patient) | threshold |",
        "|---|---|---|",
    ]
    rows += [
        f"| {point.false_per_crop:g} | {point.recall:.3f}{spread(point)} | {point.threshold:.3f} |"
        for point in accuracy.curve
    ]
    working = accuracy.working
    if working is not None:
        interval = working.false_interval
        between = "" if interval is None else f" ({interval.low:.2f}-{interval.high:.2f})"
        rows.append(
            f"| {working.false_per_crop:.2f}{between} | **{working.recall:.3f}**{spread(working)} "
            f"| {working.threshold:.3f}, its own |"
        )
        rows += [
            "",
            f"At its own threshold: {accuracy.found_per_cell:.2f} detections per marked cell in crops with "
            f"cells; nothing found in {accuracy.clean_share:.0%} of the crops without.",
        ]
    return "\n".join(rows) + "\n"


def spread(point: FrocPoint) -> str:
    """Interval of a recall."""
    interval = point.recall_interval
    return "" if interval is None else f" ({interval.low:.3f}-{interval.high:.3f})"


def metrics(part: str, accuracy: SignetAccuracy) -> list[dict[str, object]]:
    """Return the figures as a card holds them."""
    at_goal = next(point for point in accuracy.curve if point.false_per_crop == GOAL)
    assert accuracy.working is not None
    recall, working = at_goal.recall_interval, accuracy.working
    crops = f"crop of 128 x 128 um (95 % by patient: {accuracy.patients_with} with cells)"
    figures = [
        (f"recall at {GOAL:g} false detections per {crops}", at_goal.recall, recall, accuracy.cells),
        ("recall at the card's threshold", working.recall, working.recall_interval, accuracy.cells),
        (
            f"false detections per {crops.split(' (')[0]} at the card's threshold",
            working.false_per_crop,
            working.false_interval,
            accuracy.crops_without,
        ),
    ]
    return [
        {
            "set": SET,
            "part": part,
            "name": name,
            "value": round(value, 4),
            "low": None if interval is None else round(interval.low, 4),
            "high": None if interval is None else round(interval.high, 4),
            "n": count,
            "script": SCRIPT,
        }
        for name, value, interval, count in figures
    ]


def fill(path: Path, text: str) -> None:
    """Put measured text between its markers in a page."""
    begin, end = "<!-- begin signet -->\n", "<!-- end signet -->"
    head, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(head + begin + "\n" + text + "\n" + end + rest.split(end)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
