"""Densities of immune cells in tumour core and invasive margin, and their score against a fixed cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .flags import Flag
from .immune_cutoffs import DENSITY_SCORE, immune_cutoffs
from .score import Interval, Score, Status, worst_status
from .stromal_tils import whole_um2

MARGIN_OUTSIDE_UM = 360.0
"""How far the invasive margin reaches from the tumour's border into healthy tissue, um."""
MARGIN_INSIDE_UM = 360.0
"""How far it reaches into the tumour, um."""

FOUR_DENSITIES = ("CD3 core", "CD3 margin", "CD8 core", "CD8 margin")
"""What the density score is the mean of."""

_RULE = "density.cells-per-mm2/1 (Galon 2014; Pages 2018)"
_SCORE_RULE = (
    "density.mean-percentile/1 (Pages 2018; percentile = share below plus half of the equal: project rule)"
)


@dataclass(frozen=True, slots=True, eq=False)
class TumourRegions:
    """Where densities are measured, on the raster of the tumour mask."""

    core: NDArray[np.bool_]
    """(h, w) tumour farther from its border than the margin reaches."""
    margin: NDArray[np.bool_]
    """(h, w) the band on both sides of the border."""
    mpp: float
    """um per px."""

    @property
    def areas_mm2(self) -> dict[str, float]:
        """Area of core and margin, mm²."""
        pixel = self.mpp**2 / 1e6
        return {name: float(np.count_nonzero(getattr(self, name))) * pixel for name in ("core", "margin")}


@dataclass(frozen=True, slots=True)
class RegionCount:
    """Positive cells of a region."""

    cells: int
    area_mm2: float | None
    """None where the resolution is unknown."""
    interval: Interval | None = None
    """In cells per mm², for example from fields; None: exact Poisson interval."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceCohort:
    """Densities of a fixed cohort, against which a slide is placed. It must not hold the slide itself."""

    name: str
    """Name and version: percentiles mean nothing without it."""
    densities: Mapping[str, NDArray[np.float64]]
    """(P,) cells per mm² of each patient, under the four names of ``FOUR_DENSITIES``."""

    def __post_init__(self) -> None:
        columns = {name: np.asarray(values, dtype=np.float64) for name, values in self.densities.items()}
        shapes = {values.shape for values in columns.values()}
        is_sound = (
            set(columns) == set(FOUR_DENSITIES) and len(shapes) == 1 and columns[FOUR_DENSITIES[0]].ndim == 1
        )
        if not is_sound or not all(
            np.isfinite(each).all() and each.size and each.min() >= 0 for each in columns.values()
        ):
            raise InvalidTableError(
                f"reference cohort {self.name!r} with columns {', '.join(sorted(columns))}",
                f"Give one density of 0 or more per patient for each of {', '.join(FOUR_DENSITIES)}.",
            )
        object.__setattr__(self, "densities", columns)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(self.densities[FOUR_DENSITIES[0]])

    def percentile(self, name: str, density: float) -> Fraction:
        """Return the share of patients with a lower density plus half of those with an equal one, x 100."""
        values = self.densities[name]
        below, equal = int((values < density).sum()), int((values == density).sum())
        return Fraction(100 * (2 * below + equal), 2 * len(values))


def tumour_regions(
    tumour: NDArray[np.bool_],
    *,
    mpp: float,
    tissue: NDArray[np.bool_] | None = None,
    outside_um: float = MARGIN_OUTSIDE_UM,
    inside_um: float = MARGIN_INSIDE_UM,
) -> TumourRegions:
    """Return tumour core and invasive margin of a tumour mask.

    Parameters
    ----------
    tumour : (h, w) bool array
        The tumour inside its invasive border, without necrosis cut out: a hole has a border too. See
        ``fill_polygons`` for a hand-drawn border.
    mpp : float
        um per px of the masks.
    tissue : (h, w) bool array or None
        Tissue that counts; holes of both regions are cut out by it and make no border. None: everything.
    outside_um, inside_um : float
        Reach of the margin to both sides of the border, um, ends included.

    Returns
    -------
    TumourRegions
        Without overlap. A tumour that fills the mask has no border, hence no margin.

    Raises
    ------
    InvalidTableError
        If the masks are no masks of one shape.

    Notes
    -----
    A pixel belongs where its centre lies; the border runs between pixels, so along a slanting border the
    band is off by up to half a pixel. Where the tumour leaves the mask there is no border. Memory is some 40
    bytes per px: 4-16 um per px are fine enough.
    """
    tumour = np.asarray(tumour)
    counts = np.ones_like(tumour) if tissue is None else np.asarray(tissue)
    if (
        tumour.ndim != 2
        or tumour.dtype != np.bool_
        or counts.dtype != np.bool_
        or counts.shape != tumour.shape
    ):
        raise InvalidTableError(
            f"tumour {tumour.dtype}{tumour.shape} and tissue {counts.dtype}{counts.shape}",
            "Give two masks of true and false of one shape.",
        )
    near_outside = _depth(~tumour, mpp=mpp) <= outside_um
    near_inside = _depth(tumour, mpp=mpp) <= inside_um
    return TumourRegions(
        core=tumour & ~near_inside & counts,
        margin=np.where(tumour, near_inside, near_outside) & counts,
        mpp=mpp,
    )


def cells_in_mask(points_um: ArrayLike, mask: NDArray[np.bool_], *, mpp: float) -> int:
    """Count the (N, 2) points, um from the mask's corner, that lie in a mask."""
    from .assessed_region import AssessedRegion

    return int(AssessedRegion(mask, mpp).contains(points_um).sum())


