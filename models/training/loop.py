"""The training loop: draws crops, learns, measures on tuning cases, keeps the best, can be interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ...errors import SettingsError
from ..labelled import LabelledImage
from ..network import CellNetwork
from ..session import choose_device
from .batches import CropSource, draw_ahead
from .config import TrainingConfig
from .learner import LOSSES, Learner
from .progress import (
    BEST,
    Progress,
    TrainingLog,
    claim_folder,
    digest_images,
    load_checkpoint,
    save_checkpoint,
)
from .samples import load_samples

__all__ = ["Measure", "Report", "train_detector"]

Report = Callable[[int, dict[str, float]], None]
"""Called after each step with the number of steps taken and their figures."""
Measure = Callable[[CellNetwork], float]
"""Returns how good a network is, more is better; it may fold and move the network."""


def train_detector(  # noqa: PLR0913 -- what is learnt from, how, where to, and what is told on the way
    images: Mapping[str, Sequence[LabelledImage]],
    phantoms: Sequence[LabelledImage],
    *,
    config: TrainingConfig,
    folder: Path,
    measure: Measure,
    start: Mapping[str, Tensor] | None = None,
    device: str = "auto",
    report: Report | None = None,
) -> Path:
    """Train a detector; goes on where an interrupted run of the same folder stopped.

    Going on is exact: on the same device kind and number of threads, the weights are those of a run that
    was never interrupted.

    Parameters
    ----------
    images : mapping
        Labelled images by part (`split_images`); only ``training`` is learnt from.
    phantoms : sequence of LabelledImage
        Painted images.
    config : TrainingConfig
        How.
    folder : Path
        Receives ``training.json``, ``checkpoint.pt``, ``log.csv``, TensorBoard's ``events`` if that is
        installed, and the best weights.
    measure : callable
        Returns how good a network is on the tuning cases, more is better. It is not called before the
        phantom steps are done.
    start : mapping, optional
        Weights to begin with; random ones by default.
    device : str
        ``auto``, ``cpu``, ``cuda``.
    report : callable, optional
        Called with the step and its figures.

    Returns
    -------
    Path
        ``best.safetensors``: the running mean of the weights at the best measurement.

    Raises
    ------
    SettingsError
        If there is nothing to learn from.
    RunFolderError
        If the folder holds a training with other settings or images.
    """
    _require_images(images, phantoms, config)
    claim_folder(folder, config)
    learner = Learner(config, choose_device(device))
    if start is not None:
        learner.begin_with(start)
    progress = load_checkpoint(folder, learner, images=digest_images(images))
    if _is_over(progress, config):
        return folder / BEST
    source = _open_source(images["training"], phantoms, config, first=progress.step)
    batches = draw_ahead(source, device=learner.device)
    sums = dict.fromkeys(LOSSES, 0.0)
    since, clock = 0, time.perf_counter() - progress.seconds
    with TrainingLog(folder, step=progress.step) as log:
        while not _is_over(progress, config):
            losses = learner.learn(next(batches), step=progress.step)
            progress.step += 1
            since += 1
            sums = {name: sums[name] + losses[name] for name in LOSSES}
            if report is not None:
                report(progress.step, losses)
            if progress.step % config.check_every and progress.step < config.steps:
                continue
            figures = {name: total / since for name, total in sums.items()}
            if progress.step > config.phantom_steps or progress.step == config.steps:
                figures["tuning"] = float(measure(learner.averaged()))
                _keep_best(folder, learner, progress, value=figures["tuning"], always=config.keep == "last")
            progress.seconds = time.perf_counter() - clock
            log.add(progress.step, figures | {"seconds": progress.seconds})
            save_checkpoint(folder, learner, progress)
            sums, since = dict.fromkeys(LOSSES, 0.0), 0
    return folder / BEST


def _require_images(
    images: Mapping[str, Sequence[LabelledImage]], phantoms: Sequence[LabelledImage], config: TrainingConfig
) -> None:
    """Raise unless there is something to learn from."""
    if not images.get("training"):
        others = sum(len(members) for members in images.values())
        raise SettingsError(
            f"no images to learn from: all {others} are kept for tuning and validation",
            "Add images of other cases, or give some the part training.",
        )
    if not any(len(image.x) for image in images["training"]):
        raise SettingsError(
            f"no nucleus is marked in any of {len(images['training'])} images to learn from",
            "Check the annotations.",
        )
    if config.paints and not phantoms:
        raise SettingsError(
            "the settings ask for phantoms and none are given", "Set phantoms and phantom_steps to 0."
        )


def _is_over(progress: Progress, config: TrainingConfig) -> bool:
    """Whether all steps are taken, or nothing is gained any more."""
    return progress.step >= config.steps or progress.stale >= config.patience


def _open_source(
    images: Sequence[LabelledImage], phantoms: Sequence[LabelledImage], config: TrainingConfig, *, first: int
) -> CropSource:
    """Read all images at all scales."""
    settings = config.network_settings()
    real = [
        sample
        for scale in config.scales
        for sample in load_samples(
            images, mpp=config.mpp * scale, heats=settings.heats, classes=settings.classes
        )
    ]
    painted = load_samples(phantoms, mpp=config.mpp, heats=settings.heats, classes=settings.classes)
    return CropSource(real, painted if config.paints else [], config, first=first)


def _keep_best(
    folder: Path, learner: Learner, progress: Progress, *, value: float, always: bool = False
) -> None:
    """Write the running mean if it is better than all before, or ``always``; count where it is not."""
    if not always and progress.best >= 0 and not value > progress.best:
        progress.stale += 1
        return
    progress.best, progress.stale = max(value, 0.0), 0
    learner.write_mean(folder / BEST)
