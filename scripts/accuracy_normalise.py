"""Measure what normalising the pixels that networks see gains or costs; the defaults of workflows rest on it.

python scripts/accuracy_normalise.py [--data FOLDER] [--only colorectal|nuclei|dab] [--methods none,macenko]
    [--runs FOLDER [--train METHOD ...] [--steps N]] [--json FILE]

colorectal: the shipped tissue network, learnt at one site (EBHI-Seg), on its validation patients and on
another site (GlaS), pixels as they are and by each method. --runs adds networks trained for this: each of
--train names a method by which EBHI-Seg is normalised before a short training (--steps) on fold 0; tested on
both sites by the same method. nuclei, dab: detection on the validation parts of the labelled collections.

Colours are fitted to each field, for want of its slide: harder than on slides. What cannot be fitted stays as
it is. Differences from `none` are paired: the same patients or cases are drawn for both, 2,000 times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slidelab.models import COLLECTIONS, CellTable, LabelledImage, read_collection, split_images
from slidelab.models.labelled.colorectal import read_colorectal
from slidelab.models.loading import load_detector
from slidelab.models.registry import Registry
from slidelab.models.star_detector import StarDetector
from slidelab.models.tissue_classifier import TissueClassifier, load_tissue_classifier
from slidelab.models.training.tissue.config import TissueConfig
from slidelab.quantify import bootstrap_by_patient, cohen_kappa, confusion_table, roc_area
from slidelab.stain import (
    METHODS,
    Normalizer,
    StainProfile,
    Unchanged,
    fit_h_dab,
    make_normalizer,
    rgb_to_density,
    unmix,
)
from slidelab.workflows.learning.detector_accuracy import detect_whole
from slidelab.workflows.learning.field_colours import FieldColours
from slidelab.workflows.learning.image_counts import CELL_CLASSES, ImageCounts, count_image
from slidelab.workflows.learning.stain_fields import white_of
from slidelab.workflows.learning.tissue_accuracy import (
    GradedReading,
    balanced_accuracy,
    dice,
    group_probabilities,
    read_graded,
    softmax,
)
from slidelab.workflows.learning.train_tissue import (
    find_tissue_config,
    read_graded_images,
    train_tissue_model,
)

REPOSITORY = Path(__file__).resolve().parents[1]
FOLD = 0
TISSUE_MODEL = "colorectal-lite.ebhi-open"
NUCLEI = {
    "nuclei": ("H&E", ("nuclei-fast.he-open", "nuclei-fast.he-research")),
    "dab": ("H-DAB", ("nuclei-fast.ihc-research",)),
}
BLUE_STRENGTH = 0.75
"""Hematoxylin's strength to aim at with DAB, OD: about the median of the training images."""
CARCINOMA = "adenocarcinoma"
Rows = NDArray[np.intp]
Measure = Callable[[Rows], float | None]


def main() -> None:
    """Measure and print."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    for part in ("colorectal", "nuclei", "dab"):
        if arguments.only in (None, part):
            found[part] = colorectal(arguments) if part == "colorectal" else nuclei(arguments, part)
            print(table(found[part], part), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--only", choices=("colorectal", "nuclei", "dab"))
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS))
    parser.add_argument("--trained-only", dest="shipped", action="store_false")
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--train", nargs="*", default=[], metavar="METHOD")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.train and not arguments.runs:
        parser.error("--train needs --runs")
    return arguments


@dataclass
class Row:
    """One method on one set: its figures, and how they differ from those of pixels as they are."""

    network: str
    method: str
    set_name: str
    cases: int
    images: int
    left: int
    """Images that stayed as they are."""
    figures: dict[str, dict[str, float | None]] = field(default_factory=dict)


def figure(measure: Measure, patients: Sequence[str], base: Measure | None) -> dict[str, float | None]:
    """Return a figure with its interval, and its paired difference from another with its own."""
    everything = np.arange(len(patients))
    told: dict[str, float | None] = {"value": measure(everything)}
    spread = bootstrap_by_patient(measure, patients)
    told |= {"low": spread.low if spread else None, "high": spread.high if spread else None}
    if base is None:
        return told

    def gain(rows: Rows) -> float | None:
        new, old = measure(rows), base(rows)
        return None if new is None or old is None else new - old

    moved = bootstrap_by_patient(gain, patients)
    told |= {"gain": gain(everything)}
    return told | {"gain_low": moved.low if moved else None, "gain_high": moved.high if moved else None}


def colorectal(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of tissue networks."""
    config = fold_config()
    inside = {f"ebhi-seg, fold {FOLD}": read_graded_images(config, arguments.data)["validation"]}
    outside = {"glas": read_colorectal(arguments.data, ["glas"])}
    sets = inside | outside
    entry = Registry().find(TISSUE_MODEL)
    shipped = load_tissue_classifier(entry.weights.with_suffix(".json"), entry.weights, device="cpu")
    # A network that all patients taught can only be tested outside.
    told = entry.card.training
    learnt_fold = None if told is None else told.config.get("fold")
    own = sets if learnt_fold == FOLD else outside
    rows = read_rows(shipped, own, methods=arguments.methods, name="shipped") if arguments.shipped else []
    for method in arguments.train:
        network = trained(arguments, method)
        # What was learnt from normalised pixels is held against what was learnt from pixels as they are.
        rows += read_rows(network, sets, methods=[method], name=f"{arguments.steps} steps on {method}")
    return rows


