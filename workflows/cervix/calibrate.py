"""Calibration of negative triage: finished runs with known diagnoses become a laboratory's profile."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

from ...errors import InvalidTableError, RunFolderError, SettingsError
from ...quantify import TriageCalibration, TriageSet, calibrate_triage, cervical_cutoffs, slides_to_prove
from ..report.flag_advice import explain
from ..runs.provenance import package_version
from ..runs.run_folder import RUN_FILE
from .lab import CervixLab

__all__ = ["CervixCalibration", "KnownSlide", "calibrate_screening", "read_diagnoses"]

YES = ("abnormal", "positive", "yes", "true", "1")
NO = ("normal", "negative", "no", "false", "0", "NILM")


@dataclass(frozen=True)
class KnownSlide:
    """A slide whose diagnosis is known."""

    slide: str
    patient: str
    """The slide itself where no patient is named."""
    code: str
    """Bethesda code, or "abnormal"."""
    is_abnormal: bool
    """ASC-US, AGC or worse."""


@dataclass(frozen=True)
class CervixCalibration:
    """A profile and what it rests on."""

    profile: CervixLab
    missed: tuple[str, ...]
    """Abnormal slides of the proving set that the threshold would clear."""
    abnormal_kept: Mapping[str, tuple[int, int]]
    """Slides of the proving set kept and in all, of ASC-US or worse, LSIL or worse and HSIL or worse."""

    def to_text(self) -> str:
        """Return what a terminal shows."""
        triage = self.profile.triage
        tuning, proving = triage.tuning, triage.proving
        confidence = 100 * float(triage.confidence)
        told = "none" if triage.clear_upto is None else f"{triage.clear_upto:.4f}"
        share = proving.excluded_interval
        ends = "" if share is None else f", {100 * share.low:.0f}-{100 * share.high:.0f} % (95 % interval)"
        lines = [
            f"{self.profile.identity}",
            f"risk up to which a negative slide is cleared: {told}",
            f"tuning:  {tuning.normal} normal and {tuning.abnormal} abnormal slides, {tuning.missed} missed",
            f"proving: {proving.normal} normal and {proving.abnormal} abnormal slides, "
            f"{proving.missed} missed",
            f"proven sensitivity: at least {100 * triage.bound:.1f} % ({confidence:.0f} %, one-sided, "
            f"Clopper-Pearson); wanted {100 * float(triage.required_bound):.1f} %",
            f"slides that nobody has to read: {proving.excluded} of {proving.slides}{ends}",
        ]
        for name, (kept, whole) in self.abnormal_kept.items():
            lines.append(f"kept, {name}: {kept} of {whole}")
        if self.missed:
            lines.append(f"missed: {', '.join(self.missed)}")
        for note in map(explain, triage.flags):
            lines += ["", f"! {note.words} {note.advice}"]
        if not triage.is_proven:
            needed = slides_to_prove(triage.required_bound, confidence=float(triage.confidence))
            lines.append(f"  {needed} abnormal slides without a miss would prove it.")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        triage = self.profile.triage
        return {
            "profile": self.profile.to_json(),
            "identity": self.profile.identity,
            "proven": triage.is_proven,
            "bound": triage.bound,
            "excluded": triage.proving.excluded,
            "slides": triage.proving.slides,
            "missed": list(self.missed),
            "flags": [str(flag) for flag in triage.flags],
        }


def calibrate_screening(
    tuning: str | Path,
    proving: str | Path,
    *,
    diagnoses: str | Path,
    name: str,
    version: int = 1,
    sensitivity: Fraction | None = None,
    created: date | None = None,
) -> CervixCalibration:
    """Pick the threshold on one run and prove it on another; no pixel is read again.

    Parameters
    ----------
    tuning, proving : str or Path
        Folders of finished runs of ``screen cervix`` with the same settings, without a slide or patient in
        common.
    diagnoses : str or Path
        CSV with the columns ``slide`` and ``diagnosis`` (a Bethesda code, or normal and abnormal), and
        ``patient`` if there are several slides of one.
    name : str
        Of the profile.
    version : int
        Of the profile; raise it with each calibration.
    sensitivity : Fraction, optional
        To keep on the tuning set; 100 % by default.
    created : date, optional
        Today by default.

    Raises
    ------
    RunFolderError
        If a run has not ended or holds slides of several scopes.
    InvalidTableError
        If a slide has no diagnosis, or the sets share slides or patients.
    """
    known = read_diagnoses(Path(diagnoses))
    sets, scopes, digests, held = [], [], [], []
    for folder in map(Path, (tuning, proving)):
        records = _records(folder)
        scopes += [record["cervix"]["triage"]["scope"] for record in records.values()]
        slides = [_known(known, slide) for slide in records]
        risks = [_risk(record) for record in records.values()]
        sets.append(
            TriageSet.of(
                [record["image"]["fingerprint"] for record in records.values()],
                patients=[each.patient for each in slides],
                risks=risks,
                abnormal=[each.is_abnormal for each in slides],
            )
        )
        digests.append(_digest(records))
        held.append(list(zip(slides, risks, strict=True)))
    scope = _one_scope(scopes)
    triage = calibrate_triage(sets[0], sets[1], scope=scope, sensitivity=sensitivity)
    profile = CervixLab(
        name=name.strip(),
        version=version,
        created=created or date.today(),
        triage=triage,
        tuning_sha256=digests[0],
        proving_sha256=digests[1],
        slidelab=package_version("slidelab"),
    )
    return CervixCalibration(profile, *_kept(held[1], triage))


def read_diagnoses(path: Path) -> dict[str, KnownSlide]:
    """Read slides with their diagnoses.

    Raises
    ------
    InvalidTableError
        If a column is missing, a slide is named twice, or a diagnosis is unknown.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTableError(f"no list of diagnoses can be read at {path}", "Check the path.") from error
    separator = ";" if ";" in text.partition("\n")[0] else ","
    rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
    if not rows or not {"slide", "diagnosis"} <= set(rows[0]):
        raise InvalidTableError(
            f"{path.name} lacks the columns slide and diagnosis", "Name them in the first line."
        )
    found: dict[str, KnownSlide] = {}
    for row in rows:
        slide, told = (row["slide"] or "").strip(), (row["diagnosis"] or "").strip()
        if not slide or slide in found:
            raise InvalidTableError(
                f"{path.name}: slide {slide!r} is empty or there twice", "Name each once."
            )
        code, is_abnormal = _diagnosis(told, path.name)
        found[slide] = KnownSlide(slide, (row.get("patient") or "").strip() or slide, code, is_abnormal)
    return found


