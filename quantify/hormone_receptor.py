"""ER and PR: percent of stained tumour nuclei, H-score, Allred score and the ASCO/CAP 2020 category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from math import sqrt
from operator import index
from typing import Literal

from ..errors import InvalidTableError, SettingsError
from .assembly import assemble, share_score, with_flags
from .cutoffs import band_of
from .flags import Flag
from .interval import normal_quantile
from .ki67 import categorised
from .receptor_cutoffs import receptor_cutoffs
from .score import Interval, Score, SlideResult, Status

Receptor = Literal["ER", "PR"]
Counts = tuple[int, int, int, int]

H_SCORE_UNIT = "of 300"
ALLRED_UNIT = "of 8"

_PERCENT_RULE = "receptor.percent/1 (Allison 2020: invasive tumour nuclei with any stain)"
_H_SCORE_RULE = "receptor.h-score/1 (100 (n1 + 2 n2 + 3 n3) / n)"
_INTENSITY_RULE = "receptor.intensity/1 (mean of weak 1, moderate 2, strong 3 over stained nuclei)"
_ALLRED_RULE = "receptor.allred/1 (Harvey 1999; CAP template)"


class Control(StrEnum):
    """What a control shows; only a person can say."""

    AS_EXPECTED = "as expected"
    FAILED = "not as expected"
    ABSENT = "absent"
    NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Controls:
    """The two controls of a slide."""

    internal: Control = Control.NOT_STATED
    """Normal ducts and lobules beside the tumour."""
    external: Control = Control.NOT_STATED
    """Control tissue stained in the same run."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "internal", Control(self.internal))
        object.__setattr__(self, "external", Control(self.external))


NO_CONTROLS = Controls()
"""Nobody has said anything about the controls."""


@dataclass(frozen=True, slots=True)
class Allred:
    """The two parts of an Allred score."""

    proportion: int
    """0-5."""
    intensity: int
    """0-3."""

    @property
    def total(self) -> int:
        """0 or 2-8."""
        return self.proportion + self.intensity


def percent_positive(marker: Receptor, counts: Sequence[int]) -> Score:
    """Return the percentage of stained tumour nuclei with its ASCO/CAP 2020 category.

    Parameters
    ----------
    marker : {"ER", "PR"}
        PR has no low-positive class.
    counts : sequence of 4 int
        Unstained, weak, moderate and strong invasive tumour nuclei.

    Returns
    -------
    Score
        In percent with its Wilson interval. NOT_ASSESSABLE without nuclei; INSUFFICIENT and no category under
        100; REVIEW under 500. The category is decided on the exact counts.
    """
    cutoffs, (n0, *stained) = receptor_cutoffs(), checked_counts(counts)
    scheme = cutoffs.cutoffs.scheme(f"{_checked_marker(marker).lower()}-asco-cap-2020")
    n = n0 + sum(stained)
    status = cutoffs.cutoffs.status_of(n)
    name = f"{marker} positive nuclei"
    score = categorised(share_score(sum(stained), n, name=name, rule=_PERCENT_RULE, status=status), scheme)
    is_advised = score.category == cutoffs.advisory_category
    return with_flags(score, Flag.ER_LOW_POSITIVE) if is_advised else score


def h_score(marker: Receptor, counts: Sequence[int]) -> Score:
    """Return the H-score, 100 (n1 + 2 n2 + 3 n3) / n, from 0 to 300.

    Notes
    -----
    Its interval is a normal one by the delta method for multinomial counts. The variance is taken after
    adding z²/4 nuclei to each of the four strengths (as Agresti and Coull do for a share), so that it is not
    zero where all nuclei are alike. Nuclei cluster, so it is too narrow for a slide, as Wilson's is.
    """
    checked = checked_counts(counts)
    total = sum(checked)
    weighted = sum(level * count for level, count in enumerate(checked))
    return Score(
        name=f"{_checked_marker(marker)} H-score",
        value=100 * weighted / total if total else None,
        unit=H_SCORE_UNIT,
        numerator=weighted,
        denominator=total,
        interval=_h_score_interval(checked) if total else None,
        status=receptor_cutoffs().cutoffs.status_of(total),
        category=None,
        rule=_H_SCORE_RULE,
    )


