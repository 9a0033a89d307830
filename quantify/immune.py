"""The tumour immune microenvironment of a slide: TILs, densities and nearness as one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidTableError
from .densities import FOUR_DENSITIES, ReferenceCohort, RegionCount, cell_density, density_score
from .flags import Flag
from .immune_cutoffs import immune_cutoffs
from .ki67 import AREA_KEY_MISSING
from .nearest_neighbour import (
    HEADLINE_RADIUS_UM,
    RADII_UM,
    Neighbours,
    area_under_kaplan_meier_g,
    area_under_raw_g,
    kaplan_meier_g,
    raw_g,
)
from .random_labelling import LabellingEnvelope
from .score import Interval, Score, SlideResult, Status, worst_status
from .stromal_tils import rounded_tils, stromal_tils

MARKER = "Immune microenvironment"
LYMPHOCYTE_DENSITY_NAME = "Lymphocytes in stroma"

_G_RULE = "nearest-neighbour.g/1 (G-function, spatstat's Gest and Gcross; radii and floors: project rule)"


@dataclass(frozen=True, slots=True)
class TilMeasure:
    """What was measured of the stroma."""

    lymphocyte_um2: float | None
    """Area that lymphocytes and plasma cells cover, um²; None where the resolution is unknown."""
    stroma_um2: float | None
    """Area of assessed stroma, um²."""
    lymphocytes: int
    """Lymphocytes and plasma cells in it."""
    interval: Interval | None = None
    """Of the percentage, by field."""
    scheme: str = "til-figure"
    """Cut-offs, an id in the packaged file."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """Distances from one kind of cell to another, with what chance would give."""

    name: str
    """Who is near whom, for example "CD8+ to tumour"."""
    neighbours: Neighbours
    chance: LabellingEnvelope | None = None
    """From ``random_labelling`` with the estimator that ``estimator_for`` names."""


def score_immune(
    *,
    tils: TilMeasure | None = None,
    densities: Mapping[str, RegionCount] | None = None,
    cohort: ReferenceCohort | None = None,
    nearness: Sequence[Nearness] = (),
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
) -> SlideResult:
    """Assemble what is reported of a slide; what was not measured is left out.

    Parameters
    ----------
    tils : TilMeasure or None
        Of an H&E slide.
    densities : mapping of str to RegionCount
        By name; the four of ``FOUR_DENSITIES`` together with ``cohort`` give the density score.
    cohort : ReferenceCohort or None
        Without one there are densities only, and the result says so if one of the four is there.
    nearness : sequence of Nearness
        Pairs of cell kinds.
    excluded : mapping of str to int
        Cells left out, by reason.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" is tissue that could not be read.
    flags : sequence of str
        Warnings about the slide, passed through.

    Returns
    -------
    SlideResult
        The headline is the first there is of: TILs, density score, density, G at 20 um. The status is the
        headline's, made worse by missing tissue (PARTIAL). Other scores that are not OK lower an otherwise
        good slide to REVIEW, no further.

    Raises
    ------
    InvalidTableError
        If nothing was measured.
    """
    counted = densities or {}
    scores = [
        *(_til_scores(tils) if tils else ()),
        *_density_scores(counted, cohort),
        *(score for pair in nearness for score in nearness_scores(pair)),
    ]
    if not scores:
        raise InvalidTableError("no immune measure", "Give TILs, densities or distances.")
    areas = areas_mm2 or {}
    is_partial = areas.get(AREA_KEY_MISSING, 0.0) > 0
    own = [Flag.AREA_MISSING] if is_partial else []
    own += [Flag.NO_REFERENCE_COHORT] if cohort is None and set(FOUR_DENSITIES) & set(counted) else []
    left_out = sum(pair.neighbours.outside for pair in nearness)
    return SlideResult(
        marker=MARKER,
        scores=tuple(scores),
        status=worst_status(
            scores[0].status,
            Status.OK if all(score.status is Status.OK for score in scores) else Status.REVIEW,
            Status.PARTIAL if is_partial else Status.OK,
        ),
        flags=(*flags, *own, *(flag for score in scores for flag in score.flags)),
        excluded={**(excluded or {}), **({"outside_region": left_out} if left_out else {})},
        areas_mm2=areas,
    )


def nearness_scores(pair: Nearness) -> list[Score]:
    """Return G at 20 um and at the other radii, area under it, median distance and Clark-Evans index.

    Parameters
    ----------
    pair : Nearness
        Distances of one kind of cell to another.

    Returns
    -------
    list of Score
        G and the area under it are corrected for the edge (Kaplan-Meier) where at least 30 cells lie that
        far inside, and raw with a flag elsewhere. Numerator and denominator are always the raw counts: cells
        with a target that near, and cells. G with 1 as the whole, lengths in um.
    """
    order = (HEADLINE_RADIUS_UM, *(radius for radius in RADII_UM if radius != HEADLINE_RADIUS_UM))
    scores = [_g_score(pair, radius) for radius in order]
    if pair.chance is not None and scores[0].value is not None:
        scores.insert(1, _chance_score(pair, scores[0], pair.chance))
    found = pair.neighbours
    scores.append(_area_score(pair))
    scores.append(_distance_score(pair, "median distance", found.median_um(), "µm"))
    scores.append(_distance_score(pair, "Clark-Evans index", found.clark_evans(), ""))
    return scores


def estimator_for(neighbours: Neighbours, radius_um: float = HEADLINE_RADIUS_UM) -> str:
    """Return which G a radius gets: ``kaplan-meier`` with 30 cells that far inside, else ``raw``."""
    enough = neighbours.inside(radius_um) >= immune_cutoffs().edge_corrected_cells
    return "kaplan-meier" if enough else "raw"


def _til_scores(tils: TilMeasure) -> list[Score]:
    """Score the stroma: raw, to the nearest 5, and as a density."""
    raw = stromal_tils(tils.lymphocyte_um2, tils.stroma_um2, scheme=tils.scheme, interval=tils.interval)
    area = None if tils.stroma_um2 is None else tils.stroma_um2 / 1e6
    count = RegionCount(tils.lymphocytes, area)
    density = cell_density(
        count, name=LYMPHOCYTE_DENSITY_NAME, source="density.cells-per-mm2/1 (project rule)"
    )
    return [raw, rounded_tils(raw), density]


def _density_scores(densities: Mapping[str, RegionCount], cohort: ReferenceCohort | None) -> list[Score]:
    """Score the densities, the score made of them first."""
    made = [cell_density(count, name=name) for name, count in densities.items()]
    return made if cohort is None or not made else [density_score(made, cohort=cohort), *made]


def _g_score(pair: Nearness, radius: float) -> Score:
    """Score G at one radius."""
    found = pair.neighbours
    value = None
    if len(found.distance_um):
        corrected = estimator_for(found, radius) == "kaplan-meier"
        value = float(
            kaplan_meier_g(found.distance_um, found.edge_um, radii_um=[radius])[0]
            if corrected
            else raw_g(found.distance_um, [radius])[0]
        )
    return _nearness_score(pair, f"G({radius:g} µm)", value, radius=radius)


def _area_score(pair: Nearness) -> Score:
    """Score the area under G over 0 to 20 um, divided by 20."""
    found, value = pair.neighbours, None
    if len(found.distance_um) and estimator_for(found) == "kaplan-meier":
        value = area_under_kaplan_meier_g(found.distance_um, found.edge_um)
    elif len(found.distance_um):
        value = area_under_raw_g(found.distance_um)
    return _nearness_score(pair, f"mean G over 0-{HEADLINE_RADIUS_UM:g} µm", value, radius=HEADLINE_RADIUS_UM)


def _nearness_score(pair: Nearness, measure: str, value: float | None, *, radius: float) -> Score:
    """Make a score of a share of cells within a radius."""
    found = pair.neighbours
    cells = len(found.distance_um)
    status, flags = immune_cutoffs().status_of_cells(cells), []
    estimator = estimator_for(found, radius)
    if cells and not found.has_target:
        flags.append(Flag.NO_TARGET)
    elif cells and estimator == "raw":
        flags.append(Flag.EDGE_CORRECTION_SKIPPED)
    return Score(
        name=f"{pair.name}: {measure}",
        value=value,
        unit="",
        numerator=int((found.distance_um <= radius).sum()),
        denominator=cells,
        interval=None,
        status=worst_status(status, Status.REVIEW if flags else Status.OK),
        category=None,
        rule=f"{_G_RULE}; {estimator}, counts raw",
        flags=tuple(flags),
    )


def _chance_score(pair: Nearness, found: Score, chance: LabellingEnvelope) -> Score:
    """Score what chance gives, with its bounds as interval."""
    if chance.estimator != estimator_for(pair.neighbours):
        raise InvalidTableError(
            f"{pair.name}: random labelling of the {chance.estimator} G beside another one",
            "Ask estimator_for which one to shuffle.",
        )
    at = chance.radii_um.tolist().index(HEADLINE_RADIUS_UM)
    return Score(
        name=f"{found.name}, kinds shuffled",
        value=float(chance.mean[at]),
        unit="",
        numerator=0,
        denominator=found.denominator,
        interval=chance.interval(HEADLINE_RADIUS_UM),
        status=found.status,
        category=None,
        rule=f"nearest-neighbour.random-labelling/1 (project rule); {chance.estimator}",
    )


def _distance_score(pair: Nearness, measure: str, value: float | None, unit: str) -> Score:
    """Make a score of all distances, which are infinite without a target."""
    found = pair.neighbours
    cells = len(found.distance_um)
    status = Status.NOT_ASSESSABLE if value is None else immune_cutoffs().status_of_cells(cells)
    return Score(
        name=f"{pair.name}: {measure}",
        value=value,
        unit=unit,
        numerator=cells if found.has_target else 0,
        denominator=cells,
        interval=None,
        status=status,
        category=None,
        rule=f"{_G_RULE}; not corrected for the edge",
        flags=(Flag.NO_TARGET,) if cells and not found.has_target else (),
    )
