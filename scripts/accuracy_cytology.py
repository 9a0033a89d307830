"""Measure the cell classifiers of cervical smears and blood on cells that they have not learnt from.

python scripts/accuracy_cytology.py MODELS [--data FOLDER] [--only NAME] [--docs FILE] [--json FILE] [--cards]

MODELS is the ``--out`` folder of `slidelab train cells`, or models/weights. Only the validation part of the
labelled cells is read, except where a line says otherwise. --cards writes the figures into the cards.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from cytology_cervix import cervix
from cytology_readings import indices, read
from cytology_tables import (
    Row,
    confusion,
    describe,
    figure_table,
    metric,
    named_rows,
    number,
    plain_row,
    table,
    write_between,
)

from slidelab.models.cell_classes import HERLEV_CLASSES, WBC_CLASSES
from slidelab.models.cell_classifier import CellClassifier, load_cell_classifier
from slidelab.models.labelled.cytology_scale import SCALED_SIDE, lightness, original_side
from slidelab.models.labelled.cytology_sets import read_cells
from slidelab.quantify import confusion_table
from slidelab.workflows.learning.cell_accuracy import (
    group_area,
    macro_f1,
    order_kappa,
    share_right,
)
from slidelab.workflows.learning.detector_card import attach_metrics

REPOSITORY = Path(__file__).resolve().parents[1]
CERVIX, HERLEV = "cervix-lite.cytology-research", "cervix-lite.herlev-research"
WBC, RBC = "wbc-lite.zheng-research", "rbc-lite.chula-research"


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


if __name__ == "__main__":
    main()
