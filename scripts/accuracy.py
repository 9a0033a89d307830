"""Measure Ki-67 through the whole road, and the detectors on labelled images, and write docs/accuracy.md.

Run by `make figures`, or:
python scripts/accuracy.py [--only road|detectors] [--model NAME] [--data FOLDER] [--out docs/accuracy.md]

road: every image is scored by the same call that users make (file -> tissue -> tiles -> cells -> report);
only afterwards are the experts' marks opened. detectors: each detector on each labelled collection, beside
the baseline. Cases are divided once and for ever by a digest of their names; only the validation part is
measured, which nothing was ever fitted to.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slidelab.models import COLLECTIONS, KI67_SETS, LabelledImage, read_collection, split_images
from slidelab.models.loading import load_detector
from slidelab.models.registry import Registry
from slidelab.quantify import (
    bland_altman,
    bootstrap_by_patient,
    concordance,
    match_points,
    mean_absolute_error,
)
from slidelab.workflows import Ki67, RunOptions, find_slides, run_cohort
from slidelab.workflows.learning.image_detectors import BaselineOnImages, ImageDetector, NetworkOnImages
from slidelab.workflows.learning.validate_detector import validate_detector
from slidelab.workflows.slides.cell_file import read_cells
from slidelab.workflows.slides.tile_detector import choose_detector
from slidelab.wsi import PhantomSettings, write_phantom

REPOSITORY = Path(__file__).resolve().parents[1]
RADIUS_UM = 4.0
PART = "validation"
TRUTHS = (2.0, 10.0, 24.0, 50.0, 85.0)
STAINS = {"H-DAB": "Immunohistochemistry (H-DAB)", "H&E": "Hematoxylin and eosin"}


@dataclass
class Part:
    """What was counted on the images of one set and part."""

    true_positive: list[int] = field(default_factory=list)
    detected: list[int] = field(default_factory=list)
    marked: list[int] = field(default_factory=list)
    index: list[float] = field(default_factory=list)
    truth: list[float] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    same_class: int = 0


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "accuracy.md")
    parser.add_argument("--only", choices=("road", "detectors"))
    parser.add_argument("--model", default="auto", help="detector of the road: auto, or as in slidelab ki67")
    arguments = parser.parse_args()
    if arguments.only != "detectors":
        workflow = Ki67(detector=choose_detector(arguments.model, stain="H-DAB"))
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            tables = [f"Detector: `{workflow.detector.name}`, version {workflow.detector.version}.\n"]
            tables.append(measure_sets(arguments.data, scratch, workflow=workflow))
            tables.append(measure_pair(arguments.data / "slides", scratch, workflow=workflow))
            tables.append(measure_phantoms(scratch, workflow=workflow))
        fill(arguments.out, "measured", "\n".join(tables))
    if arguments.only != "road":
        fill(
            arguments.out,
            "detectors",
            "\n".join(measure_detectors(arguments.data, stain) for stain in STAINS),
        )


def fill(path: Path, marker: str, text: str) -> None:
    """Put measured text between its markers in a page."""
    begin, end = f"<!-- begin {marker} -->\n", f"<!-- end {marker} -->"
    head, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(head + begin + "\n" + text + "\n" + end + rest.split(end)[1], encoding="utf-8")
    print(text)


def measure_detectors(folder: Path, stain: str) -> str:
    """Validate the baseline and every model at hand on the collections of one stain."""
    detectors: dict[str, ImageDetector] = {BaselineOnImages.name: BaselineOnImages()}
    registry = Registry()
    for card in registry.ranked(task="cell-detection", stain=stain):
        detectors[card.name] = NetworkOnImages(load_detector(registry.find(card.name)))
    sets = [name for name, each in COLLECTIONS.items() if each.stain == stain and each.target == "nuclei"]
    report = validate_detector(detectors, data=folder, sets=sets, part=PART)
    return f"### {STAINS[stain]}\n\n{report.to_markdown()}"


def run(paths: list[tuple[Path, float | None, str]], out: Path, *, workflow: Ki67) -> None:
    """Score files through the road, as a user with a CSV list would."""
    listing = out.with_suffix(".csv")
    with listing.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "mpp", "id"])
        writer.writerows([str(path), mpp or "", name] for path, mpp, name in paths)
    run_cohort(workflow, find_slides([listing]), options=RunOptions(out))


def load(out: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y (px) and positivity of the counted cells of one image."""
    path = out / "slides" / name / "cells.parquet"
    parts = []
    for batch in read_cells(path, ["x", "y", "label", "excluded"]):
        label = np.array(batch["label"].to_pylist()) == "Positive"
        counts = np.array(batch["excluded"].to_pylist()) == ""
        parts.append(np.column_stack([batch["x"], batch["y"], label])[counts])
    table = np.concatenate(parts) if parts else np.empty((0, 3))
    return table[:, 0], table[:, 1], table[:, 2].astype(bool)


