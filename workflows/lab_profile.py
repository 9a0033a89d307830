"""The thresholds of a laboratory as a file: versioned, checked when read, and named in every report."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import SettingsError
from ..quantify import THRESHOLD_NAMES, Flag, IntensityBins

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["FORMAT", "LabDetector", "LabEvidence", "LabProfile", "LabThresholds", "marker_id"]

FORMAT = "slidelab.lab/1"
"""Name and version of the layout of the file."""
MARKERS = ("er", "her2", "ki67", "pdl1", "pr")
"""Markers that have a profile."""
GRADED_MARKERS = ("er", "her2", "pr")
"""Markers whose scores need more than the weak threshold."""
METHODS = ("controls", "reference")
"""Fitted to control slides of known strength, or to the laboratory's own scores."""
LONGEST_NAME = 80
"""Characters of a profile's name: it stands in headings."""
DIGEST_SHOWN = 6
"""Digits of the digest that reports show."""
SAME_MPP = 0.02
"""Share by which working resolutions may differ: a plane may be so far off what was asked."""


@dataclass(frozen=True)
class LabThresholds:
    """Least densities of the three strengths, OD (base 10)."""

    weak: float
    moderate: float
    strong: float
    fitted: tuple[str, ...]
    """Names of those that were fitted; the others are start values."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % interval of fitted ones, from drawing slides anew, OD."""

    def __post_init__(self) -> None:
        """Refuse thresholds that do not rise, and names of others."""
        IntensityBins(self.weak, self.moderate, self.strong)
        unknown = sorted({*self.fitted, *self.intervals} - set(THRESHOLD_NAMES))
        if unknown or not self.fitted or len(set(self.fitted)) != len(self.fitted):
            raise _wrong("thresholds.fitted", f"{', '.join(unknown or self.fitted) or 'nothing'} fitted")
        for name, (low, high) in self.intervals.items():
            if not 0 <= low <= high:
                raise _wrong(f"thresholds.intervals.{name}", f"{low} to {high} is no interval")


@dataclass(frozen=True)
class LabDetector:
    """What measured the cells."""

    name: str
    version: str
    sha256: str
    """Digest of its weights; empty for one without weights."""
    mpp: float
    """Working resolution, um per px."""
    membranes: str = ""
    """How membranes were measured; empty for nuclear markers."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a detector."""
        if not (self.name and self.version):
            raise _wrong("detector.name", "neither name nor version may be empty")
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise _wrong("detector.sha256", f"{self.sha256[:20]!r} is not 64 hexadecimal digits")
        if not 0 < self.mpp < 100:
            raise _wrong("detector.mpp", f"{self.mpp} um per px is no resolution")


