"""Measure what budding and gland formation on resections can be told from: CRCHistoPhenotypes and GlaS.

python scripts/accuracy_tumour.py [--data FOLDER] [--nuclei NAME...] [--tissue NAME] [--docs PAGE] [--cards]

Nuclei: of the marked nuclei of the validation part of CRCHistoPhenotypes, which are taken for epithelium.

False buds: nobody has marked buds in the images at hand. But a candidate inside a gland that a pathologist
drew is none, and in benign mucosa and in tissue without glands no candidate is one. Candidates are kept
wherever they lie, near a gland that is called carcinoma or not. Rates are per mm2 of tissue clear of the
glands found. Candidates and area within the linking distance of an image's border are left out. The rate to
expect adds what malignant images show in drawn glands (glands that the network misses) to what images without
tumour show beside glands (other cells taken for epithelium).

Gland formation: the share of tumour epithelium near a lumen against the grade of malignant GlaS images, by
patient, once with the glands that the network finds and once with those drawn. It should fall with the grade.

--cards writes the rate to expect, and the share of nuclei found, into the detectors' cards, where the
workflow reads them. --docs puts the text between `<!-- begin tumour -->` and `<!-- end tumour -->` of a page.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from tumour_scenes import BENIGN, GRADES, Scene, formation_table, labelled, look

from slidelab.models import CellTable, LabelledImage, read_collection, split_images
from slidelab.models.card import ModelCard
from slidelab.models.labelled.colorectal import read_colorectal
from slidelab.models.loading import load_detector
from slidelab.models.star_detector import StarDetector
from slidelab.models.tissue_classifier import load_tissue_classifier
from slidelab.quantify import Interval, bootstrap_by_patient, colorectal_cutoffs, match_points
from slidelab.workflows.colorectal.glands import find_glands
from slidelab.workflows.colorectal.tumour_buds import CLEAR_UM, LINK_UM, find_buds
from slidelab.workflows.colorectal.tumour_nuclei import (
    FALSE_BUDS,
    FOUND_NUCLEI,
    LIKELY,
    SURE,
    SURE_UM2,
    tumour_nuclei,
)
from slidelab.workflows.learning.detector_accuracy import Comparison, compare, detect_whole
from slidelab.workflows.learning.detector_card import attach_metrics

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = "scripts/accuracy_tumour.py"
WEIGHTS = REPOSITORY / "models" / "weights"
NUCLEI = ("nuclei-fast.he-research", "nuclei-fast.he-open")
TISSUE = "colorectal-lite.ebhi-open"
BEGIN, END = "<!-- begin tumour -->", "<!-- end tumour -->"
MARKED = ("Epithelial", "Inflammatory", "Stromal", "Other")
RADIUS_UM = 4.0
MALIGNANT = "malignant"
GROUPS = {
    **dict.fromkeys(BENIGN, "benign"),
    **dict.fromkeys(GRADES, MALIGNANT),
    **dict.fromkeys(("ADI", "DEB", "LYM", "MUS", "STR"), "without glands"),
}
"""Kinds of images by their label."""

RULES = ((0.5, 0.0), (0.5, SURE_UM2), (0.7, SURE_UM2), (0.8, SURE_UM2), (SURE, SURE_UM2))
"""Least probability and area, um2, of the nucleus that makes a group a candidate; the last is in use."""

Rule = tuple[float, float]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--nuclei", nargs="+", default=list(NUCLEI))
    parser.add_argument("--tissue", default=TISSUE)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--cards", action="store_true", help="write the false buds into the detectors' cards")
    arguments = parser.parse_args()
    tissue = load_tissue_classifier(WEIGHTS / f"{arguments.tissue}.json", device="cpu")
    validation = split_images(read_collection(arguments.data, "crchistophenotypes"))["validation"]
    scenes = [
        look(image, tissue)
        for image in read_colorectal(arguments.data, ["glas", "crc-val-he-7k"])
        if image.mask is not None or image.glandless
    ]
    parts = []
    for name in arguments.nuclei:
        detector = load_detector((WEIGHTS / f"{name}.json", WEIGHTS / f"{name}.safetensors"), device="cpu")
        compared = [compare(whole(detector, image), image) for image in validation]
        cells = [whole(detector, labelled(scene.image)) for scene in scenes]
        kinds, rates = measured(compared, scenes, cells, rule=RULES[-1])
        parts += [nuclei_table(name, kinds), buds_table(name, rates)]
        parts.append(rules_table(name, [measured(compared, scenes, cells, rule=rule) for rule in RULES]))
        if arguments.cards:
            write_card(name, arguments.tissue, rates, kinds)
    parts.append(formation_table(scenes))
    text = "\n".join(parts)
    print(text)
    if arguments.docs:
        head, rest = arguments.docs.read_text(encoding="utf-8").split(BEGIN)
        tail = rest.split(END)[1]
        arguments.docs.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}", encoding="utf-8")


def measured(
    compared: Sequence[Comparison], scenes: Sequence[Scene], cells: Sequence[CellTable], *, rule: Rule
) -> tuple[list[Kinds], list[Rate]]:
    """Return what marked nuclei are taken for, and the candidates of each image, under a rule."""
    kinds = [kinds_of(one, rule) for one in compared]
    return kinds, [candidates(scene, found, rule) for scene, found in zip(scenes, cells, strict=True)]


def rules_table(name: str, results: Sequence[tuple[list[Kinds], list[Rate]]]) -> str:
    """Say what stricter and looser rules would find and mistake."""
    field = colorectal_cutoffs().budding.field_mm2
    text = [
        f"Rules for the nucleus that makes a group a candidate, {name} (the last is in use):",
        "",
        "| probability | area, µm² | tumour nuclei found | false candidates to expect per field |",
        "|---|---|---|---|",
    ]
    for (sure, least), (kinds, rates) in zip(RULES, results, strict=True):
        share = percent(share_of_kind(kinds, "Epithelial", "sure"), [each.case for each in kinds])
        text.append(f"| {sure:g} | {least:g} | {share} | {spread(expected(rates), rates, field)} |")
    return "\n".join(text) + "\n"


def spread(statistic: Callable[[NDArray[np.intp]], float | None], rates: Sequence[Rate], field: float) -> str:
    """Return a rate of all images per field, with its interval by patient."""
    value = statistic(np.arange(len(rates)))
    if value is None:
        return "-"
    return between(value, bootstrap_by_patient(statistic, [rate.case for rate in rates]), field)


@dataclass(frozen=True)
class Kinds:
    """Marked nuclei of one image, by what they were taken for."""

    case: str
    marked: NDArray[np.str_]
    """(M,) what the pathologist called each."""
    likely: Mask
    """(M,) whether it was found and called epithelial."""
    sure: Mask
    """(M,) whether a candidate could rest on it."""


def kinds_of(compared: Comparison, rule: Rule) -> Kinds:
    """Match the nuclei found in an image with those marked."""
    matches = match_points(compared.found, compared.marked, radius_um=RADIUS_UM)
    likely, sure = np.zeros((2, len(compared.marked)), bool)
    kept = compared.cells.select(matches.detected)
    told = kept.measurements["epithelial_probability"] >= np.float32(LIKELY)
    likely[matches.annotated] = told
    sure[matches.annotated[told]] = tumour_nuclei(kept, sure=rule[0], least_um2=rule[1]).sure
    return Kinds(compared.image.case, compared.labels, likely, sure)


def whole(detector: StarDetector, image: LabelledImage) -> CellTable:
    """Return the nuclei of an image, px of it."""
    stride = detector.session.network.settings.stride
    return detect_whole(detector.detect, image, mpp=detector.mpp, stride=stride)


def nuclei_table(name: str, found: Sequence[Kinds]) -> str:
    """Say how many marked nuclei of each kind are taken for epithelium."""
    rows = [
        f"Nuclei of {name}, CRCHistoPhenotypes, {len(found)} validation images:",
        "",
        "| marked as | nuclei | taken for epithelium (95 % by image) | surely, and large |",
        "|---|---|---|---|",
    ]
    cases = [each.case for each in found]
    for kind in MARKED:
        total = sum(int((each.marked == kind).sum()) for each in found)
        told = [percent(share_of_kind(found, kind, column), cases) for column in ("likely", "sure")]
        rows.append(f"| {kind} | {total} | {told[0]} | {told[1]} |")
    return "\n".join(rows) + "\n"


def share_of_kind(
    found: Sequence[Kinds], kind: str, column: str
) -> Callable[[NDArray[np.intp]], float | None]:
    """Return a statistic: the share of the nuclei of a kind that a column names, by rows."""

    def statistic(rows: NDArray[np.intp]) -> float | None:
        chosen = [found[row] for row in rows]
        count = sum(int((each.marked == kind).sum()) for each in chosen)
        hits = sum(int(getattr(each, column)[each.marked == kind].sum()) for each in chosen)
        return hits / count if count else None

    return statistic


def percent(statistic: Callable[[NDArray[np.intp]], float | None], cases: Sequence[str]) -> str:
    """Return a share of all images in percent, with its interval."""
    value = statistic(np.arange(len(cases)))
    if value is None:
        return "-"
    interval = bootstrap_by_patient(statistic, cases)
    between = "" if interval is None else f" ({100 * interval.low:.1f}-{100 * interval.high:.1f})"
    return f"{100 * value:.1f} %{between}"


@dataclass(frozen=True)
class Rate:
    """Candidates of one image."""

    group: str
    case: str
    in_glands: int
    """In glands as drawn: certainly false."""
    beside: int
    """Elsewhere: false too, unless the image is malignant."""
    clusters: int
    """Larger groups."""
    mm2: float
    """Tissue clear of the glands found."""


def candidates(scene: Scene, cells: CellTable, rule: Rule) -> Rate:
    """Count the candidate buds of an image, away from its border."""
    nuclei, image = tumour_nuclei(cells, sure=rule[0], least_um2=rule[1]), scene.image
    maps = replace(scene.maps, nuclei=nuclei)
    shape, um = maps.glands.shape, maps.mpp
    glands = find_glands(maps, threshold=scene.threshold, fragments=np.ones(shape, np.int32))
    found = find_buds(glands, maps, tissue=np.ones(shape, bool), everywhere=True)
    margin = int(np.ceil(LINK_UM / um))
    rows, columns = scene.pale.shape
    inner = np.zeros(shape, bool)
    inner[margin : rows - margin, margin : columns - margin] = True
    row, column = (
        (values / maps.downsample).astype(int).clip(0, size - 1)
        for values, size in zip((found.y, found.x), shape, strict=True)
    )
    kept = inner[row, column]
    y, x = (
        values.astype(int).clip(0, size - 1)
        for values, size in zip((found.y, found.x), scene.drawn.shape, strict=True)
    )
    in_glands = scene.drawn[y, x]
    inner[:rows, :columns] &= ~scene.pale
    clear = distance_from(glands.labels > 0) * um > CLEAR_UM
    return Rate(
        GROUPS.get(image.detail, image.detail),
        image.case,
        in_glands=int((kept & found.is_bud & in_glands).sum()),
        beside=int((kept & found.is_bud & ~in_glands).sum()),
        clusters=int((kept & ~found.is_bud).sum()),
        mm2=int((inner & clear).sum()) * (um / 1000) ** 2,
    )


def distance_from(mask: Mask) -> Floats:
    """Distance of each cell from a mask, cells; infinite where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return np.asarray(distance_transform_edt(~mask))


