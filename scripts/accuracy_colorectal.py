"""Measure the colorectal tissue network: four folds of patients, an outside set, ablations, robustness.

python scripts/accuracy_colorectal.py --runs FOLDER [--data FOLDER] [--config colorectal-open] [--train]
    [--ablation] [--plots FOLDER] [--docs docs/accuracy.md] [--card NAME.json] [--json FILE]

--train trains the folds that are not there yet, one after another, into FOLDER/foldN; --ablation trains the
variants of fold 0 into FOLDER/ablation-NAME as well, with the steps of --ablation-steps. A training that was
interrupted goes on. Each image is judged by the one network that has not seen its patient; temperature and
gland threshold come from the tuning patients of that fold. GlaS is never learnt from nor tuned on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slidelab.models.labelled.colorectal import GradedImage, read_colorectal
from slidelab.models.tissue_classes import COLORECTAL_GRADES
from slidelab.models.tissue_classifier import TissueClassifier, load_tissue_classifier
from slidelab.models.training.crops import jitter_stain
from slidelab.models.training.tissue.config import TissueConfig
from slidelab.models.training.tissue.samples import scaled_jitter
from slidelab.quantify import calibration_error, confusion_table
from slidelab.workflows.learning.detector_card import attach_metrics
from slidelab.workflows.learning.tissue_accuracy import (
    Figure,
    GradedReading,
    figures_of,
    gland_figures,
    group_probabilities,
    read_graded,
    rocs_of_carcinoma,
    softmax,
)
from slidelab.workflows.learning.train_tissue import (
    find_tissue_config,
    read_graded_images,
    train_tissue_model,
)

REPOSITORY = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- begin colorectal -->", "<!-- end colorectal -->"
GRADES = ("normal, polyp", "LGIN, serrated", "HGIN", "carcinoma")
SHIPPED_FOLD = 0
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "labels alone": {
        "pretrained": False,
        "frozen_stages": 0,
        "gland_weight": 0.0,
        "consistency_weight": 0.0,
    },
    "+ ImageNet weights": {"gland_weight": 0.0, "consistency_weight": 0.0},
    "+ glands": {"pretrained": False, "frozen_stages": 0, "consistency_weight": 0.0},
    "+ consistency": {"pretrained": False, "frozen_stages": 0, "gland_weight": 0.0},
    "all three": {},
}
NAMES = {
    "balanced_accuracy": ("balanced accuracy, 4 grades", 0.89),
    "kappa": ("quadratic kappa, 4 grades", 0.95),
    "auc": ("AUC, carcinoma against the rest", 0.99),
    "dice": ("Dice of glands, mean of images", 0.90),
    "ece": ("expected calibration error, 10 bins", 0.05),
    "balanced_accuracy_6": ("balanced accuracy, 6 classes", None),
    "accuracy": ("accuracy, 4 grades", None),
}
SPEED_SIDE = 1024
SPEED_ROUNDS = 5


@dataclass
class Fold:
    """One trained network and what it said of patients that it has not seen."""

    number: int
    classifier: TissueClassifier
    readings: list[GradedReading]
    symmetric: list[GradedReading]
    outside: list[GradedReading]

    def chances(self, readings: Sequence[GradedReading]) -> NDArray[np.float64]:
        """Return probabilities under the fold's temperature."""
        return softmax(np.stack([one.logits for one in readings]), self.classifier.thresholds.temperature)


