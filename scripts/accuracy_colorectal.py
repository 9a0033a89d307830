"""Measure the colorectal tissue network: four folds of patients, an outside set, ablations, robustness.

python scripts/accuracy_colorectal.py --runs FOLDER [--data FOLDER] [--config colorectal-open] [--train]
    [--ablation] [--plots FOLDER] [--docs docs/accuracy.md] [--shipped NAME.json] [--card NAME.json]
    [--json FILE]

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
from colorectal_tables import NAMES, draw, to_markdown
from numpy.typing import NDArray

from slidelab.models.card import ModelCard
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
SHOWN_FOLD = 0
"""The fold that is looked at more closely."""
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
    "all but consistency": {"consistency_weight": 0.0},
    "all three": {},
}
SPEED_SIDE = 1024
SPEED_ROUNDS = 5


@dataclass
class Fold:
    """One trained network and what it said of patients that it has not seen."""

    number: int | str
    """Of the fold, or ``shipped``."""
    classifier: TissueClassifier
    readings: list[GradedReading]
    symmetric: list[GradedReading]
    outside: list[GradedReading]
    steps: int = 0
    """Of its training."""

    def chances(self, readings: Sequence[GradedReading]) -> NDArray[np.float64]:
        """Return probabilities under the fold's temperature."""
        return softmax(np.stack([one.logits for one in readings]), self.classifier.thresholds.temperature)


def main() -> None:
    """Train what is missing, measure, write."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    config = find_tissue_config(arguments.config)
    folds = [measure_fold(arguments, config, number) for number in range(config.folds)]
    results = summarise(folds)
    if arguments.shipped:
        results["glas"].append(outside_figures(read_shipped(arguments)))
    results["robustness"] = robustness(folds[SHOWN_FOLD])
    results["speed_s_per_mm2"] = speed(folds[SHOWN_FOLD].classifier)
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
    parser.add_argument("--shipped", type=Path, help="card of the network that ships: GlaS by it as well")
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
    # A fold teaches fewer images: as many passes over them are fewer steps.
    own = changed(config, fold=number, steps=round(config.steps * (config.folds - 1) / config.folds))
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
        int(ModelCard.read(card).training.config["steps"]),
    )


def read_shipped(arguments: argparse.Namespace) -> Fold:
    """Let the network that ships look at GlaS; it has learnt from all patients of EBHI-Seg."""
    classifier = load_tissue_classifier(arguments.shipped, device="cpu")
    outside = read_graded(classifier, read_colorectal(arguments.data, ["glas"]))
    return Fold("shipped", classifier, [], [], outside)


def summarise(folds: Sequence[Fold]) -> dict[str, Any]:
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
        "steps": folds[0].steps,
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
    own = changed(config, fold=SHOWN_FOLD, steps=arguments.ablation_steps, **changes)
    folder = arguments.runs / f"ablation-{name.replace(' ', '-').replace('+', 'with')}"
    card = folder / f"{config.name}.json"
    if not card.exists():
        train_tissue_model(own, data=arguments.data, folder=folder, device="cpu")
    classifier = load_tissue_classifier(card, device="cpu")
    validation = read_graded(classifier, read_graded_images(own, arguments.data)["validation"])
    outside = read_graded(classifier, read_colorectal(arguments.data, ["glas"]))
    fold = Fold(SHOWN_FOLD, classifier, validation, [], outside)
    return {
        "name": name,
        "steps": own.steps,
        **fold_figures(fold),
        "glas_auc": outside_figures(fold)["auc"]["value"],
    }


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
    outside = results["glas"][-1]  # the network that ships, where it was given
    return [
        *rows,
        metric("glas", "all, never learnt from", "AUC, malignant against benign", outside["auc"]),
        metric("glas", "all, never learnt from", "Dice of glands, mean of images", outside["dice"]),
        metric("glas", "all, never learnt from", "object Dice", outside["object_dice"]),
    ]


if __name__ == "__main__":
    main()