def rate_of(rates: Sequence[Rate], *columns: str) -> Callable[[NDArray[np.intp]], float | None]:
    """Return a statistic: candidates of some columns per mm2, by rows."""

    def statistic(rows: NDArray[np.intp]) -> float | None:
        area = sum(rates[row].mm2 for row in rows)
        hits = sum(getattr(rates[row], column) for row in rows for column in columns)
        return hits / area if area else None

    return statistic


def buds_table(name: str, rates: Sequence[Rate]) -> str:
    """Say how many candidates there are per field that is all stroma, by kind of image."""
    field = colorectal_cutoffs().budding.field_mm2
    text = [
        f"Candidate buds with {name}, per {field:.3f} mm² of tissue clear of the glands found "
        "(95 % by patient):",
        "",
        "| images | number, patients | tissue, mm² | in drawn glands, false | elsewhere | larger clusters |",
        "|---|---|---|---|---|---|",
    ]
    for group in dict.fromkeys(rate.group for rate in rates):
        own = [rate for rate in rates if rate.group == group]
        told = [spread(rate_of(own, column), own, field) for column in ("in_glands", "beside", "clusters")]
        note = "" if group == MALIGNANT else ", false"
        told[1] += note
        area = sum(rate.mm2 for rate in own)
        text.append(
            f"| {group} | {len(own)}, {len({rate.case for rate in own})} | {area:.2f} | {' | '.join(told)} |"
        )
    return "\n".join(text) + "\n"


