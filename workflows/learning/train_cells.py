"""Train a cell classifier from labelled cells: learn, choose temperature and reject rule, write the card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SlideNotFoundError
from ...models.labelled.cytology_cells import LabelledCell
from ...models.labelled.cytology_sets import read_cells
from ...models.labelled.split import PARTS
from .cell_card import publish_cells
from .training_folder import open_workspace, read_configuration

if TYPE_CHECKING:
    from ...models.training.cells.config import CellsConfig
    from ...models.training.run import Report

__all__ = ["find_cells_config", "read_labelled_cells", "train_cell_model"]

OWN = ("cervix-*.toml", "wbc-*.toml", "rbc-*.toml")
"""Names of slidelab's own configurations."""


def train_cell_model(
    config: CellsConfig,
    *,
    data: Path,
    folder: Path,
    device: str = "auto",
    overwrite: bool = False,
    report: Report | None = None,
) -> Path:
    """Train a cell classifier and write it as a model that the `Registry` can use.

    A run that was interrupted goes on where it stopped; one that is done only writes the model again.

    Parameters
    ----------
    config : CellsConfig
        How.
    data : Path
        Folder of the known sets of labelled cells.
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
        If there is nothing to learn from, a set is not known, or the model to start from is another network.
    ModelNotFoundError
        If the model to start from is not there.
    SlideNotFoundError
        If the cells are not there.
    RunFolderError
        If the folder holds a training with other settings or cells.
    """
    from ...models.registry import Registry
    from ...models.training.cells.loop import train_cell_network

    cells = read_labelled_cells(config, data)
    workspace = open_workspace(folder, config.name, overwrite=overwrite)
    start = None
    if config.start_from:
        folder.mkdir(parents=True, exist_ok=True)
        registry = Registry(folders=[folder])
        start = registry.load_tensors(registry.find(config.start_from))
    weights = train_cell_network(
        cells, config=config, folder=workspace, device=device, start=start, report=report
    )
    return publish_cells(weights, cells, config=config, folder=folder, device=device)


def read_labelled_cells(config: CellsConfig, data: Path) -> dict[str, list[LabelledCell]]:
    """Read the labelled cells that a configuration names, by part.

    Raises
    ------
    SettingsError
        If a set is not known.
    SlideNotFoundError
        If there is nothing at ``data``, or a set is not there.
    """
    if not data.is_dir():
        raise SlideNotFoundError(f"no labelled cells at {data}", "Give the folder that holds the sets.")
    cells = read_cells(data, config.sources)
    return {part: [cell for cell in cells if cell.part == part] for part in PARTS}


def find_cells_config(name: str) -> CellsConfig:
    """Read the settings of a training: a TOML file, or one of slidelab's own by name.

    Raises
    ------
    SettingsError
        If there is no such file and no such name, or the settings are wrong.
    """
    from ...models.training.cells.config import CellsConfig

    return read_configuration(name, CellsConfig, own=OWN)