def main() -> None:
    """Train what is missing, measure, write."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    config = find_tissue_config(arguments.config)
    folds = [measure_fold(arguments, config, number) for number in range(config.folds)]
    results = summarise(folds, config)
    results["robustness"] = robustness(folds[SHIPPED_FOLD])
    results["speed_s_per_mm2"] = speed(folds[SHIPPED_FOLD].classifier)
    if arguments.ablation:
        results["ablation"] = [
            ablate(arguments, config, name=name, changes=changes) for name, changes in ABLATIONS.items()
        ]
    text = to_markdown(results, config)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if arguments.plots:
        draw(results, arguments.plots)
    if arguments.docs:
        page = arguments.docs.read_text(encoding="utf-8")
        if BEGIN not in page:
            page += f"\n## Colorectal grading\n\n{BEGIN}\n{END}\n"
        head, rest = page.split(BEGIN)
        tail = rest.split(END)[1]
        arguments.docs.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}", encoding="utf-8")
    if arguments.card:
        attach_metrics(arguments.card, card_metrics(results))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--config", default="colorectal-open")
    parser.add_argument("--train", action="store_true", help="train folds that are missing")
    parser.add_argument("--ablation", action="store_true", help="train and measure the variants")
    parser.add_argument("--ablation-steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--card", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def changed(config: TissueConfig, **values: Any) -> TissueConfig:
    """Return a configuration with other values, checked again."""
    return TissueConfig.check(config.model_dump() | values, where=config.name)


def measure_fold(arguments: argparse.Namespace, config: TissueConfig, number: int) -> Fold:
    """Train a fold where need be, and let its network look at its validation patients and at GlaS."""
    own = changed(config, fold=number)
    folder = arguments.runs / f"fold{number}"
    card = folder / f"{config.name}.json"
    if not card.exists():
        if not arguments.train:
            raise SystemExit(f"{card} is not there: train it with --train")
        train_tissue_model(own, data=arguments.data, folder=folder, device="cpu")
    classifier = load_tissue_classifier(card, device="cpu")
    validation = read_graded_images(own, arguments.data)["validation"]
    return Fold(
        number,
        classifier,
        read_graded(classifier, validation),
        read_graded(classifier, validation, symmetries=True),
        read_graded(classifier, read_colorectal(arguments.data, ["glas"])),
    )


def summarise(folds: Sequence[Fold], config: TissueConfig) -> dict[str, Any]:
    """Return the figures of all folds together, of each, and of the outside set."""
    classes = folds[0].classifier.classes
    readings = [one for fold in folds for one in fold.readings]
    chances = np.concatenate([fold.chances(fold.readings) for fold in folds])
    symmetric = np.concatenate([fold.chances(fold.symmetric) for fold in folds])
    pooled = figures_of(readings, chances, classes=classes) | pooled_glands(folds)
    turned = figures_of(readings, symmetric, classes=classes)
    graded = group_probabilities(chances, classes)
    truth = np.array([grade_of(one.image) for one in readings])
    called = graded.argmax(1)
    reliability = calibration_error(graded.max(1).clip(0, 1), called == truth)
    return {
        "images": len(readings),
        "patients": len({one.image.case for one in readings}),
        "steps": config.steps,
        "pooled": plain(pooled),
        "symmetries": plain(turned),
        "folds": [fold_figures(fold) for fold in folds],
        "grades": confusion_table(truth.tolist(), called.tolist(), categories=range(4)).tolist(),
        "classes": confusion_table(
            [one.image.label for one in readings],
            [classes[number] for number in chances.argmax(1)],
            categories=classes,
        ).tolist(),
        "class_names": list(classes),
        "reliability": [
            [one.low, one.high, one.cases, one.confidence, one.accuracy] for one in reliability.bins
        ],
        "glas": [outside_figures(fold) for fold in folds],
    }


def grade_of(image: GradedImage) -> int:
    """Return the grade of an image, 0-3."""
    return next(number for number, group in enumerate(COLORECTAL_GRADES) if image.label in group)


def pooled_glands(folds: Sequence[Fold]) -> dict[str, Figure]:
    """Return the gland figures of all folds, each under its own threshold."""
    # A threshold of 0.5 after shifting each fold's map by its own is the same mask.
    shifted = [
        GradedReading(one.image, one.logits, shift(one.glands, fold), one.truth)
        for fold in folds
        for one in fold.readings
    ]
    return gland_figures(shifted, threshold=0.5)


def shift(glands: NDArray[np.float32], fold: Fold) -> NDArray[np.float32]:
    """Return a map that is 1 where a fold's own threshold says gland, else 0."""
    return (glands >= fold.classifier.thresholds.gland_threshold).astype(np.float32)


