"""The training loop: draws crops, learns, measures on tuning cases, keeps the best, can be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ...errors import SettingsError
from ..labelled import LabelledImage
from ..network import CellNetwork
from ..session import choose_device
from .batches import CropSource
from .config import TrainingConfig
from .learner import Learner
from .progress import BEST, Progress, claim_folder, digest_images, load_checkpoint
from .run import Report, take_steps
from .samples import load_samples

__all__ = ["Measure", "train_detector"]

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
    if progress.is_over(config.steps, patience=config.patience):
        return folder / BEST

    def tune() -> dict[str, float]:
        """Measure, and keep what is best, once real images were learnt from or no step is left."""
        if progress.step <= config.phantom_steps and progress.step != config.steps:
            return {}
        value = float(measure(learner.averaged()))
        _keep_best(folder, learner, progress, value=value, always=config.keep == "last")
        return {"tuning": value}

    source = _open_source(images["training"], phantoms, config, first=progress.step)
    take_steps(
        learner,
        source,
        progress=progress,
        folder=folder,
        report=report,
        tune=tune,
        patience=config.patience,
    )
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
