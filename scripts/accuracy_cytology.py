"""Measure the cell classifiers of cervical smears and blood on cells that they have not learnt from.

python scripts/accuracy_cytology.py MODELS [--data FOLDER] [--only NAME] [--docs FILE] [--json FILE] [--cards]

MODELS is the ``--out`` folder of `slidelab train cells`, or models/weights. Only the validation part of the
labelled cells is read, except where a line says otherwise. --cards writes the figures into the cards.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slidelab.models.cell_classes import CERVICAL_LESIONS, HERLEV_CLASSES, SQUAMOUS_ORDER, WBC_CLASSES
from slidelab.models.cell_classifier import CellClassifier, calibrated, load_cell_classifier
from slidelab.models.labelled.cytology_cells import LabelledCell
from slidelab.models.labelled.cytology_scale import SCALED_SIDE, lightness, original_side
from slidelab.models.labelled.cytology_sets import read_cells
from slidelab.models.training.cells.colours import vary_camera, vary_colours
from slidelab.quantify import calibration_error, confusion_table
from slidelab.workflows.learning.cell_accuracy import (
    CellFigure,
    crops_of_cells,
    group_area,
    macro_f1,
    order_kappa,
    share_right,
)
from slidelab.workflows.learning.detector_card import attach_metrics

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = "scripts/accuracy_cytology.py"
CERVIX, HERLEV = "cervix-lite.cytology-research", "cervix-lite.herlev-research"
WBC, RBC = "wbc-lite.zheng-research", "rbc-lite.chula-research"
CDETECTOR = "cdetector-11class"
ERASED_UM = 15.0
"""Radius of the disc that hides a cell in the check for shortcuts."""
RIM_UM = 4.0
"""Width of the rim that is left in the other check."""
RIDGE = 10.0
"""Penalty of the linear classifier that sees colours of the surroundings alone."""


@dataclass
class Reading:
    """Cells and what a network says of them."""

    cells: list[LabelledCell]
    crops: NDArray[np.uint8]
    logits: NDArray[np.float32]
    classifier: CellClassifier

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Under the card's temperature: (N, K)."""
        return calibrated(self.logits, self.classifier.thresholds.temperature)

    @property
    def labels(self) -> NDArray[np.str_]:
        """What experts said: (N,)."""
        return np.array([one.label for one in self.cells])

    @property
    def cases(self) -> list[str]:
        """Photograph, field or picture of each cell."""
        return [one.case for one in self.cells]

    def only(self, kept: NDArray[np.bool_]) -> Reading:
        """Return some of the cells."""
        cells = [one for one, is_kept in zip(self.cells, kept, strict=True) if is_kept]
        return replace(self, cells=cells, crops=self.crops[kept], logits=self.logits[kept])

    def of_set(self, name: str) -> Reading:
        """Return the cells of a collection."""
        return self.only(np.array([one.set_name == name for one in self.cells], bool))

    def again(self, crops: NDArray[np.uint8]) -> Reading:
        """Return what the network says of changed crops."""
        return replace(self, crops=crops, logits=self.classifier.logits(crops))


Row = tuple[str, str, CellFigure, float | None]
"""Data, figure's name, figure, and what was wanted."""


def main() -> None:
    """Measure and write."""
    arguments = parse()
    parts, rows, by_model = [], [], {}
    for name, measure in ((CERVIX, cervix), (HERLEV, herlev), (WBC, white_cells), (RBC, red_cells)):
        card = arguments.models / f"{name}.json"
        if not card.exists() or (arguments.only and name not in arguments.only):
            continue
        classifier = load_cell_classifier(card, device="cpu", threads=arguments.threads)
        found, tables = measure(classifier, arguments.data)
        by_model[name] = found
        rows += [(name, *row) for row in found]
        parts += [f"## `{name}`", describe(classifier), figure_table(found), *tables]
        if arguments.cards:
            attach_metrics(card, [metric(row) for row in found if row[2].value is not None])
    parts += ["## Herlev's scale", scale_table(arguments.data)]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if arguments.json:
        plain = {name: [plain_row(row) for row in found] for name, found in by_model.items()}
        arguments.json.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    if arguments.docs:
        write_between(arguments.docs, text)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("models", type=Path)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--only", action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cards", action="store_true")
    return parser.parse_args()


