"""What goes out of a training: thresholds from tuning cases, weights, and the card that describes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models import COLLECTIONS, LabelledImage
from ...models.labelled.cytology_sets import CELL_SETS
from ...models.labelled.signet import SIGNET_LABEL
from ...tiling import atomic_file
from ..runs.provenance import git_commit
from .class_thresholds import class_thresholds
from .detector_accuracy import (
    Comparison,
    best_threshold,
    compare,
    detect_whole,
    threshold_of_false_positives,
)

if TYPE_CHECKING:
    from ...models.card import ModelCard
    from ...models.network import CellNetwork
    from ...models.training.config import TrainingConfig

__all__ = [
    "TrainingImages",
    "attach_metrics",
    "choose_thresholds",
    "compare_with",
    "load_trained",
    "publish_detector",
]

LEAST = 0.1
"""Tuning looks at every peak above this."""
SHAPES = ("smallest_area_um2", "cover")
"""Settings of a training that tell what is sought; those of nuclei are the usual ones."""
PLACES = {"Papanicolaou": "on cervical smears", "Romanowsky": "on Romanowsky-stained blood smears"}
"""Where that is, by stain, for what is no section."""
OPEN_WEIGHTS = "Apache-2.0"
"""Licence of weights that learned from open data and phantoms alone."""
RESEARCH_WEIGHTS = "research-only"
JOINED = " + "
"""Between the names of sets that an image was composed of."""
PHANTOMS = "phantom"
"""Set of painted images."""
TARGETS = {
    "cell-detection": ("nuclei", "Nucleus"),
    "signet-ring-detection": ("signet-ring cells", SIGNET_LABEL),
    "blood-cell-detection": ("red cells, white cells and platelets", "Cell"),
}
"""What a model for a task finds, and what one of it is called where the network tells no classes."""


@dataclass(frozen=True)
class TrainingImages:
    """Labelled images by part, and where they come from."""

    parts: Mapping[str, Sequence[LabelledImage]]
    """From `split_images`."""
    origin: str
    """Of sets that slidelab does not know: the manifest they were named in."""

    @property
    def for_tuning(self) -> Sequence[LabelledImage]:
        """Images that choose thresholds: those of training where too few cases are there to keep some."""
        return self.parts["tuning"] or self.parts["training"]

    def for_thresholds(self, config: TrainingConfig) -> Sequence[LabelledImage]:
        """Images that choose thresholds, as a configuration wants; never those of validation."""
        if config.thresholds_from == "tuning":
            return self.for_tuning
        return [*self.parts["tuning"], *self.parts["training"]]


def compare_with(
    network: CellNetwork,
    images: Sequence[LabelledImage],
    *,
    mpp: float,
    device: str,
    views: int = 1,
    fixed: Mapping[str, Any] | None = None,
) -> list[Comparison]:
    """Return all peaks that a network finds beside what was marked; the network is folded by this.

    ``fixed`` are further fields of `StarSettings`, such as the smallest area of what is sought.
    """
    from ...models.session import InferenceSession, SessionSettings
    from ...models.star_detector import StarDetector, StarSettings

    stride = network.settings.stride
    detector = StarDetector(
        InferenceSession(network, SessionSettings(device=device)),
        mpp=mpp,
        settings=StarSettings(**dict(fixed or {}), threshold=LEAST, tumour_threshold=LEAST, views=views),
    )
    return [compare(detect_whole(detector.detect, image, mpp=mpp, stride=stride), image) for image in images]


def choose_thresholds(comparisons: Sequence[Comparison], heats: Sequence[str]) -> dict[str, float]:
    """Return the thresholds of `StarSettings` with the highest F1, averaged over sets.

    Parameters
    ----------
    comparisons : sequence of Comparison
        From `compare_with`.
    heats : sequence of str
        Of the network.

    Returns
    -------
    dict
        ``threshold`` from images with all nuclei marked, ``tumour_threshold`` from those with the tumour's
        alone; where one kind is absent the other decides both.
    """
    everything = [one for one in comparisons if not one.image.tells_tumour]
    tumour = [one for one in comparisons if one.image.tells_tumour]
    threshold = best_threshold(everything or tumour)[0]
    tells = "tumour" in heats and bool(tumour)
    return {"threshold": threshold, "tumour_threshold": best_threshold(tumour)[0] if tells else threshold}


def publish_detector(
    weights: Path,
    images: TrainingImages,
    *,
    config: TrainingConfig,
    folder: Path,
    device: str = "auto",
    comparisons: Sequence[Comparison] | None = None,
) -> Path:
    """Choose thresholds for trained weights and write ``NAME.safetensors`` with its card.

    Parameters
    ----------
    weights : Path
        ``best.safetensors`` of a training.
    images : TrainingImages
        What it was trained from.
    config : TrainingConfig
        How.
    folder : Path
        Receives both files.
    device : str
        Where the network runs while thresholds are chosen.
    comparisons : sequence of Comparison, optional
        What thresholds are chosen by; by default what this network finds on the images that ``config`` names.

    Returns
    -------
    Path
        ``NAME.json``, without metrics: add them with `attach_metrics`.
    """
    from ...models.card import ModelCard
    from ...models.network_reach import measure_receptive_field
    from ...models.tensor_file import file_sha256

    network = load_trained(weights, config)
    settings = network.settings
    wanted, called = TARGETS[config.task]
    if comparisons is None:
        comparisons = compare_with(
            network,
            images.for_thresholds(config),
            mpp=config.mpp,
            device=device,
            views=config.views,
            fixed={name: getattr(config, name) for name in SHAPES},
        )
    target = folder / f"{config.name}.safetensors"
    with atomic_file(target) as temporary:
        shutil.copyfile(weights, temporary)
    card = ModelCard.check(
        {
            "name": config.name,
            "version": "1",
            "task": config.task,
            "mpp": config.mpp,
            "input": {"scaling": "1 - value/255", "stride_px": settings.stride},
            "classes": settings.classes or (called,),
            "stain": config.stain,
            "licence": _licence(images),
            "sha256": file_sha256(target),
            "receptive_field_px": measure_receptive_field(settings),
            "intended_use": f"Finding {wanted} {PLACES.get(config.stain, f'in {config.stain} sections')}, "
            "for research; not for diagnosis.",
            "limits": _limits(images, config),
            "architecture": json.loads(json.dumps(asdict(settings))),
            "thresholds": _thresholds(comparisons, config),
            "training": {
                "script": "slidelab train detector",
                "seed": config.seed,
                "config": config.model_dump(mode="json"),
                "commit": git_commit(),
                "split": "by case (patient or slide where known, else image): "
                + ", ".join(f"{len(members)} {part}" for part, members in images.parts.items()),
            },
        },
        where=config.name,
    )
    return card.write(folder / f"{config.name}.json")


def attach_metrics(card_path: Path, metrics: Sequence[Mapping[str, Any]]) -> ModelCard:
    """Put measured figures into a card, in place of those that the same scripts measured before.

    Parameters
    ----------
    card_path : Path
        ``NAME.json``.
    metrics : sequence of mapping
        Fields of `CardMetric`.

    Raises
    ------
    SettingsError
        If a figure lacks something, such as the script that measured it; the card is then left as it is.
    """
    from ...models.card import ModelCard

    values = ModelCard.read(card_path).model_dump()
    scripts = {metric.get("script") for metric in metrics}
    others = [metric for metric in values["metrics"] if metric["script"] not in scripts]
    values["metrics"] = [*others, *(dict(metric) for metric in metrics)]
    card = ModelCard.check(values, where=card_path.name)
    card.write(card_path)
    return card


def _thresholds(comparisons: Sequence[Comparison], config: TrainingConfig) -> dict[str, float]:
    """Return the fields of `StarSettings` that a card holds."""
    fields = type(config).model_fields
    given = ("tumour_share", "largest_radius_um", "smallest_area_um2", "cover", "views")
    fixed = {name: getattr(config, name) for name in given if getattr(config, name) != fields[name].default}
    if config.task == "blood-cell-detection":
        return class_thresholds(comparisons, config.network_settings().classes) | fixed
    if not config.false_positives:
        return choose_thresholds(comparisons, config.network_settings().heats) | fixed
    return {"threshold": threshold_of_false_positives(comparisons, per_image=config.false_positives)} | fixed


def load_trained(weights: Path, config: TrainingConfig) -> CellNetwork:
    """Build the network of a configuration with trained weights."""
    from safetensors.torch import load_file

    from ...models.network import CellNetwork

    network = CellNetwork(config.network_settings())
    network.load_state_dict(load_file(weights))
    return network.eval()


def _licence(images: TrainingImages) -> dict[str, Any]:
    """Return the licence block: what the terms of the images allow. Phantoms are slidelab's own."""
    data = []
    used = [*images.parts["training"], *images.parts["tuning"]]  # tuning chooses among weights
    for name in dict.fromkeys(name for image in used for name in image.set_name.split(JOINED)):
        if name == PHANTOMS:
            continue
        known = COLLECTIONS.get(name) or CELL_SETS.get(name)
        data.append(
            {
                "name": name,
                "licence": known.licence if known else "not stated",
                "source": known.source if known else images.origin,
                "use": "open" if known and known.is_open else "evaluation-only",
            }
        )
    is_open = all(one["use"] == "open" for one in data)
    return {"code": "Apache-2.0", "weights": OPEN_WEIGHTS if is_open else RESEARCH_WEIGHTS, "data": data}