def average_intensity(marker: Receptor, counts: Sequence[int]) -> Score:
    """Return the mean strength of the stained nuclei, 1-3; its category is the word for it.

    Without stained nuclei there is none: NOT_ASSESSABLE, and a flag if there are unstained ones.
    """
    checked = checked_counts(counts)
    positive = sum(checked[1:])
    weighted = sum(level * count for level, count in enumerate(checked))
    cutoffs = receptor_cutoffs()
    status = cutoffs.cutoffs.status_of(sum(checked)) if positive else Status.NOT_ASSESSABLE
    word = intensity_word(checked)
    return Score(
        name=f"{_checked_marker(marker)} average intensity",
        value=weighted / positive if positive else None,
        unit="of 3",
        numerator=weighted,
        denominator=positive,
        interval=None,
        status=status,
        category=word if status.allows_category else None,
        rule=_INTENSITY_RULE,
        flags=() if positive or not sum(checked) else (Flag.NO_STAINED_NUCLEI,),
    )


def intensity_word(counts: Sequence[int]) -> str | None:
    """Return "weak", "moderate" or "strong" for the stained nuclei; None without any."""
    stained = checked_counts(counts)[1:]
    if not sum(stained):
        return None
    mean = Fraction(sum(level * count for level, count in enumerate(stained, start=1)), sum(stained))
    return band_of(receptor_cutoffs().intensity, mean)


def allred(counts: Sequence[int], *, convention: str = "ours", minimum_percent: int = 0) -> Allred:
    """Return proportion and intensity score.

    Parameters
    ----------
    counts : sequence of 4 int
        Unstained, weak, moderate and strong tumour nuclei, at least one in all.
    convention : {"ours", "qupath", "original"}
        To which proportion score a share of exactly 1 %, 10 %, 1/3 or 2/3 belongs: "ours" follows the CAP
        template (2, 2, 3, 5), "qupath" rounds upwards (2, 3, 4, 5), "original" takes all as upper limits (1,
        2, 3, 4).
    minimum_percent : int
        Shares under it score 0 and 0, an option of QuPath.

    Returns
    -------
    Allred

    Raises
    ------
    InvalidTableError
        If there are no nuclei.
    """
    n0, *stained = checked_counts(counts)
    cutoffs, positive = receptor_cutoffs(), sum(stained)
    if n0 + positive == 0:
        raise InvalidTableError("an Allred score of no nuclei", "Handle an empty slide before asking.")
    percent = Fraction(100 * positive, n0 + positive)
    proportion = int(band_of(cutoffs.convention(convention), percent))
    word = intensity_word(counts)
    if proportion == 0 or word is None or percent < minimum_percent:
        return Allred(0, 0)
    return Allred(proportion, 1 + [band.name for band in cutoffs.intensity].index(word))


def allred_score(
    marker: Receptor, counts: Sequence[int], *, convention: str = "ours", minimum_percent: int = 0
) -> Score:
    """Return the Allred total, 0 or 2-8, with category negative (0, 2) or positive (3 and more).

    See ``allred``. Flagged where another convention would give another total.
    """
    checked = checked_counts(counts)
    cutoffs, total = receptor_cutoffs(), sum(checked)
    cutoffs.convention(convention)
    status = cutoffs.cutoffs.status_of(total)
    found: int | None = None
    flags: list[str] = []
    if total:
        totals = {
            each: allred(checked, convention=each, minimum_percent=minimum_percent).total
            for each in cutoffs.allred
        }
        found = totals[convention]
        flags = [Flag.ALLRED_CONVENTIONS_DIFFER] if len(set(totals.values())) > 1 else []
    category = None
    if found is not None and status.allows_category:
        category = "positive" if found >= cutoffs.allred_positive_from else "negative"
    return Score(
        name=f"{_checked_marker(marker)} Allred score",
        value=None if found is None else float(found),
        unit=ALLRED_UNIT,
        numerator=sum(checked[1:]),
        denominator=total,
        interval=None,
        status=status,
        category=category,
        rule=f"{_ALLRED_RULE}; convention {convention}",
        flags=tuple(flags),
    )