def read(classifier: CellClassifier, data: Path, sets: Sequence[str], part: str = "validation") -> Reading:
    """Let a network look at the cells of a part."""
    cells = [one for one in read_cells(data, sets) if one.part == part]
    crops = crops_of_cells(classifier, cells)
    return Reading(cells, crops, classifier.logits(crops), classifier)


def cervix(classifier: CellClassifier, data: Path) -> tuple[list[Row], list[str]]:
    """Measure the classifier of the road."""
    everything = read(classifier, data, [CDETECTOR, "herlev-200", "cric-fields", "lbc-circled-fields"])
    crops = everything.of_set(CDETECTOR)
    named = everything.only(
        np.array([not one.assumed and one.label in classifier.classes for one in everything.cells])
    )
    turned = replace(crops, logits=classifier.logits(crops.crops, views=8))
    views = [
        (data, f"{name}, eight views averaged", figure, None)
        for data, name, figure, _ in eleven_classes(turned)
    ]
    rows = [*eleven_classes(crops), *views[:1], *lesion_rows(everything), *reject_rows(named)]
    rows += shortcut_rows(named, training_crops(classifier, data))
    tables = [
        "**cdetector, validation: experts (rows), network (columns)**",
        confusion(crops, classifier.classes),
        "**Herlev and CRIC, validation**",
        confusion(
            named.only(np.array([one.set_name != CDETECTOR for one in named.cells])), classifier.classes
        ),
        "**What other cameras do** (cdetector and the lesion against normal cells of all sets)",
        robustness(crops, named),
    ]
    return rows, tables


def eleven_classes(reading: Reading) -> list[Row]:
    """Return the figures of the comparison detector's crops."""
    classes = reading.classifier.classes
    eleven = [number for number, name in enumerate(classes) if name != "NILM"]
    truth = indices(reading.labels, classes)
    among = np.array(eleven)[reading.logits[:, eleven].argmax(1)]
    free = reading.logits.argmax(1)
    order = [classes.index(name) for name in SQUAMOUS_ORDER]
    return [
        (CDETECTOR, "macro F1, eleven classes", macro_f1(truth, among, reading.cases), 0.68),
        (CDETECTOR, "macro F1, NILM allowed as well", macro_f1(truth, free, reading.cases), None),
        (CDETECTOR, "accuracy, eleven classes", share_right(truth, among), None),
        (
            CDETECTOR,
            "quadratic kappa over the squamous order",
            order_kappa(truth, among, reading.cases, order=order),
            None,
        ),
    ]


def lesion_rows(everything: Reading) -> list[Row]:
    """Return how well lesions are told from what is none, over all sets and within each."""
    rows: list[Row] = []
    known = np.array([not one.assumed for one in everything.cells])
    normal = everything.labels == "NILM"
    lesion = np.isin(everything.labels, [*CERVICAL_LESIONS, "abnormal"])
    sets = np.array([one.set_name for one in everything.cells])
    for name, what, kept in (
        ("all", "AUC, lesion against normal", known & (lesion | normal) & (sets != "lbc-circled-fields")),
        ("herlev-200", "AUC, lesion against normal, within the set", sets == "herlev-200"),
        ("cric-fields", "AUC, lesion against normal, within the set", sets == "cric-fields"),
        (CDETECTOR, "AUC, lesion against organisms, within the set", sets == CDETECTOR),
        (
            "lbc-circled-fields",
            "AUC, circled against assumed normal, within the set",
            sets == "lbc-circled-fields",
        ),
    ):
        wanted = 0.95 if name in ("all", "herlev-200") else None
        rows.append((name, what, lesion_area(everything.only(kept)), wanted))
    inside = everything.of_set("herlev-200")
    truth = inside.labels != "NILM"
    rows.append(
        (
            "herlev-200",
            "accuracy, normal against abnormal",
            share_right(truth, lesion_score(inside) >= 0.5),
            0.93,
        )
    )
    return rows


def lesion_score(reading: Reading) -> NDArray[np.float32]:
    """Return the probability of any lesion: (N,)."""
    columns = [reading.classifier.classes.index(name) for name in CERVICAL_LESIONS]
    return reading.probabilities[:, columns].sum(1)