def _limits(images: TrainingImages, config: TrainingConfig) -> list[str]:
    """Return what the images leave unknown, a sentence each."""
    learnt, settings = images.parts["training"], config.network_settings()
    sets = {name for image in learnt for name in image.set_name.split(JOINED)} - {PHANTOMS}
    limits = [
        *config.limits,
        f"Learnt from {len(learnt)} images of {len(sets)} sets: other laboratories' stains may differ.",
    ]
    if not images.parts["tuning"]:
        limits.append("Thresholds were chosen on images that it learnt from, as there were no tuning cases.")
    if any(image.ellipses is not None for image in learnt):
        limits.append("Outlines are ellipses in boxes: sizes hold, shapes and borders of cut cells do not.")
        limits.append("Neither set states its scale: it was judged by taking the median red cell for 7.5 um.")
    elif not any(image.load_instances for image in learnt):
        limits.append("No image had outlines: shapes and areas come from phantoms at best.")
    some = [image for image in learnt if image.marked == "some"]
    if some:
        limits.append(
            f"All of what it is to find came from {len({image.case for image in some})} patients, "
            f"on images where some were left unmarked: its precision there is not known."
        )
    if config.false_positives:
        limits.append(
            f"The threshold allows {config.false_positives:g} false detections per image that holds none: "
            "on other tissue and other stains there may be more."
        )
    labels = {str(label) for image in learnt for label in np.unique(image.labels)}
    tumour = any(image.tells_tumour for image in learnt)
    if "tumour" in settings.heats and not tumour:
        limits.append("No image told tumour from other nuclei: that comes from phantoms at best.")
    missing = [name for name in settings.classes if name not in labels]
    if missing:
        limits.append(f"No image had nuclei marked as {', '.join(missing)}.")
    return limits
