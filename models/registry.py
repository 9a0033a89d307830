"""Which models are at hand, which of them the licence policy allows, and which is the default."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import ModelNotFoundError, ModelRefusedError, SettingsError
from .card import ModelCard
from .hub import PREFIX, Hub, HubReference
from .model_folder import BrokenModel, ModelEntry, land_model, read_card_pair, read_folder, read_wsinfer_pair
from .tensor_file import check_tensor_file, compare_sha256, file_sha256, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BrokenModel", "LicencePolicy", "ModelEntry", "Registry", "user_model_folder"]

LicencePolicy = Literal["permissive", "research"]

PACKAGED = Path(__file__).resolve().parent / "weights"
"""Weights that come with the package."""
FOLDER_VARIABLE = "SLIDELAB_MODELS"
LIST = "slidelab models list shows all."


def user_model_folder() -> Path:
    """Return the user's folder of models: ``SLIDELAB_MODELS``, or else ``~/.cache/slidelab/models``."""
    return Path(os.environ.get(FOLDER_VARIABLE) or "~/.cache/slidelab/models").expanduser()


class Registry:
    """All models at hand, under one licence policy.

    Parameters
    ----------
    folders : iterable of Path, optional
        Where to look after the packaged weights; by default the user's model folder.
    policy : {"research", "permissive"}
        ``permissive`` refuses research-only weights.
    packaged : Path
        Folder of the packaged weights.
    hub : Hub, optional
        How to reach Hugging Face.

    Raises
    ------
    SettingsError
        If the policy is unknown or a given folder does not exist.

    Notes
    -----
    A name means one set of weights. The packaged model comes first, then the folders in their order;
    another model under a taken name is reported among the broken ones and never used silently.
    Folders are read anew at each call, so a model that was just trained is found.
    """

    def __init__(
        self,
        *,
        folders: Iterable[Path] | None = None,
        policy: LicencePolicy = "research",
        packaged: Path = PACKAGED,
        hub: Hub | None = None,
    ) -> None:
        if policy not in get_args(LicencePolicy):
            raise SettingsError(
                f"unknown licence policy {policy!r}", f"Choose from {', '.join(get_args(LicencePolicy))}."
            )
        given = None if folders is None else [Path(folder) for folder in folders]
        for folder in given or ():
            if not folder.is_dir():
                raise SettingsError(f"no model folder at {folder}", "Check the path.")
        self.policy: LicencePolicy = policy
        self._folders = (packaged, *([user_model_folder()] if given is None else given))
        self._hub = hub or Hub()
        self._digests: dict[tuple[Path, int, int], str] = {}

    def entries(self) -> tuple[ModelEntry, ...]:
        """Return all readable models, also those that the policy refuses, by name."""
        return tuple(self._scan()[0].values())

    def cards(self) -> tuple[ModelCard, ...]:
        """Return the cards of all readable models, by name."""
        return tuple(entry.card for entry in self.entries())

    def names(self) -> tuple[str, ...]:
        """Return the names of all readable models."""
        return tuple(card.name for card in self.cards())

    def broken(self) -> tuple[BrokenModel, ...]:
        """Return what looks like a model and cannot be used, with the reason."""
        return self._scan()[1]

    def allows(self, card: ModelCard) -> bool:
        """Tell whether the policy allows a model."""
        return self.policy == "research" or not card.research_only

    def find(self, name: str) -> ModelEntry:
        """Return one model, its weights verified.

        Parameters
        ----------
        name : str
            A model's name, or ``hf://org/repository@revision/name``, which downloads it where need be.

        Raises
        ------
        ModelNotFoundError
            If there is none; the advice lists the nearest names.
        ModelRefusedError
            If the licence policy refuses it; the advice names a permissive model of the same task and
            stain, if there is one.
        DamagedWeightsError
            If the weights are not those of the card, or no safetensors.
        """
        entry = self._fetch(name) if name.startswith(PREFIX) else self._local(name)
        self._require_allowed(entry.card)
        self._verify(entry)
        return entry

    def default(self, *, task: str, stain: str) -> ModelEntry:
        """Return the allowed model of a task and stain with the lowest ``default_rank``, verified.

        Raises
        ------
        ModelNotFoundError
            If no model fits.
        ModelRefusedError
            If models fit, and the policy refuses every one of them.
        """
        fitting = self._fitting(task=task, stain=stain)
        if not fitting:
            raise ModelNotFoundError(f"no model for {task} on {stain} is at hand", LIST)
        return self.find(next(filter(self.allows, fitting), fitting[0]).name)

    def ranked(self, *, task: str, stain: str) -> tuple[ModelCard, ...]:
        """Return the cards that the policy allows for a task and stain, the default first; ties by name."""
        return tuple(card for card in self._fitting(task=task, stain=stain) if self.allows(card))

    def load_tensors(self, entry: ModelEntry) -> dict[str, Tensor]:
        """Return the weights by name as CPU tensors; the bytes loaded are those that the card describes."""
        return read_tensors(entry.weights, sha256=entry.card.sha256)

    def pull(self, reference: str, *, into: Path | None = None) -> ModelEntry:
        """Copy a model from the hub into a model folder, as card and weights.

        Each file lands in one step, weights first: a card is never seen without its weights.

        Parameters
        ----------
        reference : str
            ``hf://org/repository@revision/name``.
        into : Path, optional
            By default the user's model folder; made if need be.

        Raises
        ------
        SettingsError
            If the address has another form or pins no revision, if other weights of that name are there,
            or if the folder cannot be written.
        ModelNotFoundError, ModelRefusedError, DamagedWeightsError
            As `find`.
        """
        entry = self._fetch(reference)
        self._require_allowed(entry.card)
        self._verify(entry)
        folder = user_model_folder() if into is None else into
        try:
            landed = land_model(entry, folder, digest=self._digest)
        except OSError as error:
            raise SettingsError(
                f"cannot write to {folder}: {error.strerror or error}",
                f"Choose another folder ({FOLDER_VARIABLE}).",
            ) from error
        self._verify(landed)
        return landed

    def _scan(self) -> tuple[dict[str, ModelEntry], tuple[BrokenModel, ...]]:
        """Read all folders."""
        found: dict[str, ModelEntry] = {}
        broken: list[BrokenModel] = []
        for folder in dict.fromkeys(self._folders):
            for item in read_folder(folder, digest=self._digest):
                if isinstance(item, BrokenModel):
                    broken.append(item)
                    continue
                first = found.setdefault(item.card.name, item)
                if first.card.sha256 != item.card.sha256:
                    broken.append(_shadowed(item, first))
        return dict(sorted(found.items())), tuple(broken)

    def _local(self, name: str) -> ModelEntry:
        """Return a model of the folders, or say why there is none."""
        found, broken = self._scan()
        if name in found:
            return found[name]
        for item in broken:
            if item.name == name:
                raise item.error
        near = get_close_matches(name, found, n=3, cutoff=0.4)
        advice = f"Nearest: {', '.join(near)}. {LIST}" if near else LIST
        raise ModelNotFoundError(f"no model is named {name!r}", advice)

    def _fetch(self, reference: str) -> ModelEntry:
        """Return a model of the hub from the local cache, downloaded where need be."""
        snapshot = self._hub.fetch(HubReference.parse(reference))
        source = str(snapshot.reference)
        if snapshot.name:
            return read_card_pair(snapshot.folder, snapshot.name, source=source)
        origin = snapshot.reference.repository.rpartition("/")[2]
        return read_wsinfer_pair(snapshot.folder, origin=origin, source=source, digest=self._digest)

    def _require_allowed(self, card: ModelCard) -> None:
        """Raise if the policy refuses a model."""
        if self.allows(card):
            return
        sets = ", ".join(f"{data.name} ({data.licence})" for data in card.licence.restricting)
        cause = f"trained on {sets}" if sets else f"licence of the weights: {card.licence.weights}"
        others = self.ranked(task=card.task, stain=card.stain)
        instead = (
            f"Use {others[0].name}" if others else f"No permissive {card.task} for {card.stain} is at hand"
        )
        raise ModelRefusedError(
            f"{card.name} is research-only and the licence policy is {self.policy}; {cause}",
            f"{instead}; or choose --license-policy research.",
        )

    def _fitting(self, *, task: str, stain: str) -> list[ModelCard]:
        """Return all cards for a task and stain, also those that the policy refuses, best first."""
        cards = [card for card in self.cards() if card.task == task and card.stain in (stain, "any")]
        return sorted(cards, key=lambda card: (card.default_rank, card.name))

    def _verify(self, entry: ModelEntry) -> None:
        """Raise unless the weights are those of the card."""
        check_tensor_file(entry.weights)
        compare_sha256(entry.weights, found=self._digest(entry.weights), expected=entry.card.sha256)

    def _digest(self, path: Path) -> str:
        """Return the sha256 of a file, computed once as long as the file does not change."""
        about = path.stat()
        key = (path, about.st_mtime_ns, about.st_size)
        if key not in self._digests:
            self._digests[key] = file_sha256(path)
        return self._digests[key]


def _shadowed(item: ModelEntry, first: ModelEntry) -> BrokenModel:
    """Report a model whose name is taken."""
    error = SettingsError(
        f"{item.source} holds other weights under the name {item.card.name}, which {first.source} has",
        "Rename one of them: a name must mean one set of weights.",
    )
    return BrokenModel(item.card.name, item.weights, error)