@dataclass(frozen=True)
class LabEvidence:
    """What the thresholds rest on."""

    method: str
    """``controls`` or ``reference``."""
    slides: int
    cells: int
    run_sha256: str
    """Digest of the results that were used."""
    slidelab: str
    """Version of the software."""
    flags: tuple[str, ...] = ()
    """What a reader must know of the fit."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """``_fitted`` on the slides of the fit, ``_left_out`` on each slide by a fit without it, ``_start`` with
    the start values. Percent points, or points of the H-score."""

    def __post_init__(self) -> None:
        """Refuse what no calibration gives."""
        if self.method not in METHODS:
            raise _wrong("evidence.method", f"{self.method!r} is none of {', '.join(METHODS)}")
        if self.slides < 1 or self.cells < 1:
            raise _wrong("evidence.slides", f"{self.cells} cells of {self.slides} slides")
        if not re.fullmatch(r"[0-9a-f]{64}", self.run_sha256):
            raise _wrong("evidence.run_sha256", f"{self.run_sha256[:20]!r} is not 64 hexadecimal digits")
        for name, value in self.errors.items():
            if not re.fullmatch(r"[a-z_]+", name) or not 0 <= value <= 300:
                raise _wrong("evidence.errors", f"{name} = {value} is no error")


@dataclass(frozen=True)
class LabProfile:
    """Thresholds of one marker in one laboratory.

    Examples
    --------
    >>> lab = LabProfile.read("st-mary-er-v2.toml")  # doctest: +SKIP
    >>> lab.identity  # doctest: +SKIP
    'St. Mary ER SP1 v2 (3f9a1c)'
    """

    name: str
    """Laboratory, marker, clone: whatever tells it from the house's other profiles."""
    version: int
    created: date
    marker: str
    """Name of the workflow, such as ``er``."""
    thresholds: LabThresholds
    detector: LabDetector
    evidence: LabEvidence

    def __post_init__(self) -> None:
        """Refuse what cannot be written, or read by a human."""
        if not self.name.strip() or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            raise _wrong("name", f"{self.name[:30]!r} is not one line of 1-{LONGEST_NAME} characters")
        if self.version < 1:
            raise _wrong("version", f"{self.version} is not 1 or more")
        if self.marker not in MARKERS:
            raise _wrong("marker", f"{self.marker!r} is none of {', '.join(MARKERS)}")

    @property
    def bins(self) -> IntensityBins:
        """The thresholds as every rule takes them."""
        return IntensityBins(self.thresholds.weak, self.thresholds.moderate, self.thresholds.strong)

    @property
    def digest(self) -> str:
        """64 hex digits of the content; comments and spaces in the file do not count."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()

    @property
    def identity(self) -> str:
        """What a report calls it: name, version, and the first digits of the digest."""
        return f"{self.name} v{self.version} ({self.digest[:DIGEST_SHOWN]})"

    def check_marker(self, marker: str) -> None:
        """Refuse another marker than the profile's.

        Raises
        ------
        SettingsError
            The thresholds of one antibody say nothing about another.
        """
        if marker_id(marker) != self.marker:
            raise SettingsError(
                f"the laboratory profile {self.identity} is for {self.marker}, not for {marker_id(marker)}",
                "Give the profile of this marker; each marker is calibrated with its own slides.",
            )

    def check_fits(  # every part of a detector that shapes a density is compared by itself
        self,
        marker: str,
        detector: str,
        *,
        version: str | None = None,
        sha256: str | None = None,
        mpp: float | None = None,
        membranes: str | None = None,
    ) -> tuple[str, ...]:
        """Return what a reader must know when the profile is used here.

        Parameters
        ----------
        marker, detector : str
            Names of the workflow and of what finds cells.
        version, sha256, mpp, membranes
            Of the detector, as in `LabDetector`; None: not compared.

        Returns
        -------
        tuple of str
            Flags: of the fit itself, as far as they matter for the marker, and of every difference.

        Raises
        ------
        SettingsError
            If the profile is of another marker.
        """
        self.check_marker(marker)
        mine = self.detector
        flags = [flag for flag in self.evidence.flags if self._matters(flag)]
        others = ((detector, mine.name), (version, mine.version), (sha256, mine.sha256))
        if any(given not in (None, own) for given, own in (*others, (membranes, mine.membranes))):
            flags.append(Flag.LAB_PROFILE_OTHER_DETECTOR)
        if mpp is not None and abs(mpp / mine.mpp - 1) > SAME_MPP:
            flags.append(Flag.LAB_PROFILE_OTHER_RESOLUTION)
        return tuple(str(flag) for flag in flags)

    def _matters(self, flag: str) -> bool:
        """Tell whether a flag of the fit says anything about scores of the marker."""
        return flag != Flag.LAB_GRADES_NOT_FITTED or self.marker in GRADED_MARKERS

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with identity and digest."""
        values = asdict(self) | {"created": self.created.isoformat()}
        return {"format": FORMAT, "identity": self.identity, "digest": self.digest, **values}

    def to_toml(self) -> str:
        """Return the content of the file: the same profile gives the same text."""
        parts = asdict(self)
        intervals, errors = parts["thresholds"].pop("intervals"), parts["evidence"].pop("errors")
        tables = {
            "thresholds": parts.pop("thresholds"),
            "thresholds.intervals": {name: intervals[name] for name in THRESHOLD_NAMES if name in intervals},
            "detector": parts.pop("detector"),
            "evidence": parts.pop("evidence"),
            "evidence.errors": dict(sorted(errors.items())),
        }
        lines = [*_lines({"format": FORMAT, **parts})]
        for name, values in tables.items():
            if values:
                lines += ["", f"[{name}]", *_lines(values)]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str, *, where: str = "laboratory profile") -> Self:
        """Check the content of a file.

        Raises
        ------
        SettingsError
            Names the first wrong entry.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{where}: {error}", "It must be a TOML file.") from error
        return cls._checked(values, where)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, where: str = "laboratory profile") -> Self:
        """Check what `to_json` returned, and that it is what its digest says.

        Raises
        ------
        SettingsError
            Names the first wrong entry.
        """
        own = {name: value for name, value in values.items() if name not in ("identity", "digest")}
        profile = cls._checked(own, where)
        if values.get("digest", profile.digest) != profile.digest:
            raise SettingsError(
                f"{where}: digest: it is of another content", "Read the profile's file again."
            )
        return profile

    @classmethod
    def _checked(cls, values: dict[str, Any], where: str) -> Self:
        """Return the profile that plain values make, or say which of them is wrong."""
        from pydantic import TypeAdapter, ValidationError

        if values.pop("format", None) != FORMAT:
            raise SettingsError(
                f"{where} is not of the format {FORMAT}", "Make one with `slidelab calibrate`."
            )
        _refuse_unknown(values, where)
        try:
            # through JSON, where strict checks still let lists become tuples
            return TypeAdapter(cls).validate_json(json.dumps(values, default=str), strict=True)
        except ValidationError as error:
            raise _translated(error, where) from error

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a profile and check everything in it.

        Raises
        ------
        SettingsError
            If there is no such file, or something in it is wrong; names the first wrong entry.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"no laboratory profile can be read at {path}", "Make one with `slidelab calibrate`."
            ) from error
        return cls.from_toml(text, where=Path(path).name)

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the file in one step and return its path.

        Raises
        ------
        SettingsError
            If the file is there and holds another profile: reports may name it.
        """
        from ..tiling import atomic_file

        place, text = Path(path), self.to_toml()
        if place.exists() and not overwrite and place.read_bytes() != text.encode():
            raise SettingsError(
                f"{place} is there already, and reports may name it",
                "Raise the version and choose another file name, or allow overwriting.",
            )
        with atomic_file(place) as temporary:
            temporary.write_bytes(text.encode())
        return place


