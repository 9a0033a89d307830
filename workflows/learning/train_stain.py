"""Train a stain generator from fields of several sites: fit their looks, learn, write the card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .stain_card import publish_generator
from .stain_fields import read_sites
from .training_folder import open_workspace, read_configuration

if TYPE_CHECKING:
    from ...models.training.run import Report
    from ...models.training.stain.config import StainConfig

__all__ = ["find_stain_config", "train_stain_model"]

OWN = ("stain-*.toml",)
"""Names of slidelab's own configurations."""


def train_stain_model(
    config: StainConfig,
    *,
    data: Path,
    folder: Path,
    device: str = "auto",
    overwrite: bool = False,
    report: Report | None = None,
) -> Path:
    """Train a stain generator and write it as a model that the `Registry` can use.

    A run that was interrupted goes on where it stopped; one that is done only writes the model again.

    Parameters
    ----------
    config : StainConfig
        How.
    data : Path
        Folder of the known sets of H&E images; only their training parts are read.
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
        If a site is not known, or has nothing to learn from.
    SlideNotFoundError
        If the images are not there.
    RunFolderError
        If the folder holds a training with other settings or images.
    """
    from ...models.training.stain.loop import train_stain_generator

    fields = read_sites(config.sites, data, most=config.most_fields)
    workspace = open_workspace(folder, config.name, overwrite=overwrite)
    weights = train_stain_generator(fields, config=config, folder=workspace, device=device, report=report)
    return publish_generator(weights, fields, config=config, folder=folder)


def find_stain_config(name: str, *, plain: bool = False) -> StainConfig:
    """Read the settings of a training: a TOML file, or one of slidelab's own by name.

    Parameters
    ----------
    name : str
        File or name.
    plain : bool
        Take the same training of a plain CycleGAN, which is told no look.

    Raises
    ------
    SettingsError
        If there is no such file and no such name, or the settings are wrong.
    """
    from ...models.training.stain.config import StainConfig

    config = read_configuration(name, StainConfig, own=OWN)
    return config.as_plain() if plain else config
