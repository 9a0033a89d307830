"""Paint phantoms of HER2, PD-L1, ER and PR of known truth, score them, and say how far the scores are off.

python scripts/accuracy_ihc.py [--her2 60] [--pdl1 12] [--er 12] [--only her2|pdl1|er] [--seed 5000]
                               [--model auto] [--scratch FOLDER] [--out FILE.md] [--json FILE.json]

Every slide goes the road that users go: file -> tissue -> tiles -> cells -> report; only afterwards is the
truth opened. What was developed was developed on phantoms of seeds from 1000 on; figures that are reported
are of seeds from 5000 on, the default here, which nothing was ever fitted to. Networks are trained
on phantoms of seeds from 2026 on, a few of each kind: keep development below that.

A phantom is no tissue: it tells whether the arithmetic from pixels to a score is right, and no more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.spatial import cKDTree

from slidelab.quantify import Her2Counts, breast_score, wilson_interval
from slidelab.workflows import (
    EstrogenReceptor,
    Her2,
    Pdl1,
    ProgesteroneReceptor,
    RunOptions,
    choose_detector,
    find_slides,
    run_cohort,
)
from slidelab.wsi import PhantomSettings, write_phantom

SIDE_PX = 3200
MPP = 0.25
TISSUE = 0.55
CLASSES = ("0", "1+", "2+", "3+")
MEMBRANES = ("CI", "CW", "IM", "IF", "NO")
ON_NUCLEUS_UM = 4.0
APART = ", tumour told apart as painted"
STAINED_OD = 0.2  # nuclei painted paler say nothing about how far a density is off
DENSITY = "DAB density"
FEW_PERCENT = 1.0
MARGIN = 1.0  # points: nearer to 10 % than this, a phantom's class may honestly be either
TARGETS = {"percent": 2.0, "H-score": 8.0, "TPS": 2.0, "CPS": 3.0}
SHARES = {
    "HER2 complete intense membrane stain": "CI",
    "HER2 complete weak to moderate membrane stain": "CW",
    "HER2 incomplete moderate to intense membrane stain": "IM",
    "HER2 incomplete faint membrane stain": "IF",
    "HER2 no membrane stain": "NO",
}
WORKFLOWS = {"her2": Her2, "pdl1": Pdl1, "er": EstrogenReceptor, "pr": ProgesteroneReceptor}


@dataclass(frozen=True)
class Case:
    """A phantom, what is true of it outside artefacts, and what was reported."""

    name: str
    settings: PhantomSettings
    truth: dict[str, Any]
    record: dict[str, Any] | None
    apart: dict[str, float]
    """The scores of nuclei alone that were painted as tumour: what is left if tumour were told apart."""
    cells: dict[str, tuple[float, int]]
    """Of cells that lie on a painted nucleus: figure and number of cells, by what it is of."""

    def value(self, name: str) -> float | None:
        """Value of a score by the end of its name."""
        if name in self.apart:
            return self.apart[name]
        scores = () if self.record is None else self.record["scores"]
        return next((score["value"] for score in scores if score["name"].endswith(name)), None)


def main() -> None:
    """Paint, score, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, number in (("her2", 60), ("pdl1", 12), ("er", 12)):
        parser.add_argument(f"--{name}", type=int, default=number, help=f"phantoms of {name}")
    parser.add_argument("--only", choices=("her2", "pdl1", "er"))
    parser.add_argument("--seed", type=int, default=5000, help="first seed; from 1000 on for development")
    parser.add_argument("--model", default="auto", help="detector: auto, or as in slidelab score")
    parser.add_argument("--scratch", type=Path, help="keep slides and results here")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/accuracy.md")
    parser.add_argument("--json", type=Path, help="write every case here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = arguments.scratch or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        text, told = measure(arguments, scratch)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    if arguments.docs:
        write_docs(text, only=arguments.only)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def write_docs(text: str, *, only: str | None) -> None:
    """Put tables between their marks in the page: all of them, or those of one marker."""
    page = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
    for marker, part in ((only, text),) if only else split_by_marker(text):
        begin, end = f"<!-- begin ihc-{marker} -->\n", f"<!-- end ihc-{marker} -->"
        head, rest = page.read_text(encoding="utf-8").split(begin)
        page.write_text(f"{head}{begin}\n{part}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def split_by_marker(text: str) -> list[tuple[str, str]]:
    """Return the tables of each marker; every one gets the line that names the detector."""
    first, *parts = text.split("\n### ")
    names = {"HER2": "her2", "PD-L1": "pdl1", "ER and PR": "er"}
    return [(names[part.split("\n")[0]], f"{first}\n### {part}") for part in parts]


def measure(arguments: argparse.Namespace, scratch: Path) -> tuple[str, dict[str, Any]]:
    """Return the tables and every case of all markers asked for."""
    detector = choose_detector(arguments.model, stain="H-DAB", device="cpu")
    parts = [f"Detector: `{detector.name}`, version {detector.version}; seeds from {arguments.seed} on.\n"]
    told: dict[str, Any] = {"detector": detector.facts(), "seed": arguments.seed}
    plans: dict[str, tuple[Callable[[int, int], PhantomSettings], Callable[[list[Case]], str]]] = {
        "her2": (her2_settings, her2_table),
        "pdl1": (pdl1_settings, pdl1_table),
        "er": (receptor_settings, receptor_table),
    }
    for number, (marker, (settings, table)) in enumerate(plans.items()):
        count = getattr(arguments, marker)
        if arguments.only not in (None, marker) or not count:
            continue
        cases = []
        for index in range(count):
            chosen = settings(index, arguments.seed + 200 * number + index)
            cases.append(score(chosen, scratch, detector=detector))
        parts.append(table(cases))
        told[marker] = [
            {"name": case.name, "truth": case.truth, "scores": case.record and case.record["scores"]}
            for case in cases
        ]
    return "\n".join(parts), told


def score(settings: PhantomSettings, scratch: Path, *, detector: Any) -> Case:
    """Paint a phantom, unless it lies there already, and score it."""
    name = f"{settings.kind}-{settings.seed}-{settings.scanner}"
    slide = scratch / f"{name}.tiff"
    if not slide.with_suffix(".truth.json").exists():
        write_phantom(slide, settings, workers=1)
    run = run_cohort(
        WORKFLOWS[settings.kind](detector=detector),
        find_slides([slide]),
        options=RunOptions(scratch / f"run-{name}", scheduler="threads", workers=1, clean=True),
    )
    truth = json.loads(slide.with_suffix(".truth.json").read_text())["scores"]["outside_artefacts"]
    record = run.outcomes[0].record
    cells = scratch / f"run-{name}" / "slides" / name / "cells.parquet"
    known = slide.with_suffix(".truth.parquet")
    apart = {} if record is None else among_painted_tumour(cells, known)
    return Case(name, settings, truth, record, apart, {} if record is None else on_painted(cells, known))


def on_painted(cells: Path, truth: Path) -> dict[str, tuple[float, int]]:
    """Return the share of each painted kind taken for tumour, and how far DAB is off on stained nuclei."""
    known = pq.read_table(truth, columns=["x", "y", "class", "dab_od"])
    found = pq.read_table(cells, columns=["x", "y", "label", "dab_od_mean", "excluded"])
    places = np.column_stack([known["x"], known["y"]])
    apart, nearest = cKDTree(places).query(np.column_stack([found["x"], found["y"]]))
    counts = (apart * MPP < ON_NUCLEUS_UM) & (np.array(found["excluded"].to_pylist()) == "")
    kinds = np.array(known["class"].to_pylist())[nearest]
    is_tumour = np.array([label.startswith("Tumor") for label in found["label"].to_pylist()])
    told = {
        kind: (float(is_tumour[counts & (kinds == kind)].mean()), int((counts & (kinds == kind)).sum()))
        for kind in np.unique(kinds[counts]).tolist()
    }
    painted_od = known["dab_od"].to_numpy()[nearest]
    stained = counts & (painted_od >= STAINED_OD)
    if stained.any():
        ratio = found["dab_od_mean"].to_numpy()[stained] / painted_od[stained]
        told[DENSITY] = (float(ratio.mean() - 1), int(stained.sum()))
    return told


def among_painted_tumour(cells: Path, truth: Path) -> dict[str, float]:
    """Return the scores over cells that lie on a painted tumour nucleus, by how they were judged."""
    known = pq.read_table(truth, columns=["x", "y", "class"])
    found = pq.read_table(cells, columns=["x", "y", "label"])
    places = np.column_stack([known["x"], known["y"]])
    if not len(found) or not len(places):
        return {}
    apart, nearest = cKDTree(places).query(np.column_stack([found["x"], found["y"]]))
    is_tumour = np.array(known["class"].to_pylist())[nearest] == "tumour"
    labels = np.array(found["label"].to_pylist())[is_tumour & (apart * MPP < ON_NUCLEUS_UM)]
    number = Counter(labels.tolist())
    grades = [number["Negative"], number["1+"], number["2+"], number["3+"]]
    stained, unstained = number["Tumor: Positive"], number["Tumor: Negative"]
    told = {}
    if sum(grades):
        told[f"percent{APART}"] = 100 * sum(grades[1:]) / sum(grades)
        told[f"H-score{APART}"] = 100 * sum(k * count for k, count in enumerate(grades)) / sum(grades)
    if stained + unstained:
        told[f"TPS{APART}"] = 100 * stained / (stained + unstained)
    return told


def painted(seed: int, index: int, **what: Any) -> PhantomSettings:
    """Settings of a phantom: both scanners in turn, no artefacts, a thousand cells or so."""
    return PhantomSettings(
        width=SIDE_PX,
        height=SIDE_PX,
        mpp=MPP,
        seed=seed,
        scanner="ab"[index % 2],
        tissue_fraction=TISSUE,
        artefacts=False,
        **what,
    )


def her2_settings(index: int, seed: int) -> PhantomSettings:
    """Spread phantoms over the three borders between scores, on both sides of each.

    0 and 1+ have no cell of complete intense stain: one alone makes a 2+.
    """
    random = np.random.default_rng(seed)
    border = index // 2 % 3
    if border == 0:  # 0 or 1+: any stain above 10 % or not
        stained = random.uniform(0.02, 0.20)
        faint, moderate, complete = stained * random.dirichlet((6, 2, 2))
        mix = (0.0, complete, moderate, faint)
    elif border == 1:  # 1+ or 2+: complete weak stain above 10 % or not, or few intense cells
        few = random.uniform(0.02, 0.08) if random.uniform() < 0.25 else 0.0
        mix = (few, random.uniform(0.02, 0.20), random.uniform(0.0, 0.05), random.uniform(0.10, 0.30))
    else:  # 2+ or 3+: complete intense stain above 10 % or not
        mix = (
            random.uniform(0.03, 0.22),
            random.uniform(0.05, 0.25),
            random.uniform(0.02, 0.08),
            random.uniform(0.05, 0.20),
        )
    shares = tuple(round(float(share), 4) for share in mix)
    return painted(seed, index, kind="her2", membrane_mix=(*shares, round(1.0 - sum(shares), 4)))


def pdl1_settings(index: int, seed: int) -> PhantomSettings:
    """TPS of 0.5 to 80 %, with few or many stained immune cells."""
    levels = (0.5, 1.0, 3.0, 8.0, 15.0, 25.0, 35.0, 45.0, 52.0, 60.0, 70.0, 80.0)
    truth, immune = levels[index % len(levels)], (0.1, 0.3, 0.6)[index // 2 % 3]
    return painted(seed, index, kind="pdl1", truth=truth, immune_positive=immune)


def receptor_settings(index: int, seed: int) -> PhantomSettings:
    """Percentages of 0.5 to 95, weak, mixed and strong, ER and PR in turn."""
    levels = (0.5, 1.5, 5.0, 9.0, 12.0, 25.0, 40.0, 55.0, 70.0, 80.0, 90.0, 95.0)
    mixes = ((0.6, 0.3, 0.1), (0.3, 0.4, 0.3), (0.1, 0.3, 0.6))
    kind = ("er", "pr")[index // 2 % 2]
    return painted(
        seed,
        index,
        kind=kind,
        truth=levels[index % len(levels)],
        intensity_mix=mixes[index % 3],
        stroma_share=0.3,
    )


def her2_counts(truth: dict[str, Any]) -> Her2Counts:
    """Counts of the membrane classes, as painted."""
    return Her2Counts(
        complete_intense=truth["CI"],
        complete_weak=truth["CW"],
        incomplete_moderate=truth["IM"],
        incomplete_faint=truth["IF"],
        none=truth["NO"],
    )


def without_few(counts: Her2Counts) -> int:
    """The score if fewer than 1 % of complete intense cells were taken for complete weak ones.

    One cell in a thousand makes a 2+ by the guideline's letter; how much of the error that is, this tells.
    """
    if 100 * counts.complete_intense < FEW_PERCENT * counts.total:
        counts = replace(
            counts, complete_intense=0, complete_weak=counts.complete_weak + counts.complete_intense
        )
    return breast_score(counts).score


def reported_counts(case: Case) -> Her2Counts:
    """Counts of the membrane classes, as reported."""
    scores = () if case.record is None else case.record["scores"]
    told = {SHARES[score["name"]]: score["numerator"] for score in scores if score["name"] in SHARES}
    return her2_counts({name: told.get(name, 0) for name in MEMBRANES})


def is_clear(truth: dict[str, Any]) -> bool:
    """Whether no share that decides lies within the margin of 10 %."""
    shares = {name: 100 * truth[f"share_{name}"] for name in MEMBRANES}
    deciding = (
        shares["CI"],
        shares["CW"],
        shares["IM"],
        shares["CI"] + shares["CW"],
        100 - shares["NO"],
    )
    return all(abs(share - 10.0) > MARGIN for share in deciding)


def her2_class(case: Case) -> str:
    """The score reported, or "none"."""
    category = None if case.record is None else case.record["scores"][0]["category"]
    return "none" if category is None else category.split()[0]


def her2_table(cases: list[Case]) -> str:
    """Agreement in class, confusion, and errors of the shares."""
    expected = [CLASSES[breast_score(her2_counts(case.truth)).score] for case in cases]
    found = [her2_class(case) for case in cases]
    clear = [is_clear(case.truth) for case in cases]
    cells = [case.truth["tumour_cells"] for case in cases]
    lines = [
        "### HER2",
        "",
        f"{len(cases)} phantoms of {min(cells)} to {max(cells)} tumour cells, both scanner looks.",
        "",
        "| phantoms | same score | share (95 % CI, Wilson) |",
        "|---|---|---|",
    ]
    same = [one == other for one, other in zip(expected, found, strict=True)]
    pairs = [(her2_counts(case.truth), reported_counts(case)) for case in cases]
    but_few = [without_few(one) == without_few(other) for one, other in pairs]
    far = f"no deciding share within {MARGIN:g} point of 10 %"
    lines += [
        agreement("all", same),
        agreement(far, [each for each, is_far in zip(same, clear, strict=True) if is_far]),
        agreement(
            f"the same, if under {FEW_PERCENT:g} % of complete intense cells did not make a 2+",
            [each for each, is_far in zip(but_few, clear, strict=True) if is_far],
        ),
    ]
    lines += ["", "| painted \\ reported | " + " | ".join((*CLASSES, "none")) + " |", "|---" * 6 + "|"]
    crossed = Counter(zip(expected, found, strict=True))
    for row in CLASSES:
        lines.append(
            f"| {row} | " + " | ".join(str(crossed[row, column]) for column in (*CLASSES, "none")) + " |"
        )
    lines += ["", "| class of membrane | mean error, points | mean absolute | worst |", "|---|---|---|---|"]
    for score_name, name in SHARES.items():
        errors = differences(cases, score_name, lambda truth, name=name: 100 * truth[f"share_{name}"])
        lines.append(
            f"| {name} | {errors.mean():+.1f} | {np.abs(errors).mean():.1f} | {worst(errors):+.1f} |"
        )
    lines += ["", "Phantoms with another score than painted:", ""]
    for case, one, other, is_far in zip(cases, expected, found, clear, strict=True):
        if one != other:
            shares = ", ".join(
                f"{name} {100 * case.truth[f'share_{name}']:.1f} -> {case.value(score_name) or 0.0:.1f}"
                for score_name, name in SHARES.items()
            )
            near = "" if is_far else ", near a cut-off"
            lines.append(f"- {case.name}: {one} reported as {other}{near} ({shares})")
    return "\n".join(lines) + "\n"


def agreement(words: str, same: list[bool]) -> str:
    """A row of the table of agreement."""
    if not same:
        return f"| {words}: 0 | | |"
    interval = wilson_interval(sum(same), len(same))
    share = f"{100 * sum(same) / len(same):.0f} % ({100 * interval.low:.0f}-{100 * interval.high:.0f})"
    return f"| {words}: {len(same)} | {sum(same)} | {share} |"


def differences(
    cases: list[Case], score_name: str, truth: Callable[[dict[str, Any]], float | None]
) -> np.ndarray:
    """Reported less painted, of the cases that have both."""
    pairs = [(case.value(score_name), truth(case.truth)) for case in cases]
    return np.array([found - known for found, known in pairs if found is not None and known is not None])


def worst(errors: np.ndarray) -> float:
    """The error farthest from 0."""
    return float(errors[np.abs(errors).argmax()])


def error_table(title: str, cases: list[Case], names: dict[str, tuple[str, str]]) -> str:
    """Errors of some scores over all cases, and each case; names: words -> (score, member of the truth)."""
    lines = [
        f"### {title}",
        "",
        f"{len(cases)} phantoms, both scanner looks.",
        "",
        "| score | mean error | mean absolute | worst | within target |",
        "|---|---|---|---|---|",
    ]
    for words, (score_name, member) in names.items():
        errors = differences(cases, score_name, lambda truth, member=member: truth[member])
        if not len(errors):
            lines.append(f"| {words} | not reported | | | 0 of {len(cases)} |")
            continue
        target = TARGETS[words.removesuffix(APART)]
        within = int((np.abs(errors) <= target).sum())
        lines.append(
            f"| {words} | {errors.mean():+.2f} | {np.abs(errors).mean():.2f} | {worst(errors):+.2f} "
            f"| {within} of {len(cases)} (within {target:g}) |"
        )
    heads, members = [], []
    for words, (_, member) in names.items():
        heads += [words] if member in members else [f"{words}, painted", words]
        members.append(member)
    lines += ["", "| phantom | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for case in cases:
        row: list[float | None] = []
        for number, (score_name, member) in enumerate(names.values()):
            row += (
                [case.value(score_name)]
                if member in members[:number]
                else [
                    case.truth[member],
                    case.value(score_name),
                ]
            )
        numbers = ["-" if number is None else f"{number:.1f}" for number in row]
        lines.append(f"| {case.name} | " + " | ".join(numbers) + " |")
    return "\n".join(lines) + "\n"


def pdl1_table(cases: list[Case]) -> str:
    """Errors of TPS and CPS."""
    names = {"TPS": ("TPS", "tps"), f"TPS{APART}": (f"TPS{APART}", "tps"), "CPS": ("CPS", "cps")}
    lines = [
        error_table("PD-L1", cases, names),
        "| painted as | cells found | taken for tumour |",
        "|---|---|---|",
    ]
    for kind in ("tumour", "macrophage", "lymphocyte", "stroma"):
        share, number = pooled([case.cells.get(kind) for case in cases])
        lines.append(f"| {kind} | {number:,} | {100 * share:.0f} % |")
    return "\n".join(lines) + "\n"


def receptor_table(cases: list[Case]) -> str:
    """Errors of percent and H-score."""
    names = {
        "percent": ("positive nuclei", "percent"),
        f"percent{APART}": (f"percent{APART}", "percent"),
        "H-score": ("H-score", "h_score"),
        f"H-score{APART}": (f"H-score{APART}", "h_score"),
    }
    lines = [
        error_table("ER and PR", cases, names),
        "| scanner look | stained nuclei | DAB density read, against painted |",
        "|---|---|---|",
    ]
    for look in "ab":
        ratio, number = pooled([case.cells.get(DENSITY) for case in cases if case.settings.scanner == look])
        lines.append(f"| {look} | {number:,} | {100 * ratio:+.0f} % |")
    return "\n".join(lines) + "\n"


def pooled(figures: list[tuple[float, int] | None]) -> tuple[float, int]:
    """Return the mean over all cells of several slides, and their number."""
    present = [each for each in figures if each is not None]
    number = sum(count for _, count in present)
    return sum(value * count for value, count in present) / max(number, 1), number


if __name__ == "__main__":
    main()
