"""Train a detector from labelled images: split, paint phantoms, learn, choose thresholds, write the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SettingsError, SlideNotFoundError
from ...models import LabelledImage, read_collection, split_images
from ...models.labelled import read_manifest, read_phantom
from ...wsi import PhantomSettings, write_phantom
from .centre_marks import centre_marks
from .detector_accuracy import best_threshold, threshold_of_false_positives
from .detector_card import TrainingImages, compare_with, publish_detector
from .left_out import LeftOut, compare_left_out
from .training_folder import open_workspace, read_configuration

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.network import CellNetwork
    from ...models.registry import Registry
    from ...models.training.config import TrainingConfig
    from ...models.training.run import Report

__all__ = ["find_config", "paint_phantoms", "read_training_images", "train_detector_model"]

OWN = ("he-*.toml", "ihc-*.toml", "pap-*.toml", "signet-*.toml", "smear-*.toml")
"""Names of slidelab's own configurations of detectors; those of other networks lie beside them."""
FAINT = 0.15
"""Marks move to nuclei of which the first weights are no surer than this: an expert has seen them."""
PHANTOM_KINDS = {"H-DAB": ("ki67", "her2", "er", "pdl1"), "H&E": ("he",)}
"""Kinds that are painted in turn: brown membranes must not be taken for nuclei, nor hide them."""
STROMA_SHARE = 0.35
"""Share of painted nuclei that are not of the tumour, for kinds that take it."""


def train_detector_model(
    config: TrainingConfig,
    *,
    data: Path,
    folder: Path,
    device: str = "auto",
    overwrite: bool = False,
    report: Report | None = None,
) -> Path:
    """Train a detector and write it as a model that the `Registry` can use.

    A run that was interrupted goes on where it stopped; one that is done only writes the model again.

    Parameters
    ----------
    config : TrainingConfig
        How.
    data : Path
        Folder of the known collections, or a manifest (`read_manifest`). ``config.sources`` names
        collections, or sets of the manifest; empty, all sets of the manifest are meant.
    folder : Path
        Receives ``NAME.safetensors`` and ``NAME.json``, and in ``training/`` checkpoint, log and phantoms.
    device : str
        ``auto``, ``cpu``, ``cuda``.
    overwrite : bool
        Forget an earlier training in this folder.
    report : callable, optional
        Called after each step with its number and losses.

    Returns
    -------
    Path
        ``NAME.json``, the model card, still without metrics.

    Raises
    ------
    SettingsError
        If there is nothing to learn from, or a source is not there.
    SlideNotFoundError, InvalidTableError
        If the labelled images cannot be read.
    RunFolderError
        If the folder holds a training with other settings or images.
    """
    from ...models.registry import Registry
    from ...models.training.loop import train_detector

    folder.mkdir(parents=True, exist_ok=True)
    images = read_training_images(config, data)
    parts: Mapping[str, Sequence[LabelledImage]] = images.parts
    start: dict[str, Tensor] | None = None
    registry = Registry(folders=[folder])
    if config.start_from:
        start = registry.load_tensors(registry.find(config.start_from))
    if config.centre_marks_um:
        centred = _centred(config, images, registry=registry, device=device)
        parts = {**parts, "training": centred}
    workspace = open_workspace(folder, config.name, overwrite=overwrite)
    phantoms = []
    if config.paints:
        count = config.phantom_slides
        phantoms = paint_phantoms(workspace / "phantoms", stain=config.stain, seed=config.seed, count=count)

    def measure(network: CellNetwork) -> float:
        """Return the best F1 on the tuning cases, or how low a threshold their empty images allow."""
        found = compare_with(network, images.for_tuning, mpp=config.mpp, device=device)
        if config.false_positives:
            return 1.0 - threshold_of_false_positives(found, per_image=config.false_positives)
        return best_threshold(found)[1]

    weights = train_detector(
        parts,
        phantoms,
        start=start,
        config=config,
        folder=workspace,
        measure=measure,
        device=device,
        report=report,
    )
    comparisons = None
    if config.thresholds_from == "folds":
        plan = LeftOut(config, images, phantoms, workspace / "folds", device)
        comparisons = compare_left_out(plan, start=start)
    return publish_detector(
        weights, images, config=config, folder=folder, device=device, comparisons=comparisons
    )


def _centred(
    config: TrainingConfig, images: TrainingImages, *, registry: Registry, device: str
) -> Sequence[LabelledImage]:
    """Return the images to learn from, their marks moved to the nuclei that another model finds."""
    from ...models.loading import load_detector
    from ...models.star_detector import StarSettings
    from .image_detectors import NetworkOnImages

    entry = registry.find(config.centre_with or config.start_from)
    detector = load_detector(entry, device=device)
    detector.settings = StarSettings(threshold=FAINT, tumour_threshold=FAINT)
    found = NetworkOnImages(detector).find
    return centre_marks(images.parts["training"], found, within_um=config.centre_marks_um)


def find_config(name: str) -> TrainingConfig:
    """Read the settings of a training: a TOML file, or one of slidelab's own by name.

    Raises
    ------
    SettingsError
        If there is no such file and no such name, or the settings are wrong.
    """
    from ...models.training.config import TrainingConfig

    return read_configuration(name, TrainingConfig, own=OWN)


def read_training_images(config: TrainingConfig, data: Path) -> TrainingImages:
    """Read and split the labelled images that a configuration names.

    Parameters
    ----------
    config : TrainingConfig
        Its ``sources`` name them.
    data : Path
        Folder of collections, or a manifest.

    Raises
    ------
    SettingsError
        If a source is not there, or none is named.
    SlideNotFoundError
        If there is nothing at ``data``.
    """
    if data.is_file():
        images = read_manifest(data)
        sets = list(dict.fromkeys(image.set_name for image in images))
        missing = [name for name in config.sources if name not in sets]
        if missing:
            raise SettingsError(
                f"{data.name} has no set {', '.join(missing)}", f"Its sets are {', '.join(sets)}."
            )
        if config.sources:
            images = [image for image in images if image.set_name in config.sources]
    elif data.is_dir():
        if not config.sources:
            raise SettingsError("the settings name no sources", "Name collections under [sources].")
        images = [image for name in config.sources for image in read_collection(data, name)]
    else:
        raise SlideNotFoundError(
            f"no labelled images at {data}", "Give the folder of the collections, or a manifest."
        )
    return TrainingImages(split_images(images), origin=f"manifest {data.name}")


def paint_phantoms(
    folder: Path, *, stain: str, seed: int, count: int = 4, side: int = 3072
) -> list[LabelledImage]:
    """Paint phantom slides to learn from, with both scanner looks; existing ones are taken.

    Parameters
    ----------
    folder : Path
        Receives them.
    stain : str
        ``H-DAB`` or ``H&E``.
    seed : int
        Of the first; the others follow.
    count : int
        How many.
    side : int
        Width and height, level-0 px.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    kinds = PHANTOM_KINDS[stain]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        path = folder / f"{kind}-{seed + number}.tiff"
        if not path.exists():
            random = np.random.default_rng(seed + number)
            settings = PhantomSettings(
                kind=kind,
                width=side,
                height=side,
                truth=float(random.uniform(5, 60)) if stain == "H-DAB" else None,
                stroma_share=STROMA_SHARE if stain == "H-DAB" else None,
                immune_positive=float(random.uniform(0.1, 0.7)) if kind == "pdl1" else None,
                seed=seed + number,
                scanner="ab"[(number + number // len(kinds)) % 2],
                artefacts=False,
                tissue_fraction=0.5,
            )
            write_phantom(path, settings, workers=2)
        images.append(read_phantom(path))
    return images