def trained(arguments: argparse.Namespace, method: str) -> TissueClassifier:
    """Train a network on EBHI-Seg by a method, or take the one that is there."""
    own = fold_config(steps=arguments.steps, normalise=method)
    folder = arguments.runs / f"{method}-{arguments.steps}"
    card = folder / f"{own.name}.json"
    if not card.exists():
        train_tissue_model(own, data=arguments.data, folder=folder, device="cpu")
    return load_tissue_classifier(card, device="cpu")


def fold_config(**changes: Any) -> TissueConfig:
    """Return how the shipped network was trained, on one fold, with changes."""
    config = find_tissue_config("colorectal-open")
    return TissueConfig.check(config.model_dump() | {"fold": FOLD} | changes, where=config.name)


def read_rows(
    network: TissueClassifier, sets: dict[str, list[Any]], *, methods: Sequence[str], name: str
) -> list[dict[str, Any]]:
    """Return the rows of one network."""
    rows = []
    for set_name, images in sets.items():
        base: dict[str, Measure] = {}
        for method in methods:
            started, colours = time.perf_counter(), FieldColours(method)
            readings = read_graded(network, images, change=colours.apply)
            measures = measures_of(readings, network, is_outside=set_name == "glas")
            patients = [one.image.case for one in readings]
            row = Row(name, method, set_name, len(set(patients)), len(readings), colours.left)
            row.figures = {
                key: figure(each, patients, base.get(key) if method != methods[0] else None)
                for key, each in measures.items()
            }
            base = base or measures
            rows.append(vars(row))
            note(f"{name}, {set_name}, {method}: {time.perf_counter() - started:.0f} s")
    return rows


def measures_of(
    readings: Sequence[GradedReading], network: TissueClassifier, *, is_outside: bool
) -> dict[str, Measure]:
    """Return what is measured of graded images, as functions of the rows that are drawn."""
    chances = softmax(np.stack([one.logits for one in readings]), network.thresholds.temperature)
    carcinoma = chances[:, network.classes.index(CARCINOMA)]
    ill = np.array([one.image.label in (CARCINOMA, "malignant") for one in readings])
    dices = np.array(
        [
            dice(one, network.thresholds.gland_threshold)
            if one.truth is not None and one.truth.any()
            else np.nan
            for one in readings
        ]
    )

    def auc(rows: Rows) -> float | None:
        found = roc_area(carcinoma[rows][ill[rows]], carcinoma[rows][~ill[rows]])
        return None if found is None else found.value

    measures: dict[str, Measure] = {"AUC": auc, "Dice": lambda rows: float(np.nanmean(dices[rows]))}
    if is_outside:
        return measures
    from slidelab.models.tissue_classes import COLORECTAL_GRADES

    called = group_probabilities(chances, network.classes).argmax(1)
    truth = np.array(
        [
            next(number for number, group in enumerate(COLORECTAL_GRADES) if one.image.label in group)
            for one in readings
        ]
    )

    def kappa(rows: Rows) -> float | None:
        counts = confusion_table(truth[rows].tolist(), called[rows].tolist(), categories=range(4))
        return cohen_kappa(counts, weights="quadratic")

    measures["balanced accuracy"] = lambda rows: balanced_accuracy(truth[rows], called[rows])
    return measures | {"kappa": kappa}


class DabColours(FieldColours):
    """Shows hematoxylin and DAB in their published colours; workflows refuse it for what comes out here.

    White point, both directions and the strength of hematoxylin change. How much DAB there is does not: that
    is what is asked of a slide.
    """

    def fit(self, pixels: NDArray[np.uint8]) -> Normalizer:
        """Return what normalises a field with DAB."""
        white = white_of(pixels)
        profile = fit_h_dab(pixels.reshape(-1, 3), white)
        if {"STAIN_DEFAULT", "STAIN_NOT_H_DAB"} & set(profile.flags):
            return Unchanged(profile, profile.flags, self.method)
        rgb = pixels.reshape(-1, 3)
        blue, brown = unmix(rgb[rgb_to_density(rgb, white).mean(axis=1) > 0.15], profile)
        strength = float(np.percentile(blue[blue > brown], 99)) if (blue > brown).any() else BLUE_STRENGTH
        target = StainProfile(source="reference H-DAB", strengths=(BLUE_STRENGTH, 1.0))
        source = replace(profile, flags=(), strengths=(strength, 1.0))
        return make_normalizer(source, target, method=self.method, pixels=pixels)


