"""Train a stain generator from fields of several sites: fit their looks, learn, write the card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SettingsError
from .stain_card import publish_generator
from .stain_fields import read_sites

if TYPE_CHECKING:
    from ...models.training.stain.config import StainConfig
    from ...models.training.stain.loop import Report

__all__ = ["find_stain_config", "train_stain_model"]


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
    workspace = folder / "training" / config.name
    if overwrite and workspace.is_dir():
        shutil.rmtree(workspace)
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
    from ...models.training.config import CONFIGS
    from ...models.training.stain.config import StainConfig

    path = Path(name)
    if path.suffix != ".toml":
        path = CONFIGS / f"{name}.toml"
        if not path.is_file():
            own = sorted(each.stem for each in CONFIGS.glob("stain-*.toml"))
            raise SettingsError(
                f"no training configuration {name!r}", f"Give a .toml file or one of: {', '.join(own)}."
            )
    config = StainConfig.read(path)
    return config.as_plain() if plain else config