def measure_sets(folder: Path, scratch: Path, *, workflow: Ki67) -> str:
    """Score all labelled Ki-67 sets; returns their table."""
    rows = [
        "### Labelled Ki-67 images",
        "",
        f"Part: {PART}. Matched one to one within {RADIUS_UM:g} um; 95 % intervals: bootstrap over cases.",
        "",
        "| set | cases | images | marked nuclei | precision | recall | F1 | class agreement "
        "| index MAE, points | bias and limits of agreement | CCC |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    everything = Part()
    for set_name in KI67_SETS:
        images = split_images(read_collection(folder, set_name))[PART]
        out = scratch / set_name
        run([(image.path, image.mpp, name_of(image)) for image in images], out, workflow=workflow)
        part = Part()
        for image in images:
            add(part, image, out)
            add(everything, image, out)
        rows.append(row(set_name, part))
    rows.append(row("all sets", everything))
    return "\n".join(rows) + "\n"


def name_of(image: LabelledImage) -> str:
    """Id of an image in its run."""
    return f"{image.case}--{image.name}"


def add(part: Part, image: LabelledImage, out: Path) -> None:
    """Compare one image's cells with its marks of tumour, inside its marked region."""
    x, y, positive = load(out, name_of(image))
    inside = image.inside(x, y)
    x, y, positive = x[inside], y[inside], positive[inside]
    marked = image.inside(image.x, image.y) & np.isin(image.labels, ("Positive", "Negative"))
    truth = np.column_stack([image.x, image.y])[marked] * image.mpp
    matches = match_points(np.column_stack([x, y]) * image.mpp, truth, radius_um=RADIUS_UM)
    part.true_positive.append(matches.true_positives)
    part.detected.append(len(x))
    part.marked.append(len(truth))
    part.cases.append(f"{image.set_name}:{image.case}")
    part.same_class += int((positive[matches.detected] == image.positive[marked][matches.annotated]).sum())
    if len(x) and len(truth):
        part.index.append(100 * positive.mean())
        part.truth.append(100 * image.positive[marked].mean())


def row(set_name: str, part: Part) -> str:
    """One line of the table."""
    hits, detected, marked = (np.array(values) for values in (part.true_positive, part.detected, part.marked))

    def f1(chosen: np.ndarray) -> float | None:
        total = detected[chosen].sum() + marked[chosen].sum()
        return float(2 * hits[chosen].sum() / total) if total else None

    interval = bootstrap_by_patient(f1, part.cases)
    spread = "" if interval is None else f" ({interval.low:.3f}-{interval.high:.3f})"
    limits = bland_altman(part.truth, part.index)
    ccc = concordance(part.truth, part.index)
    difference = "" if limits is None else f"{limits.bias:+.1f} ({limits.low:+.1f} to {limits.high:+.1f})"
    return (
        f"| {set_name} | {len(set(part.cases))} | {len(part.cases)} | {marked.sum()} "
        f"| {hits.sum() / max(1, detected.sum()):.3f} | {hits.sum() / max(1, marked.sum()):.3f} "
        f"| **{f1(np.arange(len(hits))) or 0.0:.3f}**{spread} | {part.same_class / max(1, hits.sum()):.3f} "
        f"| **{mean_absolute_error(part.truth, part.index) or 0.0:.1f}** | {difference} "
        f"| {'' if ccc is None else f'{ccc:.3f}'} |"
    )


def measure_pair(folder: Path, scratch: Path, *, workflow: Ki67) -> str:
    """Score one tissue field from two scanners."""
    names = ("OS-2-ndpi", "OS-2-vsi")
    run([(folder / f"{name}.ome.tif", None, name) for name in names], scratch / "pair", workflow=workflow)
    rows = ["### One field, two scanners", "", "| scan | nuclei | Ki-67 index |", "|---|---|---|"]
    index = []
    for name in names:
        _, _, positive = load(scratch / "pair", name)
        index.append(100 * positive.mean())
        rows.append(f"| {name} | {len(positive)} | {index[-1]:.1f} % |")
    rows += ["", f"Difference: **{abs(index[0] - index[1]):.1f} points**. Nothing was tuned to it."]
    return "\n".join(rows) + "\n"


def measure_phantoms(scratch: Path, *, workflow: Ki67) -> str:
    """Score phantoms of known index with both scanner looks."""
    import json

    rows = [
        "### Phantoms of known truth",
        "",
        "6144 x 6144 px at 0.25 um, with artefacts; truth outside artefacts.",
        "",
        "| scanner look | painted index | measured (95 % CI) | error, points | nuclei painted | counted |",
        "|---|---|---|---|---|---|",
    ]
    for scanner in ("a", "b"):
        for number, truth in enumerate(TRUTHS):
            name = f"phantom-{scanner}-{number}"
            path = scratch / f"{name}.tiff"
            settings = PhantomSettings(
                width=6144, height=6144, truth=truth, seed=100 + number, scanner=scanner, tissue_fraction=0.5
            )
            write_phantom(path, settings, workers=2)
            run([(path, None, name)], scratch / name, workflow=workflow)
            known = json.loads((scratch / f"{name}.truth.json").read_text())
            report = json.loads((scratch / name / "slides" / name / "report.json").read_text())["scores"][0]
            interval = report["interval"]
            painted = known["truth"]["value_outside_artefacts"]
            rows.append(
                f"| {scanner} | {painted:.1f} % | {report['value']:.1f} % "
                f"({interval['low']:.1f}-{interval['high']:.1f}) | {report['value'] - painted:+.1f} "
                f"| {known['counts']['tumour_outside_artefacts']} | {report['denominator']} |"
            )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