def fold_figures(fold: Fold) -> dict[str, Any]:
    """Return the figures of one fold, without intervals."""
    classes, thresholds = fold.classifier.classes, fold.classifier.thresholds
    figures = figures_of(fold.readings, fold.chances(fold.readings), classes=classes, intervals=False)
    figures |= gland_figures(fold.readings, threshold=thresholds.gland_threshold)
    return {
        "fold": fold.number,
        "images": len(fold.readings),
        "temperature": thresholds.temperature,
        "gland_threshold": thresholds.gland_threshold,
        **{name: figure.value for name, figure in figures.items()},
    }


def outside_figures(fold: Fold) -> dict[str, Any]:
    """Return what a fold's network makes of GlaS."""
    classes = fold.classifier.classes
    chances = fold.chances(fold.outside)
    malignant = np.array([one.image.label == "malignant" for one in fold.outside])
    carcinoma = chances[:, classes.index("adenocarcinoma")]
    details = [one.image.detail for one in fold.outside]
    glands = gland_figures(
        fold.outside,
        threshold=fold.classifier.thresholds.gland_threshold,
        by_object=True,
        mpp=fold.classifier.mpp,
    )
    return {
        "fold": fold.number,
        **plain({"auc": rocs_of_carcinoma(chances, malignant, classes=classes)} | glands),
        "mean_carcinoma": {
            name: float(np.mean([p for p, detail in zip(carcinoma, details, strict=True) if detail == name]))
            for name in dict.fromkeys(details)
        },
    }