def cell_density(count: RegionCount, *, name: str, source: str = _RULE) -> Score:
    """Return cells per mm².

    Parameters
    ----------
    count : RegionCount
        Cells and area.
    name : str
        Of the score, for example "CD8 core".
    source : str
        Rule to name with it.

    Returns
    -------
    Score
        Numerator: cells; denominator: the area in whole um². Status follows the area as for TILs: under
        0.1 mm² INSUFFICIENT, under 1 mm² REVIEW. The Poisson interval treats cells as independent; they
        cluster, so for a density it is too narrow.

    Raises
    ------
    InvalidTableError
        If a count or area is negative, or cells lie in no area.
    """
    cells = index(count.cells)
    area = 0 if count.area_mm2 is None else whole_um2(1e6 * count.area_mm2)
    if cells < 0 or (cells and not area and count.area_mm2 is not None):
        raise InvalidTableError(
            f"{name}: {cells} cells in {area} um2", "Count the cells of the region that was measured."
        )
    flags: tuple[str, ...] = ()
    if count.area_mm2 is None:
        flags = (Flag.RESOLUTION_UNKNOWN,)
    elif not area:
        flags = (Flag.REGION_EMPTY,)
    return Score(
        name=name,
        value=1e6 * cells / area if area else None,
        unit="cells/mm²",
        numerator=cells,
        denominator=area,
        interval=(count.interval or poisson_interval(cells).times(1e6 / area)) if area else None,
        status=immune_cutoffs().status_of_area(area),
        category=None,
        rule=source,
        flags=flags,
    )


