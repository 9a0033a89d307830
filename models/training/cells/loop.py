"""The training loop of cell classifiers: draws crops, learns, logs, can be interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ....errors import SettingsError
from ...labelled.cytology_cells import LabelledCell
from ...session import choose_device
from ..batches import draw_ahead
from ..progress import (
    BEST,
    Progress,
    TrainingLog,
    claim_folder,
    digest_names,
    load_checkpoint,
    save_checkpoint,
)
from .config import CellsConfig
from .learner import LOSSES, CellLearner
from .samples import CellSource, load_cells

__all__ = ["Report", "train_cell_network"]

Report = Callable[[int, dict[str, float]], None]
"""Called after each step with the number of steps taken and their figures."""


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
    progress = load_checkpoint(folder, learner, images=digest)
    if progress.step < config.steps:
        samples = load_cells(learnt, mpp=config.mpp, side=config.network_settings().side)
        source = CellSource(learnt, samples, config, first=progress.step)
        _learn(source, learner, progress, folder=folder, report=report)
    learner.write_mean(folder / BEST)
    return folder / BEST


def _learn(
    source: CellSource, learner: CellLearner, progress: Progress, *, folder: Path, report: Report | None
) -> None:
    """Take the steps that are left."""
    config = learner.config
    batches = draw_ahead(source, device=learner.device)
    sums = dict.fromkeys(LOSSES, 0.0)
    since, clock = 0, time.perf_counter() - progress.seconds
    with TrainingLog(folder, step=progress.step, columns=("step", *LOSSES, "seconds")) as log:
        while progress.step < config.steps:
            losses = learner.learn(next(batches), step=progress.step)
            progress.step += 1
            since += 1
            sums = {name: sums[name] + losses[name] for name in LOSSES}
            if report is not None:
                report(progress.step, losses)
            if progress.step % config.check_every and progress.step < config.steps:
                continue
            progress.seconds = time.perf_counter() - clock
            figures = {name: total / since for name, total in sums.items()}
            log.add(progress.step, figures | {"seconds": progress.seconds})
            save_checkpoint(folder, learner, progress)
            sums, since = dict.fromkeys(LOSSES, 0.0), 0