@dataclass(frozen=True)
class SeenThrough:
    """A network that sees labelled images by a method."""

    detector: StarDetector
    colours: FieldColours

    @property
    def tumour_threshold(self) -> float | None:
        """From the settings, if the network has a heat map of tumour."""
        tells = "tumour" in self.detector.session.network.settings.heats
        return self.detector.settings.tumour_threshold if tells else None

    def fitted_to(self, image: LabelledImage) -> SeenThrough:
        """Fit the tumour threshold as the road does."""
        if not self.detector.settings.tumour_share:
            return self
        return SeenThrough(self.detector.fitted([self._find(self.detector.faint(), image)]), self.colours)

    def find(self, image: LabelledImage) -> CellTable:
        """Return the nuclei, px of the image."""
        return self._find(self.detector, image)

    def candidates(self, image: LabelledImage) -> None:
        """No curve is drawn."""

    def _find(self, detector: StarDetector, image: LabelledImage) -> CellTable:
        stride = detector.session.network.settings.stride
        return detect_whole(
            lambda pixels: detector.detect(self.colours.apply(pixels)),
            image,
            mpp=detector.mpp,
            stride=stride,
        )


def nuclei(arguments: argparse.Namespace, part: str) -> list[dict[str, Any]]:
    """Return the rows of detectors of nuclei, each set and all together."""
    stain, models = NUCLEI[part]
    names = [name for name, each in COLLECTIONS.items() if (each.stain, each.target) == (stain, "nuclei")]
    images = [
        image for name in names for image in split_images(read_collection(arguments.data, name))["validation"]
    ]
    if part == "dab":
        ways: dict[str, type[FieldColours]] = {"none": FieldColours, "macenko": DabColours}
    else:
        ways = dict.fromkeys(arguments.methods, FieldColours)
    return [row for model in models for row in count_rows(model, images, ways=ways)]


def count_rows(
    model: str, images: Sequence[LabelledImage], *, ways: dict[str, type[FieldColours]]
) -> list[dict[str, Any]]:
    """Return the rows of one detector."""
    detector = load_detector(Registry().find(model))
    rows, base = [], dict[str, list[ImageCounts]]()
    for method, way in ways.items():
        started, counts, left = time.perf_counter(), dict[str, list[ImageCounts]](), dict[str, int]()
        for image in images:
            colours = way(method)
            counts.setdefault(image.set_name, []).append(count_image(SeenThrough(detector, colours), image))
            left[image.set_name] = left.get(image.set_name, 0) + bool(colours.left)
        groups = {**counts, "all": [one for each in counts.values() for one in each]}
        for name, members in groups.items():
            cases = [f"{one.set_name}:{one.case}" for one in members]
            row = Row(model, method, name, len(set(cases)), len(members), left.get(name, sum(left.values())))
            for key, each in count_measures(members).items():
                old = count_measures(base[name])[key] if base else None
                row.figures[key] = figure(each, cases, old)
            rows.append(vars(row))
        base = base or groups
        note(f"{model}, {method}: {time.perf_counter() - started:.0f} s")
    return rows


def count_measures(members: Sequence[ImageCounts]) -> dict[str, Measure]:
    """Return F1, and the error of the index where stain was marked, as functions of the images drawn."""

    def column(name: str) -> NDArray[np.float64]:
        return np.array([one.sums.get(name, 0.0) for one in members])

    hits, found, marked = column("hits"), column("found"), column("marked")
    measures: dict[str, Measure] = {
        "F1": lambda rows: float(2 * hits[rows].sum() / max(1.0, found[rows].sum() + marked[rows].sum()))
    }
    pairs, same = column("class_pairs"), sum(column(f"class:{name}:{name}") for name in CELL_CLASSES)
    if pairs.any():
        measures["class accuracy"] = lambda rows: (
            float(same[rows].sum() / pairs[rows].sum()) if pairs[rows].any() else None
        )
    errors, told = column("index_error"), column("index_images")
    if told.any():
        measures["index error, points"] = lambda rows: (
            float(errors[rows].sum() / told[rows].sum()) if told[rows].any() else None
        )
    return measures


def table(rows: Sequence[dict[str, Any]], part: str) -> str:
    """Return rows as Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row["figures"]))
    head = ["network", "set", "method", "left as they are", *names]
    lines = [f"### {part}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in sorted(rows, key=lambda each: (each["network"], each["set_name"])):
        cells = [row["network"], f"{row['set_name']} ({row['images']} of {row['cases']})", row["method"]]
        cells.append(f"{row['left']}")
        cells += [shown(row["figures"].get(name)) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shown(told: dict[str, float | None] | None) -> str:
    """Return a figure, its interval, and its difference from `none`."""
    if told is None or told["value"] is None:
        return ""
    text = f"{told['value']:.3f}"
    if told["low"] is not None:
        text += f" ({told['low']:.3f}-{told['high']:.3f})"
    if told.get("gain") is not None:
        text += f"; {told['gain']:+.3f}"
        if told["gain_low"] is not None:
            text += f" ({told['gain_low']:+.3f} to {told['gain_high']:+.3f})"
    return text


def note(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
