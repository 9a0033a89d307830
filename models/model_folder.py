"""A folder of models: cards with their weights beside them, and WSInfer models."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SettingsError, SlidelabError
from .card import NAME_PATTERN, ModelCard
from .tensor_file import check_tensor_file
from .wsinfer import CONFIG_FILE, WEIGHTS_FILE, read_wsinfer, refuse_torchscript

__all__ = ["BrokenModel", "ModelEntry", "land_model", "read_card_pair", "read_folder", "read_wsinfer_pair"]


@dataclass(frozen=True)
class ModelEntry:
    """A model that is at hand."""

    card: ModelCard
    weights: Path
    """The safetensors file."""
    source: str
    """Folder that it was found in, or the hub reference with the commit it stands for."""


@dataclass(frozen=True)
class BrokenModel:
    """Something that looks like a model and cannot be used."""

    name: str
    path: Path
    error: SlidelabError
    """What is wrong and what to do."""


def read_folder(folder: Path, *, digest: Callable[[Path], str]) -> Iterator[ModelEntry | BrokenModel]:
    """Read every model of a folder; what is wrong with one does not hide the others.

    Weights are not hashed here unless nothing else says what they should be (WSInfer).

    Parameters
    ----------
    folder : Path
        Holds ``NAME.json`` with ``NAME.safetensors``, and WSInfer models as ``config.json`` with
        ``model.safetensors``, itself or in its sub-folders. A folder that is absent holds nothing.
    digest : callable
        Returns the sha256 of a file.
    """
    for name in _card_names(folder):
        try:
            yield read_card_pair(folder, name, source=str(folder))
        except SlidelabError as error:
            yield BrokenModel(name, folder / f"{name}.json", error)
    for config in _wsinfer_configs(folder):
        try:
            refuse_torchscript(config.parent)
            yield read_wsinfer_pair(
                config.parent, origin=config.parent.name, source=str(config.parent), digest=digest
            )
        except SlidelabError as error:
            yield BrokenModel(config.parent.name, config, error)


def read_card_pair(folder: Path, name: str, *, source: str) -> ModelEntry:
    """Read ``NAME.json`` and make sure that ``NAME.safetensors`` beside it is what it is called."""
    card = ModelCard.read(folder / f"{name}.json")
    if card.name != name:
        raise SettingsError(
            f"{folder / name}.json: name: the card is for {card.name}", "Give file and card the same name."
        )
    weights = folder / f"{name}.safetensors"
    check_tensor_file(weights)
    return ModelEntry(card, weights, source)


def read_wsinfer_pair(folder: Path, *, origin: str, source: str, digest: Callable[[Path], str]) -> ModelEntry:
    """Read ``config.json`` with ``model.safetensors`` beside it."""
    weights = folder / WEIGHTS_FILE
    check_tensor_file(weights)
    return ModelEntry(
        read_wsinfer(folder / CONFIG_FILE, origin=origin, sha256=digest(weights)), weights, source
    )


def land_model(entry: ModelEntry, folder: Path, *, digest: Callable[[Path], str]) -> ModelEntry:
    """Copy a verified model into a folder, weights first; each file lands in one step.

    The copied card keeps where it came from. A damaged model of that name is replaced.

    Raises
    ------
    SettingsError
        If a sound model of that name with other weights is there.
    """
    from ..tiling import atomic_file

    name = entry.card.name
    if _holds_another(folder, entry.card, digest=digest):
        raise SettingsError(
            f"{folder} holds other weights under the name {name}", "Remove them, or pull into another folder."
        )
    card = entry.card.model_copy(update={"source": entry.source})
    weights = folder / f"{name}.safetensors"
    with atomic_file(weights) as temporary:
        shutil.copyfile(entry.weights, temporary)
    card.write(folder / f"{name}.json")
    return ModelEntry(card, weights, str(folder))


def _holds_another(folder: Path, card: ModelCard, *, digest: Callable[[Path], str]) -> bool:
    """Tell whether a folder has sound weights under a card's name that are not the card's."""
    try:
        there = read_card_pair(folder, card.name, source=str(folder))
    except SlidelabError:
        return False
    return there.card.sha256 != card.sha256 and there.card.sha256 == digest(there.weights)


def _card_names(folder: Path) -> list[str]:
    """Return the names of all cards, and of weights that lack one; other JSON files are strangers'."""
    cards = {path.stem for path in folder.glob("*.json") if re.fullmatch(NAME_PATTERN, path.stem)}
    weights = {path.stem for path in folder.glob("*.safetensors")}
    if (folder / CONFIG_FILE).is_file():
        weights.discard(Path(WEIGHTS_FILE).stem)
    return sorted(cards | weights)


def _wsinfer_configs(folder: Path) -> list[Path]:
    """Return the WSInfer configurations of a folder and its sub-folders."""
    return [path for pattern in (CONFIG_FILE, f"*/{CONFIG_FILE}") for path in sorted(folder.glob(pattern))]
