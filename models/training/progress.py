"""What a training leaves on disk: settings, checkpoint, and log as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import torch

from ...errors import RunFolderError
from ..labelled import LabelledImage
from .learner import LOSSES
from .settings_file import SettingsFile

__all__ = [
    "BEST",
    "Learns",
    "Progress",
    "TrainingLog",
    "claim_folder",
    "digest_images",
    "digest_names",
    "load_checkpoint",
    "save_checkpoint",
]

BEST = "best.safetensors"
CHECKPOINT = "checkpoint.pt"
SETTINGS = "training.json"
LOG = "log.csv"
EVENTS = "events"
COLUMNS = ("step", *LOSSES, "tuning", "seconds")
ELSEWHERE = "Choose another folder, or --overwrite to begin anew."


class Learns(Protocol):
    """What learns and can be put away: `Learner`, or one of another kind of network."""

    device: torch.device
    """Where."""

    def state(self) -> dict[str, Any]:
        """Return everything that a later `restore` needs."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        ...


@dataclass
class Progress:
    """How far a training has come."""

    step: int = 0
    """Steps taken."""
    best: float = -1.0
    """Best measurement on the tuning cases, -1 before the first."""
    stale: int = 0
    """Measurements since then."""
    seconds: float = 0.0
    """Time spent."""
    images: str = ""
    """`digest_images` of what is learnt from; empty where unknown."""

    def is_over(self, steps: int, *, patience: float = math.inf) -> bool:
        """Tell whether all steps are taken, or ``patience`` measurements brought no gain."""
        return self.step >= steps or self.stale >= patience


def digest_images(images: Mapping[str, Iterable[LabelledImage]]) -> str:
    """Return a digest of which images, with how many nuclei, are learnt from and tuned on."""
    lines = [
        f"{part}/{image.set_name}/{image.case}/{image.name}/{len(image.x)}"
        for part in ("training", "tuning")
        for image in images.get(part, ())
    ]
    return digest_names(lines)


def digest_names(names: Iterable[str]) -> str:
    """Return a digest of names, whatever their order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def claim_folder(folder: Path, config: SettingsFile) -> None:
    """Write the settings of a run into its folder, or make sure that they are those of the run there.

    Raises
    ------
    RunFolderError
        If the folder holds a training with other settings; names the first that differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if not path.exists():
        path.write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
        return
    try:
        there = type(config).check(json.loads(path.read_text(encoding="utf-8")), where=SETTINGS)
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged: {error}", ELSEWHERE) from error
    for field in type(config).model_fields:
        before, now = getattr(there, field), getattr(config, field)
        if before != now:
            raise RunFolderError(
                f"{folder} holds a training with other settings ({field}: {before}, now {now})", ELSEWHERE
            )


def load_checkpoint(folder: Path, learner: Learns, *, images: str) -> Progress:
    """Restore a learner from a folder; where there is no checkpoint nothing is changed.

    Raises
    ------
    RunFolderError
        If the checkpoint is damaged, belongs to another network, or was trained on other images.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return Progress(images=images)
    try:
        saved: dict[str, Any] = torch.load(path, map_location=learner.device, weights_only=True)
        progress = Progress(**saved.pop("state"))
        learner.restore(saved)
    except (
        OSError,
        EOFError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        why = "no checkpoint" if isinstance(error, pickle.UnpicklingError) else str(error).partition("\n")[0]
        raise RunFolderError(
            f"cannot go on from {path}: {why[:160] or type(error).__name__}", ELSEWHERE
        ) from error
    if progress.images not in ("", images):
        raise RunFolderError(f"the training in {folder} began with other images or another split", ELSEWHERE)
    progress.images = images
    return progress


def save_checkpoint(folder: Path, learner: Learns, progress: Progress) -> None:
    """Write a checkpoint with one atomic rename."""
    path = folder / CHECKPOINT
    temporary = path.with_suffix(".tmp")
    torch.save({**learner.state(), "state": asdict(progress)}, temporary)
    temporary.replace(path)


class TrainingLog:
    """One row per measurement, in ``log.csv`` and, where TensorBoard is installed, as its events.

    Rows after ``step`` are dropped: a run that was killed takes those steps again.

    Parameters
    ----------
    folder : Path
        Where to.
    step : int
        Steps that were taken when the log is opened.
    columns : sequence of str
        Of the CSV file.
    """

    def __init__(self, folder: Path, *, step: int, columns: Sequence[str] = COLUMNS) -> None:
        self.path, self.columns = folder / LOG, columns
        kept = [row for row in _read_rows(self.path) if int(row["step"]) <= step]
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        temporary.replace(self.path)
        self._events = _event_writer(folder / EVENTS, step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Append a row; figures that are missing stay empty."""
        cells = {name: f"{value:.5g}" for name, value in figures.items()}
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            csv.DictWriter(stream, self.columns, restval="").writerow({"step": step, **cells})
        if self._events is not None:
            for name, value in figures.items():
                self._events.add_scalar(name, value, step)
            self._events.flush()


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Return the whole rows of a log; a killed run may have left half of one."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if None not in row.values()]
    return [row for row in rows if row.get("step", "").isdecimal()]


def _event_writer(folder: Path, *, step: int) -> Any:
    """Return TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
