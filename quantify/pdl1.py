"""PD-L1: TPS, CPS, IC and TAP, and what they mean for an assay and a tumour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import sqrt

from .assembly import assemble, share_score, with_flags
from .cutoffs import band_of
from .flags import Flag
from .interval import normal_quantile, wilson_interval
from .pdl1_cells import Pdl1Areas, Pdl1Evidence
from .pdl1_cutoffs import IMMUNE_MEASURES, Assay, Pdl1Cutoff, pdl1_cutoffs
from .score import Interval, Score, SlideResult, Status, worst_status

MARKER = "PD-L1"
CPS_CAP = 100
"""By definition: the combined positive score is reported as 100 at most."""

_TPS_RULE = "pdl1.tps/1 (stained viable tumour cells / viable tumour cells)"
_CPS_RULE = (
    "pdl1.cps/1 (stained tumour cells, lymphocytes and macrophages / viable tumour cells, 100 at most)"
)
_AREA_RULES = {
    "IC": "pdl1.ic/1 (area of stained immune cells / tumour area)",
    "TAP": "pdl1.tap/1 (area of stained tumour and immune cells / tumour area; Liu 2023)",
    "ICP": "pdl1.icp/1 (area with immune cells / tumour area)",
    "IC+": "pdl1.ic-plus/1 (area of stained immune cells / area with immune cells)",
}
_UM2_PER_MM2 = 1_000_000


@dataclass(frozen=True, slots=True)
class _Measured:
    """A score on its way: with its exact value, where there is one."""

    score: Score
    exact: Fraction | None


def tumour_proportion_score(evidence: Pdl1Evidence, *, assay: str) -> Score:
    """Return TPS (some assays call it TC): percent of viable tumour cells with membrane stain.

    Its category is the assay's bin. INSUFFICIENT and no category under the assay's least number of tumour
    cells.
    """
    return _tumour_score(evidence, pdl1_cutoffs().assay(assay)).score


def combined_positive_score(evidence: Pdl1Evidence, *, assay: str, immune_told: bool) -> Score:
    """Return CPS: stained tumour cells, lymphocytes and macrophages per 100 viable tumour cells, 100 at most.

    Parameters
    ----------
    evidence : Pdl1Evidence
        If nobody looked for immune cells the score is NOT_ASSESSABLE: they are not taken for none.
    assay : str
        For the least number of tumour cells.
    immune_told : bool
        Whether lymphocytes and macrophages were told from other immune cells. If not: EXPERIMENTAL and
        REVIEW.

    Returns
    -------
    Score
        Numerator and denominator give the score before the cap.

    Notes
    -----
    The interval joins Wilson's for the tumour cells and the score interval of a Poisson count for the immune
    cells [1]_; like the value, it ends at 100.

    References
    ----------
    .. [1] Zou GY, Donner A, Construction of confidence limits about effect measures: a general approach, Stat
    Med
       2008, 27:1693 (MOVER).
    """
    return _combined_score(evidence, pdl1_cutoffs().assay(assay), immune_told=immune_told).score


def area_score(measure: str, evidence: Pdl1Evidence, *, assay: str, immune_told: bool) -> Score:
    """Return a share of an area in percent: "IC", "TAP", "ICP" or "IC+".

    Numerator and denominator are whole um². There is no interval: pieces of one area are no independent
    trials. NOT_ASSESSABLE where an area was not measured or the denominator is empty.
    """
    return _area_score(measure, evidence, pdl1_cutoffs().assay(assay), immune_told=immune_told).score


def score_pdl1(
    evidence: Pdl1Evidence,
    *,
    assay: str,
    indication: str | None = None,
    immune_told: bool,
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
) -> SlideResult:
    """Assemble what is reported of a slide: the score that assay and tumour ask for, then all others.

    Parameters
    ----------
    evidence : Pdl1Evidence
        Counts, and areas where they were measured.
    assay : str
        "22C3", "28-8", "SP142" or "SP263".
    indication : str, optional
        For example "nsclc"; see ``pdl1_cutoffs().indications(assay)``. It decides which score comes first and
        names its category; without it the assay's own score comes first with its bin.
    immune_told : bool
        Whether lymphocytes and macrophages were told from other immune cells. If not, every score that rests
        on immune cells is EXPERIMENTAL and for REVIEW.
    excluded : mapping of str to int
        Cells left out, by reason; stained cells that count nowhere are added.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" is tissue that could not be read.
    flags : sequence of str
        Warnings about the slide, passed through.

    Returns
    -------
    SlideResult
        TPS and CPS always, area scores where measured or asked for, and the CPS before its cap if the cap was
        reached.

    Raises
    ------
    SettingsError
        If there is no such assay, or no cut-off of it for the indication.
    """
    cutoffs = pdl1_cutoffs()
    chosen = cutoffs.assay(assay)
    row = None if indication is None else cutoffs.row(assay, indication)
    first = chosen.headline if row is None else row.headline
    measured = {
        "TPS": _tumour_score(evidence, chosen),
        "CPS": _combined_score(evidence, chosen, immune_told=immune_told),
    }
    for measure in _AREA_RULES:
        found = _area_score(measure, evidence, chosen, immune_told=immune_told)
        if found.exact is not None or measure == first:
            measured[measure] = found
    known = {
        name: each.exact
        for name, each in measured.items()
        if each.exact is not None and each.score.status.allows_category
    }
    headline = measured.pop(first).score
    if row is not None:
        headline = _by_row(headline, row, values=known, immune_told=immune_told)
    uncapped = (_experimental(score, immune_told=immune_told) for score in _uncapped(evidence, chosen))
    scores = [headline, *(each.score for each in measured.values()), *uncapped]
    return assemble(
        MARKER,
        scores,
        is_for_review=False,
        excluded=_joined(excluded or {}, evidence.left_out),
        areas_mm2=areas_mm2,
        flags=flags,
    )


def _tumour_score(evidence: Pdl1Evidence, assay: Assay) -> _Measured:
    """Return TPS with its bin."""
    score = share_score(
        evidence.tumour_positive,
        evidence.tumour,
        name=f"{MARKER} {assay.tumour_score}",
        rule=_TPS_RULE,
        status=_status(evidence, assay),
    )
    bins = "TC" if assay.id == "SP142" else "TPS"
    return _binned(score, _exact(score), bins=bins)


def _combined_score(evidence: Pdl1Evidence, assay: Assay, *, immune_told: bool) -> _Measured:
    """Return CPS with its bin."""
    immune, total = evidence.combined_immune, evidence.tumour
    numerator = evidence.tumour_positive + (immune or 0)
    is_known = immune is not None and total > 0
    exact = Fraction(100 * numerator, total) if is_known else None
    score = Score(
        name=f"{MARKER} CPS",
        value=None if exact is None else min(100 * numerator / total, float(CPS_CAP)),
        unit="CPS",
        numerator=numerator,
        denominator=total,
        interval=_cps_interval(evidence.tumour_positive, immune, total=total) if immune is not None else None,
        status=_status(evidence, assay) if is_known else Status.NOT_ASSESSABLE,
        category=None,
        rule=_CPS_RULE,
    )
    if immune is None:
        return _Measured(with_flags(score, Flag.IMMUNE_CELLS_NOT_COUNTED), None)
    if exact is not None and exact > CPS_CAP:
        score = with_flags(score, Flag.CPS_CAPPED)
    return _binned(_experimental(score, immune_told=immune_told), exact, bins="CPS")


def _area_score(measure: str, evidence: Pdl1Evidence, assay: Assay, *, immune_told: bool) -> _Measured:
    """Return a share of an area with its bin, if it has one."""
    part, whole = _areas_of(measure, evidence.areas)
    exact = Fraction(100 * part, whole) if part is not None and whole else None
    status = _status(evidence, assay) if exact is not None else Status.NOT_ASSESSABLE
    flags: list[Flag] = [] if exact is not None else [Flag.AREA_NOT_MEASURED]
    if assay.needs_stroma and exact is not None:
        stroma = None if evidence.areas is None else evidence.areas.stroma_mm2
        if stroma is None:
            flags.append(Flag.STROMA_NOT_CHECKED)
        elif stroma == 0:
            flags.append(Flag.PDL1_NO_STROMA)
            status = worst_status(status, Status.INSUFFICIENT)
    score = Score(
        name=f"{MARKER} {measure}",
        value=float(exact) if exact is not None and status is not Status.NOT_ASSESSABLE else None,
        unit="%",
        numerator=part or 0,
        denominator=whole or 0,
        interval=None,
        status=status,
        category=None,
        rule=_AREA_RULES[measure],
        flags=tuple(flags),
    )
    return _binned(_experimental(score, immune_told=immune_told), exact, bins=measure)


def _areas_of(measure: str, areas: Pdl1Areas | None) -> tuple[int | None, int | None]:
    """Return numerator and denominator of an area score, whole um²."""
    if areas is None:
        return None, None
    part, whole = {
        "IC": (areas.stained_immune_mm2, areas.tumour_mm2),
        "TAP": (areas.stained_mm2, areas.tumour_mm2),
        "ICP": (areas.immune_mm2, areas.tumour_mm2),
        "IC+": (areas.stained_immune_mm2, areas.immune_mm2),
    }[measure]
    return _um2(part), _um2(whole)


def _um2(mm2: float | None) -> int | None:
    """Return an area in whole um², from its shortest decimal: 0.15 of 3 mm² has to be 5 % exactly."""
    if mm2 is None:
        return None
    return int((Decimal(repr(float(mm2))) * _UM2_PER_MM2).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _status(evidence: Pdl1Evidence, assay: Assay) -> Status:
    """Return what the number of tumour cells allows."""
    if evidence.tumour == 0:
        return Status.NOT_ASSESSABLE
    return Status.INSUFFICIENT if evidence.tumour < assay.minimum_tumour_cells else Status.OK


def _exact(score: Score) -> Fraction | None:
    """Return the exact value of a score; CPS before its cap."""
    if score.value is None:
        return None
    return Fraction(100 * score.numerator, score.denominator)


def _binned(score: Score, exact: Fraction | None, *, bins: str) -> _Measured:
    """Return the score with its bin as category, if it has bins and evidence enough."""
    bands = pdl1_cutoffs().bins.get(bins)
    if bands is not None and exact is not None and score.status.allows_category:
        score = replace(score, category=band_of(bands, exact))
    return _Measured(score, exact)


def _experimental(score: Score, *, immune_told: bool) -> Score:
    """Return the score marked as experimental if immune cells could not be told apart."""
    if immune_told:
        return score
    return with_flags(replace(score, status=worst_status(score.status, Status.REVIEW)), Flag.EXPERIMENTAL)


def _by_row(score: Score, row: Pdl1Cutoff, *, values: Mapping[str, Fraction], immune_told: bool) -> Score:
    """Return the headline with the category of its indication."""
    cutoffs = pdl1_cutoffs()
    rule = f"{score.rule}; cut-offs {row.assay} {row.indication}, as of {cutoffs.as_of} ({row.source})"
    score = replace(score, rule=rule, category=None)
    if row.withdrawn:
        score = with_flags(score, Flag.INDICATION_WITHDRAWN)
    if Flag.EXPERIMENTAL not in score.flags and row.measures & IMMUNE_MEASURES:
        score = _experimental(score, immune_told=immune_told)
    if not score.status.allows_category:
        return score
    category = row.categorise(values)
    if category is None:
        return with_flags(score, Flag.CUTOFF_NEEDS_MORE)
    return replace(score, category=category)


def _uncapped(evidence: Pdl1Evidence, assay: Assay) -> tuple[Score, ...]:
    """Return the CPS before its cap, if that is another number."""
    immune, total = evidence.combined_immune, evidence.tumour
    if immune is None or total == 0 or 100 * (evidence.tumour_positive + immune) <= CPS_CAP * total:
        return ()
    numerator = evidence.tumour_positive + immune
    uncapped = Score(
        name=f"{MARKER} CPS before the cap",
        value=100 * numerator / total,
        unit="CPS",
        numerator=numerator,
        denominator=total,
        interval=_cps_interval(evidence.tumour_positive, immune, total=total, cap=None),
        status=_status(evidence, assay),
        category=None,
        rule=_CPS_RULE,
    )
    return (uncapped,)


def _cps_interval(positive: int, immune: int, *, total: int, cap: float | None = CPS_CAP) -> Interval | None:
    """Return the interval of a CPS by joining those of its two parts."""
    if total == 0:
        return None
    z = normal_quantile(0.95)
    share, rate = positive / total, immune / total
    tumour = wilson_interval(positive, total)
    centre, half = immune + z * z / 2, z * sqrt(immune + z * z / 4)
    down = sqrt((share - tumour.low) ** 2 + (rate - max(0.0, centre - half) / total) ** 2)
    up = sqrt((tumour.high - share) ** 2 + ((centre + half) / total - rate) ** 2)
    value = 100 * (positive + immune) / total
    low, high = max(0.0, value - 100 * down), value + 100 * up
    if cap is not None:
        low, high = min(low, cap), min(high, cap)
    return Interval(low, high, method="MOVER of Wilson and Poisson score")


def _joined(*tables: Mapping[str, int]) -> dict[str, int]:
    """Return counts by reason, added up."""
    joined: dict[str, int] = {}
    for table in tables:
        for reason, count in table.items():
            joined[reason] = joined.get(reason, 0) + count
    return joined
