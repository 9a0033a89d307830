"""Ki-67 labelling index: share of invasive tumour nuclei with any brown stain, as slide-level scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import index

from numpy.typing import ArrayLike

from ..errors import InvalidTableError
from .cutoffs import Scheme, ki67_cutoffs
from .flags import Flag
from .hotspot import HotSpot
from .interval import check_fields, wilson_interval
from .score import Interval, Score, SlideResult, Status, worst_status

MARKER = "Ki-67"
GLOBAL_NAME = "Ki-67 labelling index"
HOT_SPOT_NAME = "Ki-67 hot spot"

_GLOBAL_RULE = "ki67.pooled/1 (IKWG: Dowsett 2011, Nielsen 2021)"
_HOT_SPOT_RULE = "ki67.hot-spot/1 (project rule: nearest nuclei of each nucleus, highest index)"

AREA_KEY_MISSING = "missing"
"""Key of ``areas_mm2`` under which tissue that could not be read is given."""


def labelling_index(
    positive: int, negative: int, *, scheme: str = "ikwg-2021", name: str = GLOBAL_NAME
) -> Score:
    """Return the pooled index 100 P / (P + N) with its Wilson 95 % interval.

    Parameters
    ----------
    positive, negative : int
        Invasive tumour nuclei with any brown stain, and without.
    scheme : str
        Cut-offs that name the category, an id in the packaged file of cut-offs.
    name : str
        Of the score.

    Returns
    -------
    Score
        In percent. NOT_ASSESSABLE and no value without nuclei; INSUFFICIENT and no category under 200;
        REVIEW under 500; OK from 500. The category is decided on the exact counts.

    Raises
    ------
    InvalidTableError
        If a count is negative.
    SettingsError
        If there is no such scheme.
    """
    cutoffs = ki67_cutoffs()
    return categorised(_pooled(positive, negative, name=name, rule=_GLOBAL_RULE), cutoffs.scheme(scheme))


def pooled_index(positives: ArrayLike, totals: ArrayLike, *, scheme: str = "ikwg-2021") -> Score:
    """Return the index of all fields together, 100 sum(P) / sum(n); see ``labelling_index``."""
    positive, total = check_fields(positives, totals)
    return labelling_index(int(positive.sum()), int(total.sum() - positive.sum()), scheme=scheme)


def hot_spot_score(hot_spot: HotSpot | None, *, nuclei: int, count: int = 500) -> Score:
    """Return the index of a hot spot as a score, or say why there is none.

    Parameters
    ----------
    hot_spot : HotSpot or None
        From ``find_hot_spot``.
    nuclei : int
        Tumour nuclei that were searched.
    count : int
        Nuclei per window that were asked for.

    Returns
    -------
    Score
        In percent, always flagged as biased upward, and without category: global cut-offs do not apply to a
        maximum. ``neuroendocrine_grade`` has those that do.
    """
    if hot_spot is not None:
        score = _pooled(hot_spot.positive, hot_spot.negative, name=HOT_SPOT_NAME, rule=_HOT_SPOT_RULE)
        return _flagged(score, Flag.HOT_SPOT_BIASED_UPWARD)
    reason = Flag.HOT_SPOT_TOO_FEW_CELLS if nuclei < count else Flag.HOT_SPOT_NONE_WITHIN_RADIUS
    return _flagged(_pooled(0, 0, name=HOT_SPOT_NAME, rule=_HOT_SPOT_RULE), reason)


def neuroendocrine_grade(positive: int, negative: int) -> Score:
    """Return the Ki-67 part of a neuroendocrine tumour's grade: G1 < 3 %, G2 3-20 %, G3 > 20 %.

    Parameters
    ----------
    positive, negative : int
        Nuclei of the hot spot.

    Returns
    -------
    Score
        In percent; category G1, G2 or G3, none under 500 nuclei. The final grade is the higher of this one
        and the mitotic grade.
    """
    score = _pooled(positive, negative, name="Neuroendocrine Ki-67 grade", rule=_HOT_SPOT_RULE)
    return categorised(score, ki67_cutoffs().scheme("who-net-2022"))


def fda_high_ki67(positive: int, negative: int) -> Score:
    """Return the index of the whole specimen by the FDA's cut-off for abemaciclib, 20 % or more.

    Meant for slides stained with that companion assay only; needs 200 viable invasive tumour nuclei.
    """
    return labelling_index(positive, negative, scheme="fda-abemaciclib-2021", name="Ki-67, FDA abemaciclib")


def score_ki67(
    positive: int,
    negative: int,
    *,
    hot_spot: HotSpot | None,
    field_interval: Interval | None = None,
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
) -> SlideResult:
    """Assemble what is reported of a slide: the global index first, the hot spot beside it.

    Parameters
    ----------
    positive, negative : int
        All invasive tumour nuclei of the slide that count.
    hot_spot : HotSpot or None
        Of the same nuclei, from ``find_hot_spot``.
    field_interval : Interval or None
        From ``bootstrap_index_interval``; becomes a score of its own beside the Wilson interval.
    excluded : mapping of str to int
        Nuclei left out, by reason.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" is tissue that could not be read.
    flags : sequence of str
        Warnings about the slide, passed through.

    Returns
    -------
    SlideResult
        Its status is the global index's, made worse by missing tissue (PARTIAL). A hot spot that could not be
        scored lowers an otherwise good slide to REVIEW, no further: the global index still stands.
    """
    headline = labelling_index(positive, negative)
    hottest = hot_spot_score(hot_spot, nuclei=headline.denominator)
    scores = [headline, hottest]
    if field_interval is not None and headline.value is not None:
        scores.insert(1, _with_field_interval(headline, field_interval))
    areas = areas_mm2 or {}
    is_partial = areas.get(AREA_KEY_MISSING, 0.0) > 0
    all_flags = [*flags, *((Flag.AREA_MISSING,) if is_partial else ())]
    return SlideResult(
        marker=MARKER,
        scores=tuple(scores),
        status=worst_status(
            headline.status,
            Status.OK if hottest.status is Status.OK else Status.REVIEW,
            Status.PARTIAL if is_partial else Status.OK,
        ),
        flags=(*all_flags, *(flag for score in scores for flag in score.flags)),
        excluded=excluded or {},
        areas_mm2=areas,
    )


def _pooled(positive: int, negative: int, *, name: str, rule: str) -> Score:
    """Score a share of counts without naming a category."""
    k, n = index(positive), index(positive) + index(negative)
    if k < 0 or n < k:
        raise InvalidTableError(
            f"{name}: {k} positive and {n - k} negative nuclei", "Counts cannot be negative."
        )
    return Score(
        name=name,
        value=100 * k / n if n else None,  # one division of whole numbers: the nearest float there is
        unit="%",
        numerator=k,
        denominator=n,
        interval=wilson_interval(k, n).times(100) if n else None,
        status=ki67_cutoffs().status_of(n),
        category=None,
        rule=rule,
    )


def categorised(score: Score, scheme: Scheme, *, percent: Fraction | None = None) -> Score:
    """Return the score with its category, if there is evidence enough.

    Parameters
    ----------
    score : Score
        An index in percent.
    scheme : Scheme
        The cut-offs to use.
    percent : Fraction or None
        The exact index, where it is not numerator / denominator.

    Returns
    -------
    Score
        Category None and a flag under the scheme's least number of nuclei.
    """
    rule = f"{score.rule}; cut-offs {scheme.id} ({scheme.source})"
    if not score.status.allows_category:
        return replace(score, rule=rule)
    if score.denominator < scheme.minimum_nuclei:
        return _flagged(replace(score, rule=rule), Flag.BELOW_SCHEME_MINIMUM)
    exact = Fraction(100 * score.numerator, score.denominator) if percent is None else percent
    return replace(score, rule=rule, category=scheme.categorise(exact))


def _flagged(score: Score, flag: Flag) -> Score:
    """Return the score with one more warning."""
    return replace(score, flags=(*score.flags, flag))


def _with_field_interval(headline: Score, interval: Interval) -> Score:
    """Return the headline again with an interval that allows for clustering; it names no second category."""
    return replace(headline, name=f"{GLOBAL_NAME}, by field", interval=interval, category=None)