def plain(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """Return figures as plain values."""
    return {
        name: {
            "value": figure.value,
            "low": figure.interval.low if figure.interval else None,
            "high": figure.interval.high if figure.interval else None,
            "cases": figure.cases,
        }
        for name, figure in figures.items()
    }


def robustness(fold: Fold) -> dict[str, Any]:
    """Return the figures of one fold's validation patients under other colours and mistaken scales."""
    classifier = fold.classifier
    images = [one.image for one in fold.readings]

    def figures(readings: list[GradedReading]) -> dict[str, float | None]:
        found = figures_of(readings, fold.chances(readings), classes=classifier.classes, intervals=False)
        found |= gland_figures(readings, threshold=classifier.thresholds.gland_threshold)
        return {name: found[name].value for name in ("balanced_accuracy", "kappa", "auc", "dice", "ece")}

    colours = {
        strength: figures(read_graded(classifier, images, change=recoloured(strength)))
        for strength in STRENGTHS
    }
    scales = {scale: figures(read_graded(classifier, images, scale=scale)) for scale in SCALES}
    return {"stain": colours, "scale": scales}


def recoloured(strength: float) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Return what changes an image's colours at random."""
    random, jitter = np.random.default_rng(7), scaled_jitter(strength)

    def change(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return jitter_stain(pixels[None], random, stain="H&E", jitter=jitter)[0] if strength else pixels

    return change


def speed(classifier: TissueClassifier) -> float:
    """Return the processor seconds per mm2, the median of some rounds; one thread computes."""
    image = np.random.default_rng(1).integers(0, 256, (SPEED_SIDE, SPEED_SIDE, 3), dtype=np.uint8)
    taken = []
    for _ in range(SPEED_ROUNDS):
        started = time.process_time()
        classifier.map_tissue(image)
        taken.append(time.process_time() - started)
    return float(np.median(taken) / (SPEED_SIDE * classifier.mpp / 1000) ** 2)


def ablate(
    arguments: argparse.Namespace, config: TissueConfig, *, name: str, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Train one variant on fold 0, with fewer steps, and measure it."""
    own = changed(config, fold=SHIPPED_FOLD, steps=arguments.ablation_steps, **changes)
    folder = arguments.runs / f"ablation-{name.replace(' ', '-').replace('+', 'with')}"
    card = folder / f"{config.name}.json"
    if not card.exists():
        train_tissue_model(own, data=arguments.data, folder=folder, device="cpu")
    classifier = load_tissue_classifier(card, device="cpu")
    validation = read_graded(classifier, read_graded_images(own, arguments.data)["validation"])
    outside = read_graded(classifier, read_colorectal(arguments.data, ["glas"]))
    fold = Fold(SHIPPED_FOLD, classifier, validation, [], outside)
    return {
        "name": name,
        "steps": own.steps,
        **fold_figures(fold),
        "glas_auc": outside_figures(fold)["auc"]["value"],
    }


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure as text."""
    return "-" if value is None else f"{value:.{digits}f}"


def row(*cells: object) -> str:
    """Return a line of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    return "\n".join([row(*head), row(*["---"] * len(head)), *(row(*cells) for cells in rows)])


def with_interval(figure: Mapping[str, Any]) -> str:
    """Return a figure with its interval."""
    if figure["low"] is None:
        return number(figure["value"])
    return f"{number(figure['value'])} ({number(figure['low'])}-{number(figure['high'])})"


def to_markdown(results: Mapping[str, Any], config: TissueConfig) -> str:
    """Return all tables."""
    pooled, turned = results["pooled"], results["symmetries"]
    parts = [
        f"Network `{config.name}`, {results['steps']} steps, at {config.mpp} um per px. EBHI-Seg: "
        f"{results['images']} images of {results['patients']} patients, each judged by the one of "
        f"{config.folds} networks that has not seen its patient. Intervals: 95 %, 2,000 draws of whole "
        "patients; DeLong for areas under the curve.",
        table(
            ["figure", "wanted", "reached", "eight views averaged"],
            [
                [
                    title,
                    "-" if wanted is None else wanted,
                    with_interval(pooled[key]),
                    with_interval(turned[key]) if key in turned else "-",
                ]
                for key, (title, wanted) in NAMES.items()
            ],
        ),
        "**Each fold**",
        table(
            ["fold", "images", *(title for title, _ in NAMES.values()), "temperature"],
            [
                [one["fold"], one["images"], *(number(one[key]) for key in NAMES), one["temperature"]]
                for one in results["folds"]
            ],
        ),
        "**Grades: experts (rows), network (columns)**",
        confusion(results["grades"], GRADES),
        "**Classes: experts (rows), network (columns)**",
        confusion(results["classes"], [name.replace("_", " ") for name in results["class_names"]]),
        *outside_parts(results),
        *robust_parts(results),
        f"Network alone: {results['speed_s_per_mm2']:.2f} processor seconds per mm2, on one thread.",
    ]
    if "ablation" in results:
        parts += ablation_parts(results)
    return "\n\n".join(parts) + "\n"


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Return a confusion table."""
    return table(["", *names], [[name, *line] for name, line in zip(names, counts, strict=True)])


def outside_parts(results: Mapping[str, Any]) -> list[str]:
    """Return the tables of the outside set."""
    details = list(results["glas"][0]["mean_carcinoma"])
    return [
        "**GlaS, another laboratory and scanner, never learnt from** (the network of each fold; wanted AUC: "
        "0.88 of benign against malignant; glands are connected pieces, as the set's own numbers were lost)",
        table(
            [
                "fold",
                "AUC",
                "Dice",
                "object Dice",
                "object Hausdorff, um",
                *(f"mean probability of carcinoma: {name}" for name in details),
            ],
            [
                [
                    f"{one['fold']}{' (shipped)' if one['fold'] == SHIPPED_FOLD else ''}",
                    with_interval(one["auc"]),
                    number(one["dice"]["value"]),
                    number(one["object_dice"]["value"]),
                    number(one["object_hausdorff"]["value"], 0),
                    *(number(one["mean_carcinoma"][name], 2) for name in details),
                ]
                for one in results["glas"]
            ],
        ),
    ]


def robust_parts(results: Mapping[str, Any]) -> list[str]:
    """Return the tables of other colours and scales."""
    columns = ("balanced_accuracy", "kappa", "auc", "dice", "ece")
    titles = [NAMES[name][0] for name in columns]
    parts = []
    for key, title, first in (
        ("stain", "Colours changed at random (fold 0; 1 = as in training on nuclei)", "strength"),
        ("scale", "Resolution mistaken by a factor (fold 0)", "factor"),
    ):
        lines = [
            [level, *(number(figures[name]) for name in columns)]
            for level, figures in results["robustness"][key].items()
        ]
        parts += [f"**{title}**", table([first, *titles], lines)]
    return parts


def ablation_parts(results: Mapping[str, Any]) -> list[str]:
    """Return the table of the variants."""
    columns = ("balanced_accuracy", "kappa", "auc", "dice", "ece")
    return [
        f"**What each part brings** (fold 0, {results['ablation'][0]['steps']} steps each)",
        table(
            ["variant", *(NAMES[name][0] for name in columns), "AUC, GlaS"],
            [
                [one["name"], *(number(one[name]) for name in columns), number(one["glas_auc"])]
                for one in results["ablation"]
            ],
        ),
    ]


def card_metrics(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the figures as a model card holds them; those of four folds are called so."""
    script = "scripts/accuracy_colorectal.py"

    def metric(data: str, part: str, name: str, figure: Mapping[str, Any]) -> dict[str, Any]:
        low, high = figure.get("low"), figure.get("high")
        return {
            "set": data,
            "part": part,
            "name": name,
            "value": round(figure["value"], 4),
            "low": None if low is None else round(low, 4),
            "high": None if high is None else round(high, 4),
            "n": figure["cases"],
            "script": script,
        }

    rows = [
        metric("ebhi-seg", "four folds by patient, four networks", title, results["pooled"][key])
        for key, (title, _) in NAMES.items()
    ]
    own = results["folds"][SHIPPED_FOLD]
    rows += [
        metric("ebhi-seg", "validation", title, {"value": own[key], "cases": own["images"]})
        for key, (title, _) in NAMES.items()
    ]
    outside = results["glas"][SHIPPED_FOLD]
    return [
        *rows,
        metric("glas", "all, never learnt from", "AUC, malignant against benign", outside["auc"]),
        metric("glas", "all, never learnt from", "Dice of glands, mean of images", outside["dice"]),
        metric("glas", "all, never learnt from", "object Dice", outside["object_dice"]),
    ]


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """Draw the reliability diagram and the robustness curves: numbers alone, no image of the data."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(4.2, 4.2))
    filled = [one for one in results["reliability"] if one[2]]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot([one[3] for one in filled], [one[4] for one in filled], marker="o", color="#7a3b8f")
    for one in filled:
        axes.annotate(str(one[2]), (one[3], one[4]), textcoords="offset points", xytext=(6, -10), fontsize=7)
    axes.set(
        xlabel="Confidence",
        ylabel="Share called right",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Four grades, EBHI-Seg",
    )
    figure.savefig(folder / "reliability.png", dpi=150, bbox_inches="tight")
    figure, panels = pyplot.subplots(1, 2, figsize=(8.4, 3.4), sharey=True)
    for panel, key, title in zip(
        panels, ("stain", "scale"), ("Strength of colour change", "Factor of the resolution"), strict=True
    ):
        curve = results["robustness"][key]
        for name in ("balanced_accuracy", "kappa", "auc", "dice"):
            panel.plot(list(curve), [one[name] for one in curve.values()], marker=".", label=NAMES[name][0])
        panel.set(xlabel=title, ylim=(0, 1.02))
    panels[0].legend(fontsize=6)
    figure.savefig(folder / "robustness.png", dpi=150, bbox_inches="tight")


if __name__ == "__main__":
    main()
