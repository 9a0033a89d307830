"""The calibration of a laboratory as a file: the threshold below which negative slides need no reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from ...errors import SettingsError
from ...quantify import CervicalCutoffs, TriageCalibration, cervical_cutoffs
from ...tiling import write_json

__all__ = ["FORMAT", "CervixLab"]

FORMAT = "slidelab.cervix-lab/1"
"""Name and version of the layout of the file."""
LONGEST_NAME = 80
"""Characters of a profile's name: it stands in headings."""
DIGEST_SHOWN = 6
"""Digits of the digest that reports show."""


@dataclass(frozen=True)
class CervixLab:
    """What a laboratory's own slides have shown of the screening there.

    Examples
    --------
    >>> lab = CervixLab.read("st-mary-cervix-v1.json")  # doctest: +SKIP
    >>> lab.identity  # doctest: +SKIP
    'St. Mary ThinPrep v1 (3f9a1c)'
    """

    name: str
    """Laboratory and preparation."""
    version: int
    created: date
    triage: TriageCalibration
    """Threshold, its proof, and what it holds for."""
    tuning_sha256: str
    """Digest of the results that the threshold was picked on."""
    proving_sha256: str
    """Digest of the results that it was proven on."""
    slidelab: str
    """Version of the software."""

    def __post_init__(self) -> None:
        """Refuse what cannot be written, or read by a human."""
        if not self.name.strip() or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            raise SettingsError(
                f"a profile named {self.name[:30]!r}", f"Give one line of 1-{LONGEST_NAME} characters."
            )
        if self.version < 1:
            raise SettingsError(f"version {self.version} of a profile", "Use 1 or more.")

    @property
    def digest(self) -> str:
        """64 hex digits of the content."""
        text = json.dumps(self._content(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def identity(self) -> str:
        """What a report calls it: name, version, and the first digits of the digest."""
        return f"{self.name} v{self.version} ({self.digest[:DIGEST_SHOWN]})"

    @property
    def cutoffs(self) -> CervicalCutoffs:
        """The cut-offs of its rules: those of the package, which it was calibrated with."""
        return cervical_cutoffs()

    def facts(self) -> dict[str, Any]:
        """Return what shapes results: identity and digest."""
        return {"identity": self.identity, "digest": self.digest}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with the digest of the rest."""
        return {**self._content(), "digest": self.digest}

    def _content(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "created": self.created.isoformat(),
            "triage": self.triage.to_json(),
            "tuning_sha256": self.tuning_sha256,
            "proving_sha256": self.proving_sha256,
            "slidelab": self.slidelab,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, where: str = "laboratory profile") -> Self:
        """Check what `to_json` returned, and that it is what its digest says.

        Raises
        ------
        SettingsError
            If it is something else, or was changed by hand.
        """
        if values.get("format") != FORMAT:
            raise SettingsError(
                f"{where} is not of the format {FORMAT}", "Make one with `slidelab calibrate cervix`."
            )
        try:
            lab = cls(
                name=values["name"],
                version=values["version"],
                created=date.fromisoformat(values["created"]),
                triage=TriageCalibration.from_json(values["triage"]),
                tuning_sha256=values["tuning_sha256"],
                proving_sha256=values["proving_sha256"],
                slidelab=values["slidelab"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SettingsError(f"{where}: {error}", "Make the profile again.") from error
        if values.get("digest") != lab.digest:
            raise SettingsError(
                f"{where}: its digest is of another content", "Never edit a profile: calibrate again."
            )
        return lab

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a profile and check everything in it.

        Raises
        ------
        SettingsError
            If there is no such file, or something in it is wrong.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"no laboratory profile can be read at {path}", "Make one with `slidelab calibrate cervix`."
            ) from error
        if not isinstance(values, dict):
            raise SettingsError(f"{path} holds no profile", "Make one with `slidelab calibrate cervix`.")
        return cls.from_json(values, where=Path(path).name)

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the file in one step and return its path.

        Raises
        ------
        SettingsError
            If the file is there and holds something else: reports may name it.
        """
        place = Path(path)
        if place.exists() and not overwrite and not self._is_in(place):
            raise SettingsError(
                f"{place} is there already, and reports may name it",
                "Raise the version and choose another file name, or allow overwriting.",
            )
        write_json(place, self.to_json())
        return place

    def _is_in(self, place: Path) -> bool:
        """Whether a file holds this profile."""
        try:
            return CervixLab.read(place).digest == self.digest
        except SettingsError:
            return False