def _diagnosis(told: str, where: str) -> tuple[str, bool]:
    """Return the code of a diagnosis and whether it is ASC-US, AGC or worse."""
    if told.lower() in YES:
        return "abnormal", True
    if told in NO or told.lower() in NO:
        return "NILM", False
    try:
        found = cervical_cutoffs().tbs_class(told)
    except SettingsError as error:
        raise InvalidTableError(
            f"{where}: the diagnosis {told!r} is unknown", "Use Bethesda codes, or normal and abnormal."
        ) from error
    return found.code, found.rank > 0


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the results of a finished run by slide."""
    try:
        facts = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{folder} holds no run", "Run slidelab screen cervix SLIDES first.") from error
    if facts.get("workflow") != "cervix" or facts.get("status") != "done":
        raise RunFolderError(
            f"{folder} holds no finished run of screen cervix", "Run the same command again to finish it."
        )
    found = {}
    for row in facts["slides"]:
        path = folder / "slides" / row["id"] / "report.json"
        if path.is_file():  # a slide that failed can be cleared by nobody
            found[row["id"]] = json.loads(path.read_text(encoding="utf-8"))
    if not found:
        raise RunFolderError(f"{folder} holds no results", "Give a run with results.")
    return found


def _known(known: Mapping[str, KnownSlide], slide: str) -> KnownSlide:
    """Return the diagnosis of a slide."""
    if slide not in known:
        raise InvalidTableError(
            f"slide {slide} has no diagnosis", "Add it to the list, or leave the slide out of the run."
        )
    return known[slide]


def _risk(record: Mapping[str, Any]) -> float:
    """Return the risk as triage sees it; infinite where the rules hold a slide back."""
    value = record["cervix"]["triage"]["risk"]
    return inf if value is None else float(value)


def _one_scope(scopes: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return what all slides have in common."""
    kinds = {json.dumps(scope, sort_keys=True) for scope in scopes}
    if len(kinds) != 1:
        different = sorted({key for scope in scopes for key in scope if scope[key] != scopes[0][key]})
        raise RunFolderError(
            f"the slides differ in {', '.join(different)}",
            "Calibrate each model, preparation and scanner by itself.",
        )
    return scopes[0]


def _digest(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the digest of the results of a run."""
    told = {slide: [record["image"]["fingerprint"], _risk(record)] for slide, record in records.items()}
    text = json.dumps(told, sort_keys=True, default=str).replace("Infinity", '"held"')
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(
    slides: Sequence[tuple[KnownSlide, float]], triage: TriageCalibration
) -> tuple[tuple[str, ...], dict[str, tuple[int, int]]]:
    """Return the missed slides of the proving set, and how many of each severity are kept."""
    limit = -inf if triage.clear_upto is None else triage.clear_upto
    ill = [(each, risk > limit) for each, risk in slides if each.is_abnormal]
    missed = tuple(each.slide for each, is_kept in ill if not is_kept)
    classes = cervical_cutoffs().classes
    found = {}
    for name, rank in (("ASC-US or worse", 1), ("LSIL or worse", 2), ("HSIL or worse", 4)):
        own = [
            is_kept
            for each, is_kept in ill
            if (classes[each.code].rank if each.code in classes else 1) >= rank
        ]
        found[name] = (sum(own), len(own))
    return missed, found