def density_score(densities: Sequence[Score], *, cohort: ReferenceCohort, scheme: str = "density-3") -> Score:
    """Return the CD3/CD8 density score: the mean percentile of the four densities in a fixed cohort.

    Parameters
    ----------
    densities : sequence of Score
        From ``cell_density``, among them the four of ``FOUR_DENSITIES`` by name.
    cohort : ReferenceCohort
        What percentiles refer to. There is no score without one.
    scheme : str
        Groups, an id in the packaged file of cut-offs.

    Returns
    -------
    Score
        0-100, unit "percentile". NOT_ASSESSABLE if one of the four cannot be assessed; otherwise the worst
        of their statuses and the cohort's: too few patients for a group (20) or for a fine scale (100).
    """
    by_name = {score.name: score for score in densities}
    four = [by_name.get(name) for name in FOUR_DENSITIES]
    known = [score for score in four if score is not None and score.value is not None]
    if len(known) < len(FOUR_DENSITIES):
        missing = [name for name, score in zip(FOUR_DENSITIES, four, strict=True) if score not in known]
        empty = mean_percentile_score((), scheme=scheme)
        return replace(empty, rule=f"{empty.rule}; missing: {', '.join(missing)}")
    percentiles = [cohort.percentile(score.name, score.value or 0.0) for score in known]
    status = worst_status(
        *(score.status for score in known), immune_cutoffs().status_of_cohort(cohort.patients)
    )
    made = mean_percentile_score(percentiles, scheme=scheme, status=status)
    flags = (
        (Flag.REFERENCE_COHORT_SMALL,)
        if immune_cutoffs().status_of_cohort(cohort.patients) is not Status.OK
        else ()
    )
    return replace(
        made,
        rule=f"{made.rule}; cohort {cohort.name} of {cohort.patients} patients",
        flags=(*made.flags, *flags),
    )


def mean_percentile_score(
    percentiles: Sequence[Fraction | int | float], *, scheme: str = "density-3", status: Status = Status.OK
) -> Score:
    """Return the density score of four percentiles; see ``density_score``.

    Numerator / denominator is the exact mean as a share of 1, in lowest terms: 35 is 7 / 20.

    Raises
    ------
    InvalidTableError
        If there are some, but not four, or one is not within 0-100.
    """
    groups = immune_cutoffs().scheme(scheme, measure=DENSITY_SCORE)
    if percentiles and (
        len(percentiles) != len(FOUR_DENSITIES) or not all(0 <= each <= 100 for each in percentiles)
    ):
        raise InvalidTableError(
            f"percentiles {', '.join(f'{float(each):g}' for each in percentiles)}",
            f"Give four of 0 to 100, for {', '.join(FOUR_DENSITIES)}.",
        )
    mean = sum((Fraction(each) for each in percentiles), Fraction(0)) / len(FOUR_DENSITIES)
    status = status if percentiles else Status.NOT_ASSESSABLE
    is_grouped = status.allows_category
    return Score(
        name=DENSITY_SCORE,
        value=float(mean) if percentiles else None,
        unit="percentile",
        numerator=(mean / 100).numerator if percentiles else 0,
        denominator=(mean / 100).denominator if percentiles else 0,
        interval=None,
        status=status,
        category=groups.categorise(mean) if is_grouped else None,
        rule=f"{_SCORE_RULE}; {groups.rule}",
        flags=_score_flags(
            has_percentiles=bool(percentiles), is_official=not is_grouped or groups.evidence == "guideline"
        ),
    )


def poisson_interval(count: int, *, level: float = 0.95) -> Interval:
    """Return the exact interval of a Poisson count (Garwood, Biometrika 1936, 28:437), in counts."""
    from scipy.special import gammaincinv

    tail = (1 - level) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return Interval(low, float(gammaincinv(count + 1, 1 - tail)), level=level, method="Poisson, exact")


def _depth(mask: NDArray[np.bool_], *, mpp: float) -> NDArray[np.float64]:
    """Return how deep each pixel of a mask lies under its border, um; infinite where there is no border."""
    from scipy.ndimage import distance_transform_edt

    if mask.all():
        return np.full(mask.shape, np.inf)
    # to the nearest centre on the other side; the border runs half a pixel before it
    return np.asarray(distance_transform_edt(mask) - 0.5, dtype=np.float64) * mpp


def _score_flags(*, has_percentiles: bool, is_official: bool) -> tuple[Flag, ...]:
    """Return the warnings of a density score."""
    if not has_percentiles:
        return (Flag.DENSITIES_INCOMPLETE,)
    return () if is_official else (Flag.BINS_NOT_OFFICIAL,)
