"""What the marker modules share: a score from a share of counts, warnings, and the slide's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import index

from ..errors import InvalidTableError
from .flags import Flag
from .interval import wilson_interval
from .ki67 import AREA_KEY_MISSING
from .score import Score, SlideResult, Status, worst_status


def share_score(numerator: int, denominator: int, *, name: str, rule: str, status: Status) -> Score:
    """Return 100 numerator / denominator in percent with its Wilson interval, without a category.

    Parameters
    ----------
    numerator, denominator : int
        Counts of cells, 0 <= numerator <= denominator.
    name, rule : str
        Of the score.
    status : Status
        What the evidence allows; NOT_ASSESSABLE without cells, whatever is given.

    Returns
    -------
    Score

    Raises
    ------
    InvalidTableError
        If the counts are no share.
    """
    k, n = index(numerator), index(denominator)
    if not 0 <= k <= n:
        raise InvalidTableError(f"{name}: {k} of {n} is no share", "Counts cannot be negative.")
    return Score(
        name=name,
        value=100 * k / n if n else None,  # one division of whole numbers: the nearest float there is
        unit="%",
        numerator=k,
        denominator=n,
        interval=wilson_interval(k, n).times(100) if n else None,
        status=status if n else Status.NOT_ASSESSABLE,
        category=None,
        rule=rule,
    )


def with_flags(score: Score, *flags: str) -> Score:
    """Return the score with more warnings."""
    return replace(score, flags=(*score.flags, *flags))


def assemble(
    marker: str,
    scores: Sequence[Score],
    *,
    is_for_review: bool,
    excluded: Mapping[str, int] | None,
    areas_mm2: Mapping[str, float] | None,
    flags: Sequence[str],
) -> SlideResult:
    """Put a slide's scores together, the headline first.

    Parameters
    ----------
    marker : str
        For example "ER".
    scores : sequence of Score
        The first decides the status.
    is_for_review : bool
        Whether something else asks for a person's eye; lowers an otherwise good slide to REVIEW, no further.
    excluded : mapping of str to int or None
        Cells left out, by reason.
    areas_mm2 : mapping of str to float or None
        Areas in mm²; a positive "missing" is tissue that could not be read and makes the result PARTIAL.
    flags : sequence of str
        Warnings about the slide, before those of its scores.

    Returns
    -------
    SlideResult
    """
    areas = areas_mm2 or {}
    is_partial = areas.get(AREA_KEY_MISSING, 0.0) > 0
    return SlideResult(
        marker=marker,
        scores=tuple(scores),
        status=worst_status(
            scores[0].status,
            Status.REVIEW if is_for_review else Status.OK,
            Status.PARTIAL if is_partial else Status.OK,
        ),
        flags=(
            *flags,
            *((Flag.AREA_MISSING,) if is_partial else ()),
            *(flag for score in scores for flag in score.flags),
        ),
        excluded=excluded or {},
        areas_mm2=areas,
    )
