"""Models on Hugging Face, or a mirror of it, each pinned to one revision."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import DamagedWeightsError, MissingDependencyError, ModelNotFoundError, SettingsError
from .wsinfer import CONFIG_FILE, WEIGHTS_FILE

__all__ = ["Hub", "HubReference", "HubSnapshot"]

PREFIX = "hf://"
FORM = "Write hf://ORG/REPOSITORY@COMMIT-OR-TAG/NAME, or without /NAME for a WSInfer model."
MOVING = frozenset({"main", "master", "head", "latest"})
"""Revisions that mean other weights tomorrow."""
REFERENCE = re.compile(
    r"hf://(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w-][\w.-]*))?(?P<name>(/[\w-][\w.-]*)*)/?"
)
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubReference:
    """Address of one model on the hub."""

    repository: str
    """``org/repository``."""
    revision: str
    """Commit or tag."""
    name: str
    """The card's path in the repository without ``.json``; empty for a WSInfer model."""

    @classmethod
    def parse(cls, text: str) -> HubReference:
        """Read ``hf://org/repository@revision/name``.

        Raises
        ------
        SettingsError
            If it has another form, or pins no revision: results must not change because a branch moved.
        """
        match = REFERENCE.fullmatch(text)
        if match is None:
            raise SettingsError(f"{text} is no address of a hub model", FORM)
        revision = match["revision"]
        if revision is None or revision.lower() in MOVING:
            raise SettingsError(f"{text} pins no revision, so its weights may change any day", FORM)
        return cls(match["repository"], revision, match["name"].strip("/"))

    def __str__(self) -> str:
        """Return the address as the user writes it."""
        return f"{PREFIX}{self.repository}@{self.revision}" + (f"/{self.name}" if self.name else "")

    @property
    def files(self) -> tuple[str, str]:
        """Card and weights, as paths in the repository."""
        if self.name:
            return f"{self.name}.json", f"{self.name}.safetensors"
        return CONFIG_FILE, WEIGHTS_FILE


@dataclass(frozen=True)
class HubSnapshot:
    """One model as it lies in the hub's cache on this machine."""

    reference: HubReference
    """With the full commit in place of a tag."""
    folder: Path
    """Holds card and weights."""

    @property
    def name(self) -> str:
        """The card's name; empty for a WSInfer model."""
        return PurePosixPath(self.reference.name).name


@dataclass(frozen=True)
class Hub:
    """How to reach the hub."""

    cache: Path | None = None
    """Folder of downloads; None takes Hugging Face's own (``HF_HOME``)."""
    endpoint: str | None = None
    """Address of a mirror; None takes ``HF_ENDPOINT``, or else huggingface.co."""

    def fetch(self, reference: HubReference) -> HubSnapshot:
        """Download a model's card and weights, unless this machine has them.

        Both come from one commit, even if a tag moves in between.

        Raises
        ------
        ModelNotFoundError
            If there is no such repository, revision or file, or no way to reach the hub (``HF_HUB_OFFLINE``).
        DamagedWeightsError
            If a mirror answers with another commit than the one that was asked for.
        """
        card_file, weights_file = reference.files
        card = self._download(reference, card_file)
        pinned = HubReference(reference.repository, _commit(card, reference.revision), reference.name)
        if COMMIT.fullmatch(reference.revision) and pinned.revision != reference.revision:
            raise DamagedWeightsError(
                f"{reference} was answered with commit {pinned.revision}", "Ask whoever runs the mirror."
            )
        weights = self._download(pinned, weights_file)
        if weights.parent != card.parent:
            raise DamagedWeightsError(
                f"card and weights of {reference} came from two commits", "Ask whoever runs the mirror."
            )
        return HubSnapshot(pinned, card.parent)

    def _download(self, reference: HubReference, file: str) -> Path:
        """Return one file of a repository in the local cache."""
        try:
            from huggingface_hub import errors, hf_hub_download
        except ImportError as error:
            raise MissingDependencyError(
                "models of Hugging Face need huggingface_hub", "Install it with: pip install huggingface_hub"
            ) from error
        # The library stands on requests, httpx or httpx2, by version: its own error knows which.
        transport: Any = next(
            base
            for base in errors.HfHubHTTPError.__mro__
            if base.__name__ in ("HTTPError", "RequestException")
        )
        offline = _is_offline()
        try:
            path = hf_hub_download(
                reference.repository,
                file,
                revision=reference.revision,
                cache_dir=self.cache,
                endpoint=self.endpoint or os.environ.get("HF_ENDPOINT") or None,
                local_files_only=offline,
            )
        except (OSError, ValueError, errors.EntryNotFoundError, transport) as error:
            what, advice = _explain(error, offline=offline, reference=reference, file=file)
            raise ModelNotFoundError(what, advice) from error
        return Path(path)


def _explain(error: Exception, *, offline: bool, reference: HubReference, file: str) -> tuple[str, str]:
    """Say in one line what kept a file from coming, and what helps."""
    from huggingface_hub import errors

    copy = "copy card and weights into the model folder by hand (SLIDELAB_MODELS)"
    if offline:
        what = f"offline (HF_HUB_OFFLINE is set), and {reference} was never downloaded here"
        return what, f"Unset HF_HUB_OFFLINE once, or {copy}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{reference}: no such repository, or it is private", "Check the name; run: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{reference}: the repository has no such revision", FORM
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        if file == WEIGHTS_FILE:
            what = f"{reference} holds no {file}; TorchScript is not loaded, as it can run any code"
            return what, "Convert it where you trust its origin, and put it into a model folder."
        return f"{reference} holds no {file}", "Check the model's name, and case, on the repository's page."
    reason = " ".join(str(error.__cause__ or error).split())[:120]
    return f"{reference} cannot be reached: {reason}", f"Check network, proxy and HF_ENDPOINT, or {copy}."


def _is_offline() -> bool:
    """Tell whether the user forbids network access, now or when huggingface_hub was loaded."""
    from huggingface_hub import constants

    wish = os.environ.get("HF_HUB_OFFLINE", "")
    return constants.HF_HUB_OFFLINE if not wish else wish.upper() in {"1", "ON", "YES", "TRUE"}


def _commit(path: Path, revision: str) -> str:
    """Return the commit that a cached file belongs to, from ``.../snapshots/COMMIT/...``."""
    parts = path.parts
    after = [parts[i + 1] for i in range(len(parts) - 1) if parts[i] == "snapshots"]
    commits = [part for part in after if COMMIT.fullmatch(part)]
    return commits[-1] if commits else revision
