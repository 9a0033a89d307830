"""The training loop of tissue networks: draws crops, learns, logs, can be interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ....errors import SettingsError
from ...labelled.colorectal import GradedImage
from ...session import choose_device
from ..progress import claim_folder, digest_names
from ..run import Report, take_all_steps
from .config import TissueConfig
from .learner import TissueLearner
from .samples import GradedSource, load_graded

__all__ = ["train_tissue_network"]

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

    def open_source(first: int) -> GradedSource:
        """Read all images."""
        classes = config.network_settings().classes
        graded = [one for one in images["training"] if one.label in classes]
        unlabelled = images.get("unlabelled", ()) if config.unlabelled_crops else ()
        return GradedSource(
            load_graded(graded, mpp=config.mpp, classes=classes),
            load_graded(unlabelled, mpp=config.mpp, classes=()),
            config,
            first=first,
        )

    return take_all_steps(learner, open_source, folder=folder, images=digest, report=report)
