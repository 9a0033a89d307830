"""Negative triage: a threshold picked on one set of slides, proven on another, and what it may then clear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, inf, isfinite
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .cervical_cutoffs import NILM, cervical_cutoffs
from .count_interval import exact_interval, exact_lower_bound
from .flags import Flag
from .score import Interval, SlideResult, Status


@dataclass(frozen=True, slots=True)
class TriageSet:
    """Slides with a known diagnosis."""

    slides: tuple[str, ...]
    """Names or fingerprints, each once."""
    patients: tuple[str, ...]
    risks: NDArray[np.float64]
    """(N,) from ``triage_risk``: infinite for slides that the rules hold back whatever their risk."""
    abnormal: NDArray[np.bool_]
    """(N,) whether the diagnosis is ASC-US, AGC or worse."""

    @classmethod
    def of(
        cls,
        slides: Sequence[str],
        *,
        patients: Sequence[str],
        risks: ArrayLike,
        abnormal: ArrayLike,
    ) -> TriageSet:
        """Check columns of one length and return them as a set."""
        risk, ill = np.asarray(risks, dtype=np.float64), np.asarray(abnormal)
        sound = risk.ndim == 1 and {risk.size} == {len(slides), len(patients), ill.size}
        if not sound or ill.dtype != np.bool_ or np.isnan(risk).any() or len(set(slides)) != len(slides):
            raise InvalidTableError(
                "slides of a calibration with columns that do not fit, or one slide twice",
                "Give each slide once, with patient, risk (infinite if held back) and true or false.",
            )
        return cls(tuple(map(str, slides)), tuple(map(str, patients)), risk, ill)


@dataclass(frozen=True, slots=True)
class TriageCounts:
    """What a threshold does on one set."""

    abnormal: int
    missed: int
    """Abnormal slides that it would clear."""
    normal: int
    cleared: int
    """Normal slides that it clears."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, index(getattr(self, name)))
        if not (0 <= self.missed <= self.abnormal and 0 <= self.cleared <= self.normal):
            raise InvalidTableError(f"{self} contradict each other", "Parts cannot exceed their whole.")

    @property
    def slides(self) -> int:
        """All slides."""
        return self.abnormal + self.normal

    @property
    def excluded(self) -> int:
        """Slides that nobody would have to read, the missed ones among them."""
        return self.cleared + self.missed

    @property
    def sensitivity(self) -> Fraction | None:
        """Share of the abnormal slides that are kept; None without any."""
        return Fraction(self.abnormal - self.missed, self.abnormal) if self.abnormal else None

    def sensitivity_bound(self, confidence: float) -> float:
        """Return the one-sided Clopper-Pearson lower bound of the sensitivity; 0 without abnormal slides."""
        if not self.abnormal:
            return 0.0
        return exact_lower_bound(self.abnormal - self.missed, self.abnormal, confidence=confidence)

    @property
    def excluded_interval(self) -> Interval | None:
        """Exact 95 % interval of the share of all slides that is excluded; None without slides."""
        return exact_interval(self.excluded, self.slides) if self.slides else None

    @property
    def cleared_interval(self) -> Interval | None:
        """Exact 95 % interval of the share of the normal slides that is cleared; None without any."""
        return exact_interval(self.cleared, self.normal) if self.normal else None


