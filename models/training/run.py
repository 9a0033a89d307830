"""What all trainings share: steps are taken, logged and put away, and an interrupted run goes on exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

import torch

from .batches import Batch, draw_ahead
from .progress import BEST, Learns, Progress, TrainingLog, load_checkpoint, save_checkpoint

__all__ = ["Report", "Schedule", "TakesSteps", "take_all_steps", "take_steps"]

Report = Callable[[int, dict[str, float]], None]
"""Called after each step with the number of steps taken and their figures."""
Source = torch.utils.data.IterableDataset[Batch]


class Schedule(Protocol):
    """How long a training lasts."""

    @property
    def steps(self) -> int:
        """Steps in all."""
        ...

    @property
    def check_every(self) -> int:
        """Steps between log rows and checkpoints."""
        ...


class TakesSteps(Learns, Protocol):
    """A network that learns step by step."""

    losses: ClassVar[tuple[str, ...]]
    """Names of the losses, in their order."""

    @property
    def config(self) -> Schedule:
        """How it learns."""
        ...

    def learn(self, batch: Batch, *, step: int) -> dict[str, float]:
        """Take step number ``step``, counted from 0; returns the losses."""
        ...

    def write_mean(self, path: Path) -> None:
        """Write the running mean of the weights, atomically."""
        ...


def take_all_steps(
    learner: TakesSteps,
    open_source: Callable[[int], Source],
    *,
    folder: Path,
    images: str,
    report: Report | None = None,
) -> Path:
    """Take the steps that are left in a claimed folder, and write the running mean of the weights.

    Parameters
    ----------
    learner : TakesSteps
        As it begins; where there is a checkpoint it goes on from that.
    open_source : callable
        Returns the batches from a number on; not called where no step is left.
    folder : Path
        Receives checkpoint, log and weights.
    images : str
        `digest_names` of what is learnt from.
    report : callable, optional
        Called with the step and its figures.

    Returns
    -------
    Path
        ``best.safetensors``.

    Raises
    ------
    RunFolderError
        If the checkpoint is damaged, or is that of another training.
    """
    progress = load_checkpoint(folder, learner, images=images)
    if not progress.is_over(learner.config.steps):
        take_steps(learner, open_source(progress.step), progress=progress, folder=folder, report=report)
    learner.write_mean(folder / BEST)
    return folder / BEST


def take_steps(
    learner: TakesSteps,
    source: Source,
    *,
    progress: Progress,
    folder: Path,
    report: Report | None = None,
    tune: Callable[[], dict[str, float]] | None = None,
    patience: float = math.inf,
) -> None:
    """Take the steps that are left; every ``check_every`` steps a log row and a checkpoint are written.

    Parameters
    ----------
    learner : TakesSteps
        Restored from the checkpoint that ``progress`` is of.
    source : IterableDataset
        Batches from ``progress.step`` on.
    progress : Progress
        Moves on with the steps.
    folder : Path
        Receives checkpoint and log.
    report : callable, optional
        Called with the step and its figures.
    tune : callable, optional
        Called before each log row; returns ``tuning`` for it, or nothing where that was not measured.
    patience : float
        Measurements without gain (``progress.stale``) after which no more steps are taken.
    """
    config = learner.config
    batches = draw_ahead(source, device=learner.device)
    sums = dict.fromkeys(learner.losses, 0.0)
    since, clock = 0, time.perf_counter() - progress.seconds
    columns = ("step", *learner.losses, *(["tuning"] if tune else []), "seconds")
    with TrainingLog(folder, step=progress.step, columns=columns) as log:
        while not progress.is_over(config.steps, patience=patience):
            losses = learner.learn(next(batches), step=progress.step)
            progress.step += 1
            since += 1
            sums = {name: total + losses[name] for name, total in sums.items()}
            if report is not None:
                report(progress.step, losses)
            if progress.step % config.check_every and progress.step < config.steps:
                continue
            figures = {name: total / since for name, total in sums.items()}
            if tune is not None:
                figures |= tune()
            progress.seconds = time.perf_counter() - clock
            log.add(progress.step, figures | {"seconds": progress.seconds})
            save_checkpoint(folder, learner, progress)
            sums, since = dict.fromkeys(learner.losses, 0.0), 0
