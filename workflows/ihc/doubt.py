"""When a slide is not what it should be: numbers may be looked at, but name no category."""

from __future__ import annotations

from dataclasses import replace

from ...quantify import Flag, SlideResult, Status, worst_status

__all__ = ["doubt_nuclear_stain", "without_categories"]

NUCLEAR_SHARE = 0.1
"""More than this share of tumour cells with a nucleus browner than its membrane does not fit a membrane
marker: a project rule."""


def without_categories(result: SlideResult) -> SlideResult:
    """Return the result for review, all numbers kept and no category."""
    scores = tuple(replace(score, category=None) for score in result.scores)
    return replace(result, scores=scores, status=worst_status(result.status, Status.REVIEW))


def doubt_nuclear_stain(result: SlideResult, nuclear: int) -> SlideResult:
    """Take the categories away where many of the tumour cells are stained in the nucleus.

    Parameters
    ----------
    result : SlideResult
        Of a membrane marker.
    nuclear : int
        Tumour cells whose nucleus is browner than their membrane.
    """
    total = result.headline.denominator
    if not total or nuclear <= NUCLEAR_SHARE * total:
        return result
    doubted = without_categories(result)
    return replace(doubted, flags=(*doubted.flags, Flag.NUCLEAR_STAIN))
