"""What goes out of a training of a tissue network: temperature, gland threshold, weights and card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.labelled.colorectal import COLORECTAL_SETS, GradedImage
from ...tiling import atomic_file
from ..runs.provenance import git_commit
from .tissue_accuracy import best_gland_threshold, fit_temperature, read_graded

if TYPE_CHECKING:
    from ...models.tissue_classifier import TissueClassifier
    from ...models.training.tissue.config import TissueConfig

__all__ = ["open_classifier", "publish_tissue", "tissue_thresholds"]

OPEN_WEIGHTS, RESEARCH_WEIGHTS = "Apache-2.0", "research-only"
INTENDED = (
    "Mapping grades and glands of colorectal mucosa in H&E sections, for research; not for diagnosis. "
    "Depth of invasion cannot be told from a biopsy."
)


def open_classifier(weights: Path, config: TissueConfig, *, device: str = "auto") -> TissueClassifier:
    """Return the classifier of weights that were just trained, without temperature."""
    from safetensors.torch import load_file

    from ...models.session import SessionSettings
    from ...models.tissue_classifier import TissueClassifier
    from ...models.tissue_network import TissueNetwork
    from ...models.tissue_session import TissueSession

    network = TissueNetwork(config.network_settings())
    network.load_state_dict(load_file(weights))
    return TissueClassifier(TissueSession(network, SessionSettings(device=device)), mpp=config.mpp)


def tissue_thresholds(classifier: TissueClassifier, images: Sequence[GradedImage]) -> dict[str, float]:
    """Return the fields of `TissueThresholds`, chosen on tuning cases."""
    readings = read_graded(classifier, images)
    return {
        "temperature": fit_temperature(readings, classifier.classes),
        "gland_threshold": best_gland_threshold(readings),
    }


def publish_tissue(
    weights: Path,
    images: Mapping[str, Sequence[GradedImage]],
    *,
    config: TissueConfig,
    folder: Path,
    device: str = "auto",
) -> Path:
    """Choose temperature and threshold, and write weights and card.

    Parameters
    ----------
    weights : Path
        Of a training.
    images : mapping
        What it was trained from, by part: training, tuning, validation, unlabelled.
    config : TissueConfig
        How.
    folder : Path
        Receives both files.
    device : str
        Where the network runs while the thresholds are chosen.

    Returns
    -------
    Path
        ``NAME.json``, without metrics: add them with `attach_metrics`.
    """
    from ...models.card import ModelCard
    from ...models.tensor_file import file_sha256
    from ...models.tissue_reach import measure_tissue_reach

    settings = config.network_settings()
    classifier = open_classifier(weights, config, device=device)
    thresholds = tissue_thresholds(classifier, images["tuning"])
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{config.name}.safetensors"
    with atomic_file(target) as temporary:
        shutil.copyfile(weights, temporary)
    card = ModelCard.check(
        {
            "name": config.name,
            "version": "1",
            "task": "tissue-classification",
            "mpp": config.mpp,
            "input": {"scaling": "1 - value/255", "stride_px": settings.stride},
            "classes": settings.classes,
            "stain": "H&E",
            "licence": _licence(images),
            "sha256": file_sha256(target),
            "receptive_field_px": measure_tissue_reach(settings),
            "intended_use": INTENDED,
            "limits": [*_limits(images), *_colours(config)],
            "architecture": json.loads(json.dumps(asdict(settings))),
            "thresholds": thresholds,
            "training": {
                "script": "slidelab train tissue",
                "seed": config.seed,
                "config": config.model_dump(mode="json"),
                "commit": git_commit(),
                "split": f"by patient, {_validation(config)}: "
                + ", ".join(f"{len(members)} {part}" for part, members in images.items()),
            },
        },
        where=config.name,
    )
    return card.write(folder / f"{config.name}.json")


def _validation(config: TissueConfig) -> str:
    """Return what of the patients was kept for validation, in words."""
    if config.validation_fold is None:
        return "none kept for validation"
    return f"fold {config.fold} of {config.folds} is validation"


def _licence(images: Mapping[str, Sequence[GradedImage]]) -> dict[str, Any]:
    """Return the licence block: what the terms of the images allow."""
    used = [one for part in ("training", "tuning", "unlabelled") for one in images.get(part, ())]
    data = []
    for name in dict.fromkeys(one.set_name for one in used):
        known = COLORECTAL_SETS.get(name)
        data.append(
            {
                "name": name,
                "licence": known.licence if known else "not stated",
                "source": known.source if known else "not stated",
                "use": "open" if known and known.is_open else "evaluation-only",
            }
        )
    is_open = all(one["use"] == "open" for one in data)
    return {"code": "Apache-2.0", "weights": OPEN_WEIGHTS if is_open else RESEARCH_WEIGHTS, "data": data}


def _colours(config: TissueConfig) -> list[str]:
    """Say in which colours slides must be shown to the network."""
    if config.normalise == "none":
        return []
    return [
        f"Learnt from pixels normalised by {config.normalise}: use it with --normalise {config.normalise}."
    ]


def _limits(images: Mapping[str, Sequence[GradedImage]]) -> list[str]:
    """Return what the images leave unknown, a sentence each."""
    learnt = images["training"]
    patients = len({(one.set_name, one.case) for one in learnt})
    limits = [
        f"Learnt from {len(learnt)} images of {patients} patients: other laboratories' stains may differ.",
        "Each image had one label, the worst grade in view: where exactly that grade is, nobody drew.",
        "Masks of solid carcinoma took in the stroma between glands, so its gland area is too large.",
        "Signet-ring and mucinous carcinoma were not among the images.",
        "Invasion below the mucosa, or its absence, cannot be seen by this network.",
    ]
    if not all(one.scale_stated for one in learnt):
        limits.append("The scale of the images is not stated; it was judged from nuclear size.")
    return limits
