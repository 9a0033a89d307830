"""What becomes of a screened slide: its result, whether it may be cleared, and what keeps it from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...quantify import (
    SlideResult,
    Status,
    TriageCalibration,
    triage_risk,
    triage_slide,
)
from ...quantify.cervical_cutoffs import NILM
from ...quantify.cervical_triage import TriageDecision

__all__ = ["ScreeningResult", "decide"]


@dataclass(frozen=True)
class ScreeningResult:
    """A slide's result, with what triage made of it."""

    result: SlideResult
    """As reported."""
    counted: SlideResult
    """As the rules alone have it, before it was left to a person for want of a calibration."""
    triage_risk: float
    """Infinite for slides that the rules hold back whatever their risk."""
    decision: TriageDecision
    is_calibrated: bool
    """Whether a proven calibration holds for this slide."""


def decide(
    counted: SlideResult,
    *,
    risk: float,
    calibration: TriageCalibration | None,
    scope: Mapping[str, str],
) -> ScreeningResult:
    """Decide what is reported of a slide.

    Parameters
    ----------
    counted : SlideResult
        From `score_cervical`.
    risk : float
        From `slide_risk`.
    calibration : TriageCalibration or None
        The laboratory's.
    scope : mapping of str to str
        Of this slide.

    Returns
    -------
    ScreeningResult
        Without a proven calibration of this scope every result asks for a person. With one, so does a
        negative slide that is not cleared.
    """
    held = triage_risk(counted, risk)
    decision = triage_slide(held, calibration=calibration, scope=scope)
    is_calibrated = calibration is not None and not decision.flags
    is_negative = counted.headline.category == NILM
    asks = not is_calibrated or (is_negative and not decision.is_cleared)
    reported = _for_review(counted, decision.flags) if asks else counted
    return ScreeningResult(reported, counted, held, decision, is_calibrated)


def _for_review(result: SlideResult, flags: tuple[str, ...]) -> SlideResult:
    """Return a result that asks for a person; worse statuses stay."""
    scores = tuple(
        replace(score, status=Status.REVIEW) if number == 0 and score.status is Status.OK else score
        for number, score in enumerate(result.scores)
    )
    status = Status.REVIEW if result.status is Status.OK else result.status
    return replace(result, scores=scores, status=status, flags=(*result.flags, *flags))
