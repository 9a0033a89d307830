"""Measure colorectal grading on whole slides: biopsies composed of graded images, through the whole road.

python scripts/accuracy_biopsies.py --runs FOLDER [--data FOLDER] [--config colorectal-open] [--slides 4]
    [--docs docs/accuracy.md] [--card NAME.json] [--json FILE]

No slides with a grade are at hand, so slides are put together: four fragments on glass, each of four images
of EBHI-Seg side by side. A *pure* slide shows one class in all four; a *mixed* one shows a class in one
fragment and images without neoplasia in the three others, one of kind *beside* images of the next milder
grade. Its true class is the worst of its images. Every
slide goes from file to rules as any slide does, by a network (FOLDER/foldN, see accuracy_colorectal.py) that
has not learnt from its patients. Edges between the images are not tissue.

How much of a class a network takes for a worse one is measured first, on pure slides of tuning patients; the
rules use these shares (--card writes them into a model card), and slides of validation patients judge them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from slidelab import find_slides
from slidelab.models.card import ModelCard
from slidelab.models.labelled.colorectal import EBHI_MPP, GradedImage
from slidelab.models.tissue_classes import COLORECTAL_CLASSES, COLORECTAL_GRADES
from slidelab.models.training.tissue.config import TissueConfig
from slidelab.quantify import SlideResult, cohen_kappa, colorectal_cutoffs, confusion_table, wilson_interval
from slidelab.workflows.colorectal.class_maps import stitch_maps
from slidelab.workflows.colorectal.findings import Findings, examine
from slidelab.workflows.colorectal.plan import load_grading_plan
from slidelab.workflows.colorectal.tissue_reader import MISTAKE_METRIC, LearnedTissue, learned_tissue
from slidelab.workflows.colorectal.workflow import ColorectalGrading
from slidelab.workflows.learning.detector_card import attach_metrics
from slidelab.workflows.learning.train_tissue import find_tissue_config, read_graded_images
from slidelab.workflows.slides.zarr_maps import fresh_group

REPOSITORY = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- begin biopsies -->", "<!-- end biopsies -->"
SIDE = 224
"""px of an image of EBHI-Seg, each way."""
GAP = 200
"""px of glass around a fragment: 260 um, more than separates two fragments."""
GLASS = 243
FRAGMENTS = 4
WITHOUT_NEOPLASIA = ("normal", "polyp")
SEED = 20
SCRIPT = "scripts/accuracy_biopsies.py"
KINDS = ("pure", "mixed", "beside")
BESIDE = {"high_grade_in": "low_grade_in", "adenocarcinoma": "high_grade_in"}
"""A class, and the milder one that its fragment lies among."""
NAMES = ("no neoplasia", "LGIN, serrated", "HGIN", "carcinoma")


@dataclass(frozen=True)
class Biopsy:
    """A slide to be put together."""

    name: str
    kind: str
    """``pure``, ``mixed`` or ``beside``."""
    label: str
    """Its worst class."""
    fragments: tuple[tuple[GradedImage, ...], ...]
    """Four images each."""


@dataclass(frozen=True)
class Outcome:
    """What the road made of it."""

    biopsy: Biopsy
    fold: int
    called: str | None
    """None where no class was named."""
    possible: tuple[str, ...]
    status: str
    glands: Mapping[str, int]
    areas: Mapping[str, float]

    @property
    def truth(self) -> int:
        """Grade as composed, 0-3."""
        return grade_of(self.biopsy.label)

    @property
    def grade(self) -> int | None:
        """Grade as called."""
        return None if self.called is None else grade_of(self.called)


def main() -> None:
    """Compose, grade, tabulate."""
    torch.set_num_threads(1)
    arguments = parse()
    config = find_tissue_config(arguments.config)
    networks = [read_network(arguments.runs, config.name, fold) for fold in range(config.folds)]
    tuning = grade_part(arguments, config, networks, part="tuning")
    mistakes = measure_mistakes(tuning)
    knowing = [replace(each, mistakes=mistakes) for each in networks]
    outcomes = grade_part(arguments, config, knowing, part="validation")
    text = to_markdown(outcomes, mistakes)
    print(text)
    if arguments.card:
        attach_metrics(arguments.card, to_metrics(mistakes, tuning))
    if arguments.json:
        arguments.json.write_text(
            json.dumps([to_record(one) for one in outcomes], indent=1), encoding="utf-8"
        )
    if arguments.docs:
        page = arguments.docs.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN)
        arguments.docs.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--runs", type=Path, required=True, help="folders fold0, fold1 ... with networks")
    parser.add_argument("--config", default="colorectal-open")
    parser.add_argument("--card", type=Path, help="model card that receives the shares")
    parser.add_argument("--slides", type=int, default=4, help="of each class, kind and fold")
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def read_network(runs: Path, name: str, fold: int) -> LearnedTissue:
    """Return the network of a fold, its mistakes not yet known."""
    card = runs / f"fold{fold}" / f"{name}.json"
    network = learned_tissue(ModelCard.read(card), card.with_suffix(".safetensors"), device="cpu")
    return replace(network, mistakes=())


def grade_part(
    arguments: argparse.Namespace, config: TissueConfig, networks: Sequence[LearnedTissue], *, part: str
) -> list[Outcome]:
    """Grade the slides of one part of the patients, fold by fold; only pure ones of tuning patients."""
    outcomes: list[Outcome] = []
    for fold, network in enumerate(networks):
        own = config.model_copy(update={"fold": fold})
        images = read_graded_images(own, arguments.data)[part]
        slides = compose(images, slides=arguments.slides, seed=SEED + fold)
        chosen = [each for each in slides if part == "validation" or each.kind == "pure"]
        outcomes += [grade(biopsy, network, fold=fold) for biopsy in chosen]
    return outcomes


def measure_mistakes(outcomes: Sequence[Outcome]) -> tuple[tuple[int, int, float], ...]:
    """Return how much of the gland area of pure slides of a rank is taken for a worse one."""
    rank = {key: colorectal_cutoffs().lesion_class(key).rank for key in COLORECTAL_CLASSES}

    def area(low: int, high: int) -> float:
        return sum(
            value
            for one in outcomes
            if rank[one.biopsy.label] == low
            for key, value in one.areas.items()
            if rank[key] >= high
        )

    return tuple(
        (low, high, round(area(low, high) / area(low, low), 4)) for high in (1, 2, 3) for low in range(high)
    )


def compose(images: Sequence[GradedImage], *, slides: int, seed: int) -> Iterator[Biopsy]:
    """Yield slides of every class and kind."""
    random = np.random.default_rng(seed)
    mild = [one for one in images if one.label in WITHOUT_NEOPLASIA]

    def fragment(members: Sequence[GradedImage]) -> tuple[GradedImage, ...]:
        chosen = random.choice(len(members), 4, replace=len(members) < 4)
        return tuple(members[index] for index in chosen)

    def slide(label: str, kind: str, number: int, rest: Sequence[GradedImage]) -> Biopsy:
        made = [fragment(rest) for _ in range(FRAGMENTS)]
        made[int(random.integers(FRAGMENTS))] = fragment(of_class(label))
        return Biopsy(f"{label}-{kind}-{number}", kind, label, tuple(made))

    def of_class(label: str) -> list[GradedImage]:
        return [one for one in images if one.label == label]

    for label in COLORECTAL_CLASSES:
        rest = {"pure": of_class(label)}
        if label not in WITHOUT_NEOPLASIA:
            rest["mixed"] = mild
        if label in BESIDE:
            rest["beside"] = of_class(BESIDE[label])
        for kind, others in rest.items():
            for number in range(slides):
                yield slide(label, kind, number, others)


def paint(biopsy: Biopsy) -> NDArray[np.uint8]:
    """Lay the fragments of a slide out in two rows."""
    pitch = 2 * SIDE + GAP
    plane = np.full((GAP + 2 * pitch, GAP + 2 * pitch, 3), GLASS, np.uint8)
    for place, images in enumerate(biopsy.fragments):
        top, left = (GAP + pitch * at for at in divmod(place, 2))
        for corner, image in enumerate(images):
            y, x = (start + SIDE * at for start, at in zip((top, left), divmod(corner, 2), strict=True))
            with Image.open(image.path) as opened:
                plane[y : y + SIDE, x : x + SIDE] = np.asarray(opened.convert("RGB"))
    return plane


def grade(biopsy: Biopsy, tissue: LearnedTissue, *, fold: int) -> Outcome:
    """Write a slide, walk its road up to the rules, and forget it."""
    workflow = ColorectalGrading(tissue=tissue, signet=None)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{biopsy.name}.tiff"
        per_cm = 1e4 / EBHI_MPP
        tifffile.imwrite(
            path,
            paint(biopsy),
            tile=(256, 256),
            photometric="rgb",
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
        )
        (slide,) = find_slides([path])
        folder = Path(scratch) / "run"
        receipt = workflow.prepare(slide, folder)
        for index in receipt.todo:
            workflow.process(slide, folder, receipt.place, index)
        findings, result = conclude(workflow, folder, receipt.place)
    areas = {
        key: sum(each.area_mm2 for each in findings.lesions if each.kind.key == key)
        for key in COLORECTAL_CLASSES
    }
    glands = {
        key: sum(each.glands for each in findings.lesions if each.kind.key == key)
        for key in COLORECTAL_CLASSES
    }
    return Outcome(
        biopsy,
        fold,
        class_key(result),
        tuple(each for each in result.flags if each.startswith("POSSIBLE")),
        str(result.status),
        glands,
        areas,
    )


def conclude(workflow: ColorectalGrading, folder: Path, place: Path) -> tuple[Findings, SlideResult]:
    """Put the tiles of a slide together and apply the rules; the report is left out."""
    plan = load_grading_plan(place)
    store = workflow._stage(folder).store(plan)
    with fresh_group(folder / "maps.zarr") as root:
        maps = stitch_maps(plan, store, plan.tiles, root=root)
        findings = examine(
            plan,
            maps,
            threshold=workflow.tissue.gland_threshold,
            kind=workflow.kind,
            signet_looked_for=False,
            mistakes=workflow.tissue.mistakes,
        )
    return findings, workflow.score(plan, findings, missing_mm2=plan.unseen_mm2)


def class_key(result: SlideResult) -> str | None:
    """Return the class that a result names, by the name that networks and rules use."""
    named = {entry.short: entry.id for entry in colorectal_cutoffs().classes}
    return named.get(result.headline.category or "")


def grade_of(label: str) -> int:
    """Return the grade of a class, 0-3."""
    return next(number for number, group in enumerate(COLORECTAL_GRADES) if label in group)


def to_record(one: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values."""
    return {
        "fold": one.fold,
        "slide": one.biopsy.name,
        "truth": one.biopsy.label,
        "called": one.called,
        "possible": list(one.possible),
        "status": one.status,
        "glands": dict(one.glands),
        "areas_mm2": {key: round(area, 4) for key, area in one.areas.items()},
    }