def lesion_area(reading: Reading) -> CellFigure:
    """Return the area under the ROC curve of the probability of a lesion."""
    columns = [reading.classifier.classes.index(name) for name in CERVICAL_LESIONS]
    ill = np.isin(reading.labels, [*CERVICAL_LESIONS, "abnormal"])
    return group_area(reading.probabilities, ill, group=columns)


def reject_rows(named: Reading) -> list[Row]:
    """Return what the reject rule does, and how well probabilities are calibrated."""
    chances = named.probabilities
    truth, called = indices(named.labels, named.classifier.classes), chances.argmax(1)
    unknown = named.classifier.unknown(chances)
    error = calibration_error(chances.max(1).clip(0, 1), called == truth).expected
    return [
        ("all", "expected calibration error", CellFigure(error, None, len(truth)), None),
        ("all", "share called unknown", share_right(unknown, np.ones_like(unknown)), None),
        ("all", "accuracy, twelve classes", share_right(truth, called), None),
        ("all", "accuracy of what is not unknown", share_right(truth[~unknown], called[~unknown]), None),
    ]


def training_crops(classifier: CellClassifier, data: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return crops of training cells and which show a lesion: for the linear classifier alone."""
    cells = [
        one
        for one in read_cells(data, [CDETECTOR, "herlev-200", "cric-fields"])
        if one.part == "training" and (one.label == "NILM" or one.label in CERVICAL_LESIONS)
    ]
    return crops_of_cells(classifier, cells), np.array([one.label != "NILM" for one in cells])


def shortcut_rows(named: Reading, training: tuple[NDArray[np.uint8], NDArray[np.bool_]]) -> list[Row]:
    """Return what is left when the cell is hidden: 0.5 would be nothing."""
    kept = np.isin(named.labels, ["NILM", *CERVICAL_LESIONS])
    cells = named.only(kept)
    mpp, side = cells.classifier.mpp, cells.classifier.side
    disc, rim = disc_mask(side, ERASED_UM / mpp), rim_mask(side, RIM_UM / mpp)
    rows: list[Row] = []
    for title, hidden in ((f"disc of {ERASED_UM:g} um hidden", disc), (f"only a rim of {RIM_UM:g} um", ~rim)):
        area = lesion_area(cells.again(hide(cells.crops, hidden)))
        rows.append(("all", f"shortcut check: AUC of the network, {title}", area, None))
        inside = cells.of_set("herlev-200")
        area = lesion_area(inside.again(hide(inside.crops, hidden)))
        rows.append(("herlev-200", f"shortcut check: AUC of the network, {title}", area, None))
    weights = ridge(rim_colours(training[0], rim), training[1])
    score = linear(rim_colours(cells.crops, rim), weights)
    ill = cells.labels != "NILM"
    area = group_area(score[:, None], ill, group=[0])
    rows.append(("all", "for comparison: AUC of a linear classifier learnt on the rim's colours", area, None))
    return rows


def disc_mask(side: int, radius: float) -> NDArray[np.bool_]:
    """Return the disc in the middle of a crop."""
    place = np.arange(side) + 0.5 - side / 2
    return np.asarray(np.hypot(place[:, None], place[None]) <= radius)


def rim_mask(side: int, width: float) -> NDArray[np.bool_]:
    """Return the outermost pixels of a crop."""
    inner = np.minimum(np.arange(side), np.arange(side)[::-1])
    return np.asarray(np.minimum(inner[:, None], inner[None]) < width)


def hide(crops: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give what is hidden the median colour of what is not, crop by crop."""
    changed = crops.copy()
    for crop in changed:
        crop[hidden] = np.median(crop[~hidden], axis=0).astype(np.uint8)
    return changed


def rim_colours(crops: NDArray[np.uint8], rim: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return mean, spread and lightest level of each channel of the rim: (N, 9)."""
    pixels = crops[:, rim].astype(np.float64)
    return np.concatenate([pixels.mean(1), pixels.std(1), np.quantile(pixels, 0.95, axis=1)], 1) / 64.0


def ridge(table: NDArray[np.float64], ill: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weights of a linear classifier."""
    design = np.column_stack([table, np.ones(len(table))])
    balance = np.where(ill, 0.5 / ill.mean(), 0.5 / (1 - ill.mean()))[:, None]
    square = design.T @ (balance * design) + RIDGE * np.eye(design.shape[1])
    return np.linalg.solve(square, design.T @ (balance[:, 0] * np.where(ill, 1.0, -1.0)))


def linear(table: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return its scores."""
    return np.column_stack([table, np.ones(len(table))]) @ weights


def robustness(crops: Reading, named: Reading) -> str:
    """Return the figures under other colours and cameras."""
    lines = []
    lesions = named.only(np.isin(named.labels, ["NILM", *CERVICAL_LESIONS]))
    for title, strength, camera in (
        ("as it is", 0.0, False),
        ("other stain strengths and lamps", 1.0, False),
        ("twice as far", 2.0, False),
        ("blur, noise, JPEG", 0.0, True),
    ):
        figures = [
            eleven_classes(changed(crops, strength=strength, camera=camera))[0][2],
            lesion_area(changed(lesions, strength=strength, camera=camera)),
        ]
        lines.append([title, *(number(figure.value) for figure in figures)])
    return table(["camera", "macro F1, cdetector", "AUC, lesion against normal"], lines)


def changed(reading: Reading, *, strength: float, camera: bool) -> Reading:
    """Return what the network says of crops in other colours."""
    random = np.random.default_rng(11)
    crops = []
    for crop in reading.crops:
        other = vary_colours(crop, random, strength=strength)
        crops.append(vary_camera(other, random) if camera else other)
    return reading.again(np.stack(crops))


def herlev(classifier: CellClassifier, data: Path) -> tuple[list[Row], list[str]]:
    """Measure the classifier of Herlev's seven classes."""
    reading = read(classifier, data, ["herlev-200"])
    names = np.array([one.detail for one in reading.cells])
    truth, called = indices(names, HERLEV_CLASSES), reading.logits.argmax(1)
    abnormal = reading.probabilities[:, 3:].sum(1) >= 0.5
    order = [3, 4, 5, 6]
    rows: list[Row] = [
        ("herlev-200", "accuracy, seven classes", share_right(truth, called), 0.65),
        ("herlev-200", "macro F1, seven classes", macro_f1(truth, called, reading.cases), None),
        ("herlev-200", "accuracy, normal against abnormal", share_right(truth >= 3, abnormal), 0.93),
        (
            "herlev-200",
            "AUC, normal against abnormal",
            group_area(reading.probabilities, truth >= 3, group=order),
            None,
        ),
        (
            "herlev-200",
            "quadratic kappa over the four grades of dysplasia",
            order_kappa(truth, called, reading.cases, order=order),
            None,
        ),
    ]
    counts = confusion_table(truth.tolist(), called.tolist(), categories=list(range(len(HERLEV_CLASSES))))
    return rows, [table(["", *HERLEV_CLASSES], named_rows(HERLEV_CLASSES, counts))]


def white_cells(classifier: CellClassifier, data: Path) -> tuple[list[Row], list[str]]:
    """Measure the classifier of white cells."""
    reading = read(classifier, data, ["wbc-seg-zheng", "bccd", "krd-wbc"])
    rows: list[Row] = []
    for name in ("wbc-seg-zheng", "bccd", "krd-wbc"):
        inside = reading.of_set(name)
        truth, called = indices(inside.labels, WBC_CLASSES), inside.logits.argmax(1)
        wanted = 0.85 if name == "wbc-seg-zheng" else None
        rows.append((name, "accuracy, five parts", share_right(truth, called), wanted))
        if name == "wbc-seg-zheng":
            rows.append((name, "macro F1, five parts", macro_f1(truth, called, inside.cases), None))
    return rows, [
        "**Zheng, validation**",
        confusion(reading.of_set("wbc-seg-zheng"), WBC_CLASSES),
        "**BCCD, validation; its types are noisy**",
        confusion(reading.of_set("bccd"), WBC_CLASSES),
    ]


def red_cells(classifier: CellClassifier, data: Path) -> tuple[list[Row], list[str]]:
    """Measure the classifier of red cells."""
    reading = read(classifier, data, ["chula-rbc12"])
    truth, called = indices(reading.labels, classifier.classes), reading.logits.argmax(1)
    normal = truth == classifier.classes.index("normal")
    rows: list[Row] = [
        ("chula-rbc12", "accuracy, thirteen shapes", share_right(truth, called), None),
        ("chula-rbc12", "macro F1, thirteen shapes", macro_f1(truth, called, reading.cases), None),
        (
            "chula-rbc12",
            "AUC, any shape against normal",
            group_area(reading.probabilities, ~normal, group=range(1, len(classifier.classes))),
            None,
        ),
    ]
    return rows, [confusion(reading, classifier.classes)]


def scale_table(data: Path) -> str:
    """Return how well the side of Herlev's pictures is found again, where it is known."""
    from PIL import Image

    cells = {Path(one.name).stem: one for one in read_cells(data, ["herlev-200"])}
    lines = []
    for path in sorted((data / "cytology" / "herlev-200" / "native").glob("*.png")):
        cell = cells[path.stem.split("__")[1]]
        with Image.open(path) as native, Image.open(cell.path) as scaled:
            left, top, right, bottom = cell.box or (0, 0, SCALED_SIDE, SCALED_SIDE)
            grey = lightness(scaled)[top + 1 : bottom - 1, left + 1 : right - 1]
            mask = cell.read_mask()
            found = original_side(grey, nucleus_px=float((mask == 2).sum()) if mask is not None else 0.0)
            lines.append([max(native.size), number(found.px, 0), "trace" if found.traced else "guess"])
    return "Longer side of the pictures whose original is known, px:\n\n" + table(
        ["original", "found", "by"], sorted(lines)
    )


def indices(labels: NDArray[np.str_], classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the class of each label."""
    return np.array([list(classes).index(str(label)) for label in labels], np.intp)


def describe(classifier: CellClassifier) -> str:
    """Return a line on a model."""
    thresholds = classifier.thresholds
    return (
        f"Crops of {classifier.side} px at {classifier.mpp:g} um per px. Temperature "
        f"{thresholds.temperature:g}, unknown below {thresholds.reject_below:g}, "
        f"{thresholds.views:g} view(s). Intervals: 95 %; Wilson for shares, DeLong for areas, 2,000 draws of "
        "photographs, fields or pictures for the others."
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure as text."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(head: Sequence[object], lines: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def figure_table(rows: Sequence[Row]) -> str:
    """Return the figures of a model."""
    lines = []
    for data, name, figure, wanted in rows:
        inside = figure.interval
        reached = number(figure.value)
        if inside is not None:
            reached += f" ({number(inside.low)}-{number(inside.high)})"
        lines.append([data, name, "-" if wanted is None else wanted, reached, figure.cells])
    return table(["data", "figure", "wanted", "reached", "cells"], lines)


def confusion(reading: Reading, classes: Sequence[str]) -> str:
    """Return a confusion table of the classes that occur."""
    called = [classes[best] for best in reading.logits.argmax(1)]
    counts = confusion_table(reading.labels.tolist(), called, categories=list(classes))
    seen = counts.sum(1) > 0
    return table(
        ["", *classes], [row for row, kept in zip(named_rows(classes, counts), seen, strict=True) if kept]
    )


def named_rows(names: Sequence[str], counts: NDArray[np.int64]) -> list[list[object]]:
    """Return lines of a table with their names."""
    return [[name, *line.tolist()] for name, line in zip(names, counts, strict=True)]


def plain_row(row: Row) -> dict[str, Any]:
    """Return a figure as plain values."""
    data, name, figure, wanted = row
    inside = figure.interval
    return {
        "set": data,
        "name": name,
        "value": figure.value,
        "low": inside.low if inside else None,
        "high": inside.high if inside else None,
        "n": figure.cells,
        "wanted": wanted,
    }


def metric(row: Row) -> Mapping[str, Any]:
    """Return a figure as a model card holds it."""
    values = plain_row(row)
    del values["wanted"]
    rounded = {
        key: values[key] if values[key] is None else round(values[key], 4) for key in ("value", "low", "high")
    }
    return {**values, **rounded, "part": "validation", "script": SCRIPT}


def write_between(page: Path, text: str) -> None:
    """Put the tables between the marks of a page."""
    begin, end = "<!-- begin cytology -->", "<!-- end cytology -->"
    head, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{head}{begin}\n\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
