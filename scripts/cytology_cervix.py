"""Figures of the cervical classifier of the road: classes, lesions, shortcuts, other cameras.

For scripts/accuracy_cytology.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from cytology_readings import Reading, indices, read
from cytology_tables import Row, confusion, number, table
from numpy.typing import NDArray

from slidelab.models.cell_classes import CERVICAL_LESIONS, SQUAMOUS_ORDER
from slidelab.models.cell_classifier import CellClassifier
from slidelab.models.labelled.cytology_sets import read_cells
from slidelab.models.training.cells.colours import vary_camera, vary_colours
from slidelab.quantify import calibration_error
from slidelab.workflows.learning.cell_accuracy import (
    CellFigure,
    crops_of_cells,
    group_area,
    macro_f1,
    order_kappa,
    share_right,
)

CDETECTOR = "cdetector-11class"
ERASED_UM = (15.0, 40.0)
"""Radii of the discs that hide a cell, and most of a group, in the check for shortcuts."""
RIM_UM = 4.0
"""Width of the rim that is left in the other check."""
RIDGE = 10.0
"""Penalty of the linear classifier that sees colours of the surroundings alone."""


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
    rim = rim_mask(side, RIM_UM / mpp)
    checks = [(f"disc of {radius:g} um hidden", disc_mask(side, radius / mpp)) for radius in ERASED_UM]
    rows: list[Row] = []
    for title, hidden in (*checks, (f"only a rim of {RIM_UM:g} um", ~rim)):
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