def to_markdown(outcomes: Sequence[Outcome], mistakes: Sequence[tuple[int, int, float]]) -> str:
    """Return what was measured as tables."""
    shares = ", ".join(
        f"{NAMES[low]} for {NAMES[high]} or worse {value:.1%}" for low, high, value in mistakes
    )
    parts = [
        f"{len(outcomes)} slides composed of EBHI-Seg images of validation patients, each graded by a "
        "network that has not learnt from them. Signet-ring cells are not looked for.",
        summary([(kind, [one for one in outcomes if one.biopsy.kind == kind]) for kind in KINDS]),
        "**Composed (rows), called (columns)**",
        confusion(outcomes),
        f"Gland area taken for a worse grade on slides of one class, tuning patients: {shares}.",
    ]
    return "\n\n".join(parts) + "\n"


def to_metrics(mistakes: Sequence[tuple[int, int, float]], tuning: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the shares as a model card holds them."""
    folds = len({one.fold for one in tuning})
    return [
        {
            "set": "ebhi-seg",
            "part": f"tuning patients of {folds} folds, composed slides",
            "name": MISTAKE_METRIC.format(low=low, high=high),
            "value": value,
            "low": None,
            "high": None,
            "n": sum(one.truth == low for one in tuning),
            "script": SCRIPT,
        }
        for low, high, value in mistakes
    ]


def summary(groups: Sequence[tuple[str, Sequence[Outcome]]]) -> str:
    """Return one line per kind of slide."""
    lines = [
        "| slides | grade right | too high | too low | no class | called OK, and wrong "
        "| right, or for REVIEW | quadratic kappa |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, members in [*groups, ("all", [one for _, group in groups for one in group])]:
        told = [one for one in members if one.grade is not None]
        gap = np.array([one.grade - one.truth for one in told if one.grade is not None])
        right = sum(one.grade == one.truth for one in members)
        silent = sum(one.grade != one.truth and one.status == "OK" for one in members)
        table = confusion_table(
            [one.truth for one in told], [one.grade for one in told], categories=range(len(NAMES))
        )
        kappa = cohen_kappa(table, weights="quadratic")
        lines.append(
            f"| {kind} | {share(right, len(members))} | {int((gap > 0).sum())} | {int((gap < 0).sum())} "
            f"| {len(members) - len(told)} | {silent} | {share(len(members) - silent, len(members))} "
            f"| {'-' if kappa is None else f'{kappa:.3f}'} |"
        )
    return "\n".join(lines)


def share(count: int, total: int) -> str:
    """Return a count with its share and interval."""
    interval = wilson_interval(count, total)
    return f"{count} of {total} ({count / total:.3f}, {interval.low:.3f}-{interval.high:.3f})"


def confusion(outcomes: Sequence[Outcome]) -> str:
    """Return the confusion table of the grades, with those that got none."""
    lines = [f"|  | {' | '.join(NAMES)} | no class |", "| --- |" + " --- |" * (len(NAMES) + 1)]
    for number, name in enumerate(NAMES):
        own = [one for one in outcomes if one.truth == number]
        cells = [sum(one.grade == called for one in own) for called in (*range(len(NAMES)), None)]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
