"""The training loop of cell classifiers: draws crops, learns, logs, can be interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ....errors import SettingsError
from ...labelled.cytology_cells import LabelledCell
from ...session import choose_device
from ..progress import claim_folder, digest_names
from ..run import Report, take_all_steps
from .config import CellsConfig
from .learner import CellLearner
from .samples import CellSource, load_cells

__all__ = ["train_cell_network"]


def train_cell_network(
    cells: Mapping[str, Sequence[LabelledCell]],
    *,
    config: CellsConfig,
    folder: Path,
    device: str = "auto",
    start: dict[str, Tensor] | None = None,
    report: Report | None = None,
) -> Path:
    """Train a cell classifier; goes on where an interrupted run of the same folder stopped.

    Going on is exact: on the same device kind and number of threads, the weights are those of a run that
    was never interrupted. All steps are taken.

    Parameters
    ----------
    cells : mapping
        Cells by part; only ``training`` is learnt from.
    config : CellsConfig
        How.
    folder : Path
        Receives ``training.json``, ``checkpoint.pt``, ``log.csv``, TensorBoard's ``events`` if that is
        installed, and the weights.
    device : str
        ``auto``, ``cpu``, ``cuda``.
    start : dict of Tensor, optional
        First weights; a run that goes on has its own.
    report : callable, optional
        Called with the step and its figures.

    Returns
    -------
    Path
        ``best.safetensors``: the running mean of the weights after the last step.

    Raises
    ------
    SettingsError
        If there is nothing to learn from.
    RunFolderError
        If the folder holds a training with other settings or cells.
    """
    learnt = [one for one in cells.get("training", ()) if config.classes_of(getattr(one, config.labels))]
    if not learnt:
        raise SettingsError("no labelled cell to learn from", "Give a set with cells of the classes.")
    claim_folder(folder, config)
    learner = CellLearner(config, choose_device(device), start=start)
    digest = digest_names(f"{one.set_name}/{one.name}/{getattr(one, config.labels)}" for one in learnt)

    def open_source(first: int) -> CellSource:
        """Read all cells."""
        samples = load_cells(learnt, mpp=config.mpp, side=config.network_settings().side)
        return CellSource(learnt, samples, config, first=first)

    return take_all_steps(learner, open_source, folder=folder, images=digest, report=report)