@dataclass(frozen=True, slots=True)
class TriageCalibration:
    """A threshold with its proof; what it proves is worked out from the counts, never stored."""

    clear_upto: float | None
    """Largest risk that is cleared; None clears nothing."""
    tuning: TriageCounts
    proving: TriageCounts
    required_sensitivity: Fraction
    required_bound: Fraction
    confidence: Fraction
    scope: Mapping[str, str] = field(default_factory=dict)
    """What it holds for: model, preparation, scanner, ...; nothing else may be cleared by it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scope", dict(self.scope))
        if not self.scope or not all(str(value) for value in self.scope.values()):
            raise SettingsError(
                "a calibration that does not say what it holds for", "Name model, preparation and scanner."
            )
        if self.clear_upto is not None and not isfinite(self.clear_upto):
            raise InvalidTableError(f"a threshold of {self.clear_upto}", "Calibrate again.")

    @property
    def bound(self) -> float:
        """Lower bound of the sensitivity on the proving set."""
        return self.proving.sensitivity_bound(float(self.confidence))

    @property
    def is_proven(self) -> bool:
        """Whether the proving set bears the threshold out: its bound and the sensitivity itself."""
        kept = self.proving.sensitivity
        return kept is not None and kept >= self.required_sensitivity and self.bound >= self.required_bound

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Why nothing may be cleared, if so."""
        flags = [] if self.is_proven else [Flag.TRIAGE_NOT_PROVEN]
        return (*flags, Flag.TRIAGE_CLEARS_NOTHING) if self.clear_upto is None else tuple(flags)

    def to_json(self) -> dict[str, Any]:
        """Return plain types, ready for a JSON writer; fractions as texts."""
        return {
            "clear_upto": self.clear_upto,
            "tuning": {name: getattr(self.tuning, name) for name in TriageCounts.__slots__},
            "proving": {name: getattr(self.proving, name) for name in TriageCounts.__slots__},
            "required_sensitivity": str(self.required_sensitivity),
            "required_bound": str(self.required_bound),
            "confidence": str(self.confidence),
            "scope": dict(self.scope),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TriageCalibration:
        """Rebuild a calibration from what ``to_json`` returned."""
        fractions = ("required_sensitivity", "required_bound", "confidence")
        return cls(
            clear_upto=record["clear_upto"],
            tuning=TriageCounts(**record["tuning"]),
            proving=TriageCounts(**record["proving"]),
            scope=record["scope"],
            **{name: Fraction(record[name]) for name in fractions},
        )


@dataclass(frozen=True, slots=True)
class TriageDecision:
    """What becomes of a slide."""

    is_cleared: bool
    flags: tuple[Flag, ...] = ()
    """Why it is not cleared, where that is not its own risk."""


def triage_risk(result: SlideResult, risk: float | None) -> float:
    """Return the risk as triage sees it: infinite unless the slide is NILM with the status OK.

    A result with any open question, and a slide whose risk is not known, is never cleared.
    """
    is_negative = result.status is Status.OK and result.headline.category == NILM
    return float(risk) if is_negative and risk is not None and isfinite(risk) else inf


def pick_threshold(tuning: TriageSet, *, sensitivity: Fraction | None = None) -> float | None:
    """Pick the largest risk that may be cleared without losing more than a sensitivity allows.

    Parameters
    ----------
    tuning : TriageSet
        Slides to pick from; they prove nothing about the threshold.
    sensitivity : Fraction, optional
        Least share of abnormal slides to keep, above 0; 100 % by default.

    Returns
    -------
    float or None
        The risk of a normal slide, so that nothing more is cleared than the picked number of slides shows.
        None if no normal slide lies below the abnormal ones, or if there are no abnormal slides to learn
        from.
    """
    least = cervical_cutoffs().triage.sensitivity if sensitivity is None else sensitivity
    if not 0 < least <= 1:
        raise SettingsError(f"a sensitivity of {least}", "Use a share above 0 and up to 1.")
    ill = np.sort(tuning.risks[tuning.abnormal])
    if ill.size == 0:
        return None
    may_miss = floor((1 - Fraction(least)) * ill.size)
    first_kept = ill[may_miss] if may_miss < ill.size else inf
    well = tuning.risks[~tuning.abnormal]
    below = well[(well < first_kept) & np.isfinite(well)]
    return float(below.max()) if below.size else None


def count_triage(slides: TriageSet, clear_upto: float | None) -> TriageCounts:
    """Count what a threshold would clear; a slide of exactly that risk is cleared."""
    cleared = slides.risks <= (-inf if clear_upto is None else clear_upto)
    ill = slides.abnormal
    return TriageCounts(
        abnormal=int(ill.sum()),
        missed=int((ill & cleared).sum()),
        normal=int((~ill).sum()),
        cleared=int((~ill & cleared).sum()),
    )


def calibrate_triage(
    tuning: TriageSet,
    proving: TriageSet,
    *,
    scope: Mapping[str, str],
    sensitivity: Fraction | None = None,
    lower_bound: Fraction | None = None,
    confidence: Fraction | None = None,
) -> TriageCalibration:
    """Pick a threshold on one set and prove it on another.

    Parameters
    ----------
    tuning, proving : TriageSet
        Sets without a slide or a patient in common.
    scope : mapping of str to str
        What all slides have in common: model, preparation, scanner.
    sensitivity : Fraction, optional
        To keep on the tuning set, and again on the proving set; 100 % by default.
    lower_bound : Fraction, optional
        That the one-sided Clopper-Pearson bound on the proving set must reach; 95 % by default.
    confidence : Fraction, optional
        Of that bound; 95 % by default, for which 59 abnormal slides and no miss are the least.

    Returns
    -------
    TriageCalibration
        Also where the proof fails: then it clears nothing and says so.

    Raises
    ------
    InvalidTableError
        If the sets share slides or patients.
    """
    shared = set(tuning.slides) & set(proving.slides) | set(tuning.patients) & set(proving.patients)
    if shared:
        raise InvalidTableError(
            f"tuning and proving slides share {len(shared)} slides or patients, {min(shared)} for one",
            "Keep all slides of a patient in one of the two sets.",
        )
    limits = cervical_cutoffs().triage
    least = limits.sensitivity if sensitivity is None else Fraction(sensitivity)
    clear_upto = pick_threshold(tuning, sensitivity=least)
    return TriageCalibration(
        clear_upto=clear_upto,
        tuning=count_triage(tuning, clear_upto),
        proving=count_triage(proving, clear_upto),
        required_sensitivity=least,
        required_bound=limits.lower_bound if lower_bound is None else Fraction(lower_bound),
        confidence=limits.confidence if confidence is None else Fraction(confidence),
        scope=scope,
    )


def triage_slide(
    risk: float, *, calibration: TriageCalibration | None, scope: Mapping[str, str]
) -> TriageDecision:
    """Decide whether a slide may be cleared without a person.

    Parameters
    ----------
    risk : float
        From ``triage_risk``; infinite for whatever is not plainly negative.
    calibration : TriageCalibration or None
        Without one nothing is ever cleared.
    scope : mapping of str to str
        Of this slide; it has to agree with the calibration's in every point.

    Returns
    -------
    TriageDecision
    """
    if calibration is None:
        return TriageDecision(False, (Flag.TRIAGE_NOT_CALIBRATED,))
    if calibration.flags:
        return TriageDecision(False, calibration.flags)
    if dict(scope) != dict(calibration.scope):
        return TriageDecision(False, (Flag.TRIAGE_OTHER_SCOPE,))
    return TriageDecision(calibration.clear_upto is not None and bool(risk <= calibration.clear_upto))


def slides_to_prove(lower_bound: Fraction, *, missed: int = 0, confidence: float = 0.95) -> int:
    """Return the least number of abnormal slides with which a bound can be proven: 59 for 95 %, 299 for 99 %.

    Parameters
    ----------
    lower_bound : Fraction
        Sensitivity to prove, between 0 and 1.
    missed : int
        Abnormal slides that are missed among them.
    confidence : float
        Of the bound, one-sided.
    """
    if not 0 < lower_bound < 1 or missed < 0:
        raise SettingsError(f"a bound of {lower_bound} with {missed} missed", "Use a share between 0 and 1.")
    low, high = missed, missed + 1
    while exact_lower_bound(high - missed, high, confidence=confidence) < lower_bound:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = exact_lower_bound(middle - missed, middle, confidence=confidence) >= lower_bound
        low, high = (low, middle) if is_enough else (middle, high)
    return high