def control_flags(
    marker: Receptor, counts: Sequence[int], *, controls: Controls = NO_CONTROLS
) -> tuple[Flag, ...]:
    """Return what has to be said about the controls.

    They have to be reported if at most 10 % of the nuclei are stained, or if the stain is weak. A control
    that failed is always reported.
    """
    n0, *stained = checked_counts(counts)
    n = n0 + sum(stained)
    cutoffs = receptor_cutoffs()
    is_low = n > 0 and 100 * sum(stained) <= cutoffs.control_upto_percent * n
    is_weak = intensity_word(counts) == cutoffs.intensity[0].name
    both = (controls.internal, controls.external)
    flags = [Flag.CONTROL_FAILED] if Control.FAILED in both else []
    if not (is_low or is_weak):
        return tuple(flags)
    if controls.internal is Control.NOT_STATED or controls.external in (Control.NOT_STATED, Control.ABSENT):
        flags.append(Flag.CONTROL_CHECK_NEEDED)
    if controls.internal is Control.ABSENT:
        flags.append(Flag.INTERNAL_CONTROL_ABSENT)
        if _checked_marker(marker) == "ER" and is_low:
            flags.append(Flag.TEST_ANOTHER_SPECIMEN)
    if set(both) == {Control.AS_EXPECTED}:
        flags.append(Flag.CONTROLS_AS_EXPECTED)
    return tuple(flags)


def score_hormone_receptor(
    marker: Receptor,
    counts: Sequence[int],
    *,
    field_interval: Interval | None = None,
    controls: Controls = NO_CONTROLS,
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
) -> SlideResult:
    """Assemble what is reported of a slide: percent first, then intensity, H-score and Allred.

    Parameters
    ----------
    marker : {"ER", "PR"}
        The receptor.
    counts : sequence of 4 int
        Unstained, weak, moderate and strong invasive tumour nuclei, from ``intensity_counts``.
    field_interval : Interval or None
        Of the percentage, from ``bootstrap_index_interval``; a score of its own beside the Wilson interval.
    controls : Controls
        What a person saw.
    excluded : mapping of str to int
        Nuclei left out, by reason.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" is tissue that could not be read.
    flags : sequence of str
        Warnings about the slide, passed through.

    Returns
    -------
    SlideResult
        REVIEW where the controls still have to be looked at. A failed control takes all categories away: the
        stain then shows nothing.
    """
    headline = percent_positive(marker, counts)
    scores = [
        headline,
        average_intensity(marker, counts),
        h_score(marker, counts),
        allred_score(marker, counts),
    ]
    if field_interval is not None and headline.value is not None:
        by_field = replace(
            headline, name=f"{headline.name}, by field", interval=field_interval, category=None, flags=()
        )
        scores.insert(1, by_field)
    notes = control_flags(marker, counts, controls=controls)
    if Flag.CONTROL_FAILED in notes:
        scores = [_without_category(score) for score in scores]
    return assemble(
        marker,
        scores,
        is_for_review=bool(set(notes) - {Flag.CONTROLS_AS_EXPECTED}),
        excluded=excluded,
        areas_mm2=areas_mm2,
        flags=(*flags, *notes),
    )


def checked_counts(counts: Sequence[int]) -> Counts:
    """Return four counts of nuclei, or say why they are none."""
    numbers = [index(count) for count in counts]
    if len(numbers) != 4 or min(numbers) < 0:
        raise InvalidTableError(
            f"{numbers} are not counts of unstained, weak, moderate and strong nuclei",
            "Give four whole numbers.",
        )
    return (numbers[0], numbers[1], numbers[2], numbers[3])


def _checked_marker(marker: str) -> str:
    """Return the marker if it is one of the two."""
    if marker not in ("ER", "PR"):
        raise SettingsError(f"no hormone receptor named {marker!r}", "Choose ER or PR.")
    return marker


def _h_score_interval(counts: Counts) -> Interval:
    """Return the delta-method interval of an H-score, kept within 0-300."""
    z, total = normal_quantile(0.95), sum(counts)
    smoothed = [count + z * z / 4 for count in counts]
    weight = sum(smoothed)
    mean = sum(level * count for level, count in enumerate(smoothed)) / weight
    variance = sum(count * (level - mean) ** 2 for level, count in enumerate(smoothed)) / weight
    value = 100 * sum(level * count for level, count in enumerate(counts)) / total
    half = 100 * z * sqrt(variance / weight)
    low, high = max(0.0, value - half), min(300.0, value + half)
    return Interval(low, high, method="multinomial delta method, Agresti-Coull variance")


def _without_category(score: Score) -> Score:
    """Return the score without its category and the advice that goes with it."""
    kept = tuple(flag for flag in score.flags if flag != Flag.ER_LOW_POSITIVE)
    return replace(score, category=None, flags=kept)