def between(value: float, interval: Interval | None, factor: float) -> str:
    """Return a rate with its interval."""
    spread = "" if interval is None else f" ({factor * interval.low:.1f}-{factor * interval.high:.1f})"
    return f"{factor * value:.1f}{spread}"


def expected(rates: Sequence[Rate]) -> Callable[[NDArray[np.intp]], float | None]:
    """Return a statistic: false candidates per mm2 to expect on a carcinoma, by rows."""
    own, other = (
        np.array([(rate.group == MALIGNANT) is wanted for rate in rates]) for wanted in (True, False)
    )

    def statistic(rows: NDArray[np.intp]) -> float | None:
        missed = rate_of(rates, "in_glands")(rows[own[rows]])
        mistaken = rate_of(rates, "beside")(rows[other[rows]])
        return None if missed is None or mistaken is None else missed + mistaken

    return statistic


def write_card(name: str, tissue: str, rates: Sequence[Rate], kinds: Sequence[Kinds]) -> None:
    """Put the false buds to expect and the nuclei found into a detector's card."""
    path, false = WEIGHTS / f"{name}.json", f"{FALSE_BUDS}, with {tissue}"
    told = [
        metric(false, expected(rates), [rate.case for rate in rates], about=("glas, crc-val-he-7k", "all")),
        metric(
            FOUND_NUCLEI,
            share_of_kind(kinds, "Epithelial", "sure"),
            [each.case for each in kinds],
            about=("crchistophenotypes", "validation"),
        ),
    ]
    kept = [
        row
        for row in ModelCard.read(path).model_dump()["metrics"]
        if row["name"] not in (false, FOUND_NUCLEI)
    ]
    attach_metrics(path, [*kept, *told])


def metric(
    name: str,
    statistic: Callable[[NDArray[np.intp]], float | None],
    cases: Sequence[str],
    *,
    about: tuple[str, str],
) -> dict[str, object]:
    """Return a figure as a card holds it; ``about`` is the set and its part."""
    value, interval = statistic(np.arange(len(cases))), bootstrap_by_patient(statistic, cases)
    assert value is not None
    return {
        "set": about[0],
        "part": about[1],
        "name": name,
        "value": round(value, 4),
        "low": None if interval is None else round(interval.low, 4),
        "high": None if interval is None else round(interval.high, 4),
        "n": len(cases),
        "script": SCRIPT,
    }


if __name__ == "__main__":
    main()
