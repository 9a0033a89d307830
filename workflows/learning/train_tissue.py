"""Train a tissue network from graded images: split by patient, learn, choose thresholds, write the card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SlideNotFoundError
from ...models.labelled.colorectal import GradedImage, read_colorectal
from ...models.labelled.folds import split_graded
from .field_colours import normalised_copies
from .tissue_card import publish_tissue
from .training_folder import open_workspace, read_configuration

if TYPE_CHECKING:
    from ...models.training.run import Report
    from ...models.training.tissue.config import TissueConfig

__all__ = ["find_tissue_config", "read_graded_images", "train_tissue_model"]

OWN = ("colorectal-*.toml",)
"""Names of slidelab's own configurations."""


def train_tissue_model(
    config: TissueConfig,
    *,
    data: Path,
    folder: Path,
    device: str = "auto",
    overwrite: bool = False,
    report: Report | None = None,
) -> Path:
    """Train a tissue network and write it as a model that the `Registry` can use.

    A run that was interrupted goes on where it stopped; one that is done only writes the model again.

    Parameters
    ----------
    config : TissueConfig
        How.
    data : Path
        Folder of the known sets of graded images.
    folder : Path
        Receives ``NAME.safetensors`` and ``NAME.json``, and in ``training/`` checkpoint and log.
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
        If there is nothing to learn from, or a set is not known.
    SlideNotFoundError
        If the images are not there.
    RunFolderError
        If the folder holds a training with other settings or images.
    """
    from ...models.training.tissue.loop import train_tissue_network

    images = read_graded_images(config, data)
    if config.normalise != "none":
        copies = folder / "training" / f"images-{config.normalise}"
        images = {part: normalised_copies(each, config.normalise, copies) for part, each in images.items()}
    workspace = open_workspace(folder, f"{config.name}-fold{config.fold}", overwrite=overwrite)
    weights = train_tissue_network(images, config=config, folder=workspace, device=device, report=report)
    return publish_tissue(weights, images, config=config, folder=folder, device=device)


def read_graded_images(config: TissueConfig, data: Path) -> dict[str, list[GradedImage]]:
    """Read and split the graded images that a configuration names.

    Returns
    -------
    dict
        Images by part: ``training``, ``tuning`` and ``validation`` by patient, and ``unlabelled``.

    Raises
    ------
    SettingsError
        If a set is not known.
    SlideNotFoundError
        If there is nothing at ``data``, or a set is not there.
    """
    if not data.is_dir():
        raise SlideNotFoundError(f"no graded images at {data}", "Give the folder that holds the sets.")
    graded = read_colorectal(data, config.sources)
    parts = split_graded(graded, fold=config.validation_fold, folds=config.folds, seed=config.split_seed)
    return {**parts, "unlabelled": read_colorectal(data, config.unlabelled)}


def find_tissue_config(name: str) -> TissueConfig:
    """Read the settings of a training: a TOML file, or one of slidelab's own by name.

    Raises
    ------
    SettingsError
        If there is no such file and no such name, or the settings are wrong.
    """
    from ...models.training.tissue.config import TissueConfig

    return read_configuration(name, TissueConfig, own=OWN)