def marker_id(marker: str) -> str:
    """Return the plain name of a marker: "Ki-67" is ``ki67``."""
    return re.sub(r"[^a-z0-9]", "", marker.lower())


def _lines(values: Mapping[str, Any]) -> list[str]:
    """Return the entries of one table, in their order."""
    return [f"{name} = {_toml(value)}" for name, value in values.items()]


def _toml(value: Any) -> str:
    """Return one value; a JSON string is a TOML string, as profiles hold no control characters."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _refuse_unknown(values: Mapping[str, Any], where: str) -> None:
    """Refuse entries that no field stands for: a misspelt one must not pass for an absent one."""
    tables = {"": LabProfile, "thresholds": LabThresholds, "detector": LabDetector, "evidence": LabEvidence}
    for table, kind in tables.items():
        given = values if not table else values.get(table)
        unknown = sorted(set(given) - set(kind.__annotations__)) if isinstance(given, dict) else []
        if unknown:
            entry = f"{table}.{unknown[0]}".lstrip(".")
            raise SettingsError(f"{where}: {entry}: no such entry", "Correct or remove that entry.")


def _wrong(entry: str, what: str) -> SettingsError:
    """Return the error of one entry."""
    return SettingsError(f"{entry}: {what}", "Correct that entry of the profile, or calibrate again.")


def _translated(error: ValidationError, where: str) -> SettingsError:
    """Turn pydantic's report into one line that names the first wrong entry."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):  # of our own checks, which name the entry themselves
        return SettingsError(f"{where}: {cause.what}", cause.advice)
    entry = ".".join(str(part) for part in first["loc"])
    message = " ".join(first["msg"].split())
    return SettingsError(f"{where}: {entry}: {message}", "Correct that entry of the profile.")
