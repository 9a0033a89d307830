"""The training loop of stain generators: draws pairs, learns, logs, can be interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...session import choose_device
from ..progress import claim_folder, digest_names
from ..run import Report, take_all_steps
from .config import StainConfig
from .learner import StainLearner
from .samples import SiteField, SitePairs

__all__ = ["train_stain_generator"]


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

    def open_source(first: int) -> SitePairs:
        """Begin with a later batch."""
        pairs.first = first
        return pairs

    return take_all_steps(learner, open_source, folder=folder, images=digest, report=report)
