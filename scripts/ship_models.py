"""Measure trained detectors on validation cases, write the figures into their cards, and ship both.

python scripts/ship_models.py MODELS [--data FOLDER] [--only NAME]

MODELS is the ``--out`` folder of `slidelab train detector`. Drafts, from which others went on, do not ship.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from slidelab.models.card import ModelCard
from slidelab.models.registry import Registry
from slidelab.workflows.learning.detector_card import attach_metrics
from slidelab.workflows.learning.validate_detector import ALL_KI67, DetectorReport, validate_models

REPOSITORY = Path(__file__).resolve().parents[1]
WEIGHTS = REPOSITORY / "models" / "weights"
FIGURES = {
    "f1": "F1 at 4 um",
    "average_precision": "average precision at 4 um",
    "panoptic_quality": "panoptic quality",
    "index_error": "labelling index, mean absolute error, points",
    "class_accuracy": "class accuracy of matched nuclei",
}
"""Figures that go into a card, and what it calls them."""


def main() -> None:
    """Measure and ship."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("SLIDELAB_TEST_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("models", type=Path)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--only", action="append")
    arguments = parser.parse_args()
    os.environ["SLIDELAB_MODELS"] = str(arguments.models)
    for card in Registry(folders=[arguments.models], packaged=arguments.models).cards():
        if "-draft" in card.name or (arguments.only and card.name not in arguments.only):
            continue
        for shipped in WEIGHTS.glob(f"{card.name}.*"):
            shipped.unlink()  # the package's own comes before the folder's
        report = validate_models([card.name], data=arguments.data, stain=card.stain)
        path = arguments.models / f"{card.name}.json"
        measured = attach_metrics(path, metrics(report, card))
        rank = default_rank(report, card)
        ModelCard.check(measured.model_dump() | {"default_rank": rank}, where=path.name).write(path)
        WEIGHTS.mkdir(exist_ok=True)
        for source in (path, path.with_suffix(".safetensors")):
            shutil.copyfile(source, WEIGHTS / source.name)
        print(f"{card.name}: shipped")


def default_rank(report: DetectorReport, card: ModelCard) -> int:
    """Return the model's place among others of its stain: 0 is an F1 of 1 on every set, 1000 one of 0.

    Accurate ones come after all others: a default must suit a machine without a card, and be the same on all.
    """
    scores = [report.result(card.name, name).figures["f1"].value for name in report.sets if name != ALL_KI67]
    rank = round(1000 * (1 - sum(scores) / len(scores)))
    return rank + 1000 if "-accurate." in card.name else rank


def metrics(report: DetectorReport, card: ModelCard) -> list[dict[str, object]]:
    """Return the figures of all sets as a card holds them."""
    rows: list[dict[str, object]] = []
    for name in report.sets:
        result = report.result(card.name, name)
        for key, title in FIGURES.items():
            figure = result.figures.get(key)
            if figure is not None:
                values = figure.to_json()
                rows.append(
                    {
                        "set": name,
                        "part": report.part,
                        "name": title,
                        "value": round(values["value"], 4),
                        "low": None if values["low"] is None else round(values["low"], 4),
                        "high": None if values["high"] is None else round(values["high"], 4),
                        "n": result.marked,
                        "script": "scripts/ship_models.py",
                    }
                )
    return rows


if __name__ == "__main__":
    main()
