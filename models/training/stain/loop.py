"""The training loop of stain generators: draws pairs, learns, logs, can be interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.torch import save_file

from ....tiling import atomic_file
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
from .config import StainConfig
from .learner import LOSSES, StainLearner
from .samples import SiteField, SitePairs

__all__ = ["Report", "train_stain_generator"]

Report = Callable[[int, dict[str, float]], None]
"""Called after each step with the number of steps taken and their figures."""


def train_stain_generator(
    fields: Sequence[SiteField],
    *,
    config: StainConfig,
    folder: Path,
    device: str = "auto",
    report: Report | None = None,
) -> Path:
    """Train a stain generator; goes on where an interrupted run of the same folder stopped.

    Going on is exact: on the same device kind and number of threads, the weights are those of a run that
    was never interrupted.

    Parameters
    ----------
    fields : sequence of SiteField
        Images to learn from, of all sites of the configuration.
    config : StainConfig
        How.
    folder : Path
        Receives ``training.json``, ``checkpoint.pt``, ``log.csv`` and the weights.
    device : str
        ``auto``, ``cpu``, ``cuda``.
    report : callable, optional
        Called with the step and its figures.

    Returns
    -------
    Path
        ``best.safetensors``: the running mean of the generator's weights after the last step.

    Raises
    ------
    SettingsError
        If a site has nothing to learn from.
    RunFolderError
        If the folder holds a training with other settings or images.
    """
    pairs = SitePairs(fields, config)
    claim_folder(folder, config)
    learner = StainLearner(config, choose_device(device))
    digest = digest_names(f"{one.site}/{one.name}" for one in fields)
    progress = load_checkpoint(folder, learner, images=digest)
    if progress.step < config.steps:
        pairs.first = progress.step
        _learn(pairs, learner, progress, folder=folder, report=report)
    tensors = {name: tensor.contiguous() for name, tensor in learner.generator().state_dict().items()}
    with atomic_file(folder / BEST) as temporary:
        save_file(tensors, temporary)
    return folder / BEST


def _learn(
    pairs: SitePairs, learner: StainLearner, progress: Progress, *, folder: Path, report: Report | None
) -> None:
    """Take the steps that are left."""
    config = learner.config
    batches = draw_ahead(pairs, device=learner.device)
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
