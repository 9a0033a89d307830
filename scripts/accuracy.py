"""Measure Ki-67 on labelled images and phantoms, through the whole road, and write docs/accuracy.md.

Run by `make figures`, or:  python scripts/accuracy.py [--data FOLDER] [--out docs/accuracy.md]

Every image is scored by the same call that users make (file -> tissue -> tiles -> cells -> report); only
afterwards are the experts' marks opened. Cases are divided by a fixed rule into a tuning and a validation
part; settings were looked at on the tuning part only, and both parts are printed.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slidelab.models import KI67_SETS, LabelledImage, read_labelled
from slidelab.quantify import bland_altman, concordance, match_points, mean_absolute_error
from slidelab.workflows import Ki67, RunOptions, find_slides, run_cohort
from slidelab.workflows.cell_file import read_cells
from slidelab.wsi import PhantomSettings, write_phantom

REPOSITORY = Path(__file__).resolve().parents[1]
RADIUS_UM = 4.0
DRAWS = 2000
TRUTHS = (2.0, 10.0, 24.0, 50.0, 85.0)


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
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "accuracy.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tables = [measure_sets(arguments.data / "ihc", scratch)]
        tables.append(measure_pair(arguments.data / "slides", scratch))
        tables.append(measure_phantoms(scratch))
    text = arguments.out.read_text(encoding="utf-8")
    begin, end = "<!-- begin measured -->\n", "<!-- end measured -->"
    head, rest = text.split(begin)
    text = head + begin + "\n" + "\n".join(tables) + "\n" + end + rest.split(end)[1]
    arguments.out.write_text(text, encoding="utf-8")
    print(text)


def run(paths: list[tuple[Path, float | None, str]], out: Path) -> None:
    """Score files through the road, as a user with a CSV list would."""
    listing = out.with_suffix(".csv")
    with listing.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "mpp", "id"])
        writer.writerows([str(path), mpp or "", name] for path, mpp, name in paths)
    run_cohort(Ki67(), find_slides([listing]), options=RunOptions(out))


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


def measure_sets(folder: Path, scratch: Path) -> str:
    """Score all labelled sets; returns their table."""
    rows = [
        "### Labelled Ki-67 images",
        "",
        f"Matched one to one within {RADIUS_UM:g} um (Hungarian); 95 % intervals: bootstrap over cases.",
        "",
        "| set | part | cases | images | marked nuclei | precision | recall | F1 | class agreement "
        "| index MAE, points | bias and limits of agreement | CCC |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    everything: dict[str, Part] = {"validation": Part(), "tuning": Part()}
    for set_name in KI67_SETS:
        images = read_labelled(folder, set_name)
        out = scratch / set_name
        run([(image.path, image.mpp, name_of(image)) for image in images], out)
        parts = {"validation": Part(), "tuning": Part()}
        for image in images:
            for part in (parts[image.part], everything[image.part]):
                add(part, image, out)
        rows += [row(set_name, name, part) for name, part in parts.items()]
    rows += [row("all sets", name, part) for name, part in everything.items()]
    return "\n".join(rows) + "\n"


def name_of(image: LabelledImage) -> str:
    """Id of an image in its run."""
    return f"{image.case}--{image.name}"


def add(part: Part, image: LabelledImage, out: Path) -> None:
    """Compare one image's cells with its marks, inside its marked region."""
    x, y, positive = load(out, name_of(image))
    inside = image.inside(x, y)
    x, y, positive = x[inside], y[inside], positive[inside]
    marked = image.inside(image.x, image.y)
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


def row(set_name: str, name: str, part: Part) -> str:
    """One line of the table."""
    if not part.cases:
        return f"| {set_name} | {name} | 0 | 0 | | | | | | | | |"
    hits, detected, marked = (np.array(values) for values in (part.true_positive, part.detected, part.marked))

    def f1(chosen: np.ndarray) -> float:
        total = detected[chosen].sum() + marked[chosen].sum()
        return float(2 * hits[chosen].sum() / total) if total else np.nan

    low, high = bootstrap(part.cases, f1)
    agreement = part.same_class / max(1, hits.sum())
    error = mean_absolute_error(part.truth, part.index)
    limits = bland_altman(part.truth, part.index)
    ccc = concordance(part.truth, part.index)
    spread = "" if limits is None else f"{limits.bias:+.1f} ({limits.low:+.1f} to {limits.high:+.1f})"
    return (
        f"| {set_name} | {name} | {len(set(part.cases))} | {len(part.cases)} | {marked.sum()} "
        f"| {hits.sum() / detected.sum():.3f} | {hits.sum() / marked.sum():.3f} "
        f"| **{f1(np.arange(len(hits))):.3f}** ({low:.3f}-{high:.3f}) | {agreement:.3f} "
        f"| **{error:.1f}** | {spread} | {'' if ccc is None else f'{ccc:.3f}'} |"
    )


def bootstrap(cases: list[str], statistic) -> tuple[float, float]:  # noqa: ANN001
    """95 % interval of a statistic of image numbers, drawing whole cases."""
    random = np.random.default_rng(2026)
    names = sorted(set(cases))
    members = {name: np.flatnonzero(np.array(cases) == name) for name in names}
    values = []
    for _ in range(DRAWS):
        drawn = random.integers(len(names), size=len(names))
        values.append(statistic(np.concatenate([members[names[number]] for number in drawn])))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def measure_pair(folder: Path, scratch: Path) -> str:
    """Score one tissue field from two scanners."""
    names = ("OS-2-ndpi", "OS-2-vsi")
    run([(folder / f"{name}.ome.tif", None, name) for name in names], scratch / "pair")
    rows = ["### One field, two scanners", "", "| scan | nuclei | Ki-67 index |", "|---|---|---|"]
    index = []
    for name in names:
        _, _, positive = load(scratch / "pair", name)
        index.append(100 * positive.mean())
        rows.append(f"| {name} | {len(positive)} | {index[-1]:.1f} % |")
    rows += ["", f"Difference: **{abs(index[0] - index[1]):.1f} points**. Nothing was tuned to it."]
    return "\n".join(rows) + "\n"


def measure_phantoms(scratch: Path) -> str:
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
            run([(path, None, name)], scratch / name)
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
