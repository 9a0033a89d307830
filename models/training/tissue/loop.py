"""The training loop of tissue networks: draws crops, learns, logs, can be interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ....errors import SettingsError
from ...labelled.colorectal import GradedImage
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
from .config import TissueConfig
from .learner import LOSSES, TissueLearner
from .samples import GradedSource, load_graded

__all__ = ["Report", "train_tissue_network"]

Report = Callable[[int, dict[str, float]], None]
"""Called after each step with the number of steps taken and their figures."""
PARTS = ("training", "unlabelled")
"""Parts that are learnt from."""


def train_tissue_network(
    images: Mapping[str, Sequence[GradedImage]],
    *,
    config: TissueConfig,
    folder: Path,
    device: str = "auto",
    report: Report | None = None,
) -> Path:
    """Train a tissue network; goes on where an interrupted run of the same folder stopped.

    Going on is exact: on the same device kind and number of threads, the weights are those of a run that
    was never interrupted. All steps are taken: graded images are too few to spare some for stopping early.

    Parameters
    ----------
    images : mapping
        Images by part; ``training`` is learnt from, and of ``unlabelled`` all but a grade.
    config : TissueConfig
        How.
    folder : Path
        Receives ``training.json``, ``checkpoint.pt``, ``log.csv``, TensorBoard's ``events`` if that is
        installed, and the weights.
    device : str
        ``auto``, ``cpu``, ``cuda``.
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
        If the folder holds a training with other settings or images.
    """
    if not any(image.label in config.network_settings().classes for image in images.get("training", ())):
        raise SettingsError(
            "no graded image to learn from", "Give a set with images of the classes of the network."
        )
    claim_folder(folder, config)
    learner = TissueLearner(config, choose_device(device))
    digest = digest_names(
        f"{part}/{one.set_name}/{one.case}/{one.name}/{one.label}"
        for part in PARTS
        for one in images.get(part, ())
    )
    progress = load_checkpoint(folder, learner, images=digest)
    if progress.step < config.steps:
        _learn(images, learner, progress, folder=folder, report=report)
    learner.write_mean(folder / BEST)
    return folder / BEST


def _learn(
    images: Mapping[str, Sequence[GradedImage]],
    learner: TissueLearner,
    progress: Progress,
    *,
    folder: Path,
    report: Report | None,
) -> None:
    """Take the steps that are left."""
    config = learner.config
    source = _open_source(images, config, first=progress.step)
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


def _open_source(
    images: Mapping[str, Sequence[GradedImage]], config: TissueConfig, *, first: int
) -> GradedSource:
    """Read all images."""
    classes = config.network_settings().classes
    graded = [one for one in images["training"] if one.label in classes]
    unlabelled = list(images.get("unlabelled", ())) if config.unlabelled_crops else []
    return GradedSource(
        load_graded(graded, mpp=config.mpp, classes=classes),
        load_graded(unlabelled, mpp=config.mpp, classes=()),
        config,
        first=first,
    )
