"""Colorectal biopsies and resections: from evidence per fragment to the class of the slide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ..errors import SettingsError
from .assembly import assemble, with_flags
from .colorectal_class import ClassCall, Standing, call_class, class_standings
from .colorectal_cutoffs import SIGNET_RING, LesionClass, colorectal_cutoffs
from .colorectal_evidence import NOTHING, FragmentEvidence, checked_mm2, pool_fragments
from .colorectal_tumour import GradingEvidence, tumour_scores
from .flags import Flag
from .score import Score, SlideResult, Status, worst_status

ColorectalKind = Literal["biopsy", "resection"]
COLORECTAL_KINDS: tuple[ColorectalKind, ...] = get_args(ColorectalKind)

MARKER = "Colorectal"
RANK_UNIT = "rank"

_CLASS_RULE = "colorectal.class/1 (most severe class with enough evidence; minimums: project rule)"
_AREA_RULE = "colorectal.area/1 (area of the glands of a class)"
_SIGNET_RULE = "colorectal.signet/1 (cells of a detector of their own; minimum: project rule)"


@dataclass(frozen=True, slots=True)
class FragmentCall:
    """The class of one fragment."""

    name: str
    class_name: str | None
    """``normal`` to ``adenocarcinoma``, or ``signet_ring``; None without enough evidence for any."""
    rank: int | None
    """0 no neoplasia to 3 carcinoma; see ``ClassCall.rank``."""
    vienna: str | None
    status: Status
    flags: tuple[str, ...]
    possible: tuple[str, ...]
    """More severe classes that were seen but not established."""

    @property
    def category(self) -> str | None:
        """The class as reports show it, such as "HGIN"."""
        return None if self.class_name is None else colorectal_cutoffs().lesion_class(self.class_name).short


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """One class in a fragment or on a slide, as a row of a report's table."""

    class_name: str
    short: str
    name: str
    western: str
    vienna: str
    standing: str
    """"absent", "below its minimum", "no more than mistakes make" or "enough evidence"."""
    area_mm2: float
    """Of signet-ring cells none is measured: 0."""
    share: float | None
    """Of the tissue, 0-1; None without tissue."""
    regions: int
    largest_mm2: float
    glands: int
    cells: int
    """Signet-ring cells; 0 for other classes."""
    false_mm2: float
    """What the network's mistakes on milder glands would make of it, or of worse ones, mm²."""
    confidence: float | None


def fragment_result(fragment: FragmentEvidence) -> FragmentCall:
    """Return the class of one fragment by the rule of the slide.

    Parameters
    ----------
    fragment : FragmentEvidence

    Returns
    -------
    FragmentCall
        See ``call_class`` for statuses.
    """
    call = call_class(fragment)
    return FragmentCall(
        name=fragment.name,
        class_name=None if call.result is None else call.result.id,
        rank=call.rank,
        vienna=None if call.result is None else call.result.vienna,
        status=call.status,
        flags=(*call.flags, *_signet_flags([fragment])),
        possible=tuple(entry.id for entry in call.possible),
    )


def summarise_classes(fragments: Sequence[FragmentEvidence]) -> tuple[ClassSummary, ...]:
    """Return every class of some fragments together, from least to most severe, absent ones too."""
    whole = pool_fragments(fragments)
    return tuple(_summary(entry, standing, whole=whole) for entry, standing in class_standings(whole))


def score_colorectal(
    fragments: Sequence[FragmentEvidence],
    *,
    kind: ColorectalKind = "biopsy",
    uncertain_mm2: Mapping[int, float] | None = None,
    grading: GradingEvidence | None = None,
    flags: Sequence[str] = (),
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
) -> SlideResult:
    """Assemble what is reported of a slide: its class, both names of it, and the evidence class by class.

    Parameters
    ----------
    fragments : sequence of FragmentEvidence
        Every piece of tissue on the slide.
    kind : {"biopsy", "resection"}
        Names the result. The minimums are the same, and depth of invasion is measured on neither.
    uncertain_mm2 : mapping of int to float, optional
        Area of glands that no class fitted well enough, mm², by the rank that they have at least; they count
        for no class. A person should look where they may be worse than the result, or are a tenth of all.
    grading : GradingEvidence or None
        Of the tumour; used where the class is a carcinoma.
    flags : sequence of str
        Warnings about the slide, passed through.
    excluded : mapping of str to int
        Objects left out, by reason.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" is tissue that could not be read.

    Returns
    -------
    SlideResult
        First the class: its category is the short name, its value the rank (0 no neoplasia, 1 low grade, 2
        high grade, 3 carcinoma), its numerator the area of that class and its denominator that of the
        tissue, in whole um² (signet-ring cell carcinoma: cells in the densest disc, and all). Then the Vienna
        category and the Western name, each class with area, share of tissue, lesions and largest lesion,
        signet-ring cells, uncertain glands, the fragments one by one and, for a carcinoma, its grade and what
        else was measured of it.

    Raises
    ------
    SettingsError
        If ``kind`` is neither.
    InvalidTableError
        If an area is negative.
    """
    if kind not in COLORECTAL_KINDS:
        raise SettingsError(
            f"no colorectal rules for {kind!r}", f"Choose from {', '.join(COLORECTAL_KINDS)}."
        )
    whole = pool_fragments(fragments)
    by_rank = {rank: checked_mm2(area) for rank, area in (uncertain_mm2 or {}).items()}
    uncertain = sum(by_rank.values())
    call = _slide_call(whole, uncertain=by_rank)
    summaries = summarise_classes(fragments)
    is_tumour = call.result is not None and call.result.rank == _carcinoma_rank()
    scores = [
        _headline(call, whole, name=f"{MARKER} {kind} class"),
        *_name_scores(call, whole),
        *(score for summary in summaries for score in _class_scores(summary, whole)),
        *_signet_scores(whole),
        *((_area_score("Uncertain glands", uncertain, whole),) if uncertain else ()),
        *(_fragment_score(fragment) for fragment in fragments),
        *(tumour_scores(grading) if grading is not None and is_tumour else ()),
    ]
    return assemble(
        MARKER,
        scores,
        is_for_review=False,  # the headline's own status says it
        excluded=excluded,
        areas_mm2=areas_mm2,
        flags=(*flags, *call.flags, *_signet_flags(fragments)),
    )


def _slide_call(whole: FragmentEvidence, *, uncertain: Mapping[int, float]) -> ClassCall:
    """Return the call of a whole slide: little tissue and uncertain glands ask for a person as well."""
    call = call_class(whole)
    flags, statuses = list(call.flags), [call.status]
    if call.status.allows_category:
        tissue = colorectal_cutoffs().tissue.status_of(round(whole.tissue_mm2 * 1e6))
        statuses.append(tissue)
        flags += [Flag.LITTLE_TISSUE] if tissue is not Status.OK else []
    if _is_unsettled(call, whole, uncertain):
        # glands were found, only their class was not
        flags = [Flag.UNCERTAIN_GLANDS, *(flag for flag in flags if flag is not Flag.NO_EPITHELIUM)]
        statuses.append(Status.REVIEW)
    return replace(call, status=worst_status(*statuses), flags=tuple(flags))


def _is_unsettled(call: ClassCall, whole: FragmentEvidence, uncertain: Mapping[int, float]) -> bool:
    """Whether uncertain glands may change the result: worse than it, or too many to leave aside."""
    total = sum(uncertain.values())
    if total == 0:
        return False
    if call.result is None:
        return True
    worse = sum(area for rank, area in uncertain.items() if rank > call.result.rank)
    named = sum(each.area_mm2 for each in whole.classes.values())
    return worse > 0 or total >= colorectal_cutoffs().uncertain_review_from * (total + named)


def _headline(call: ClassCall, whole: FragmentEvidence, *, name: str) -> Score:
    """Return the class of the slide."""
    score = _call_score(call, whole, name=name)
    cutoffs = colorectal_cutoffs()
    score = replace(score, rule=f"{_CLASS_RULE}; {cutoffs.names_source}")
    return with_flags(score, *call.flags)


def _call_score(call: ClassCall, evidence: FragmentEvidence, *, name: str) -> Score:
    """Return a call as a score: the rank with its class, and the evidence that it rests on."""
    numerator, denominator = 0, round(evidence.tissue_mm2 * 1e6)
    if call.result is not None and call.result.id == SIGNET_RING and evidence.signet is not None:
        numerator, denominator = evidence.signet.densest, evidence.signet.cells
    elif call.result is not None:
        numerator = evidence.classes.get(call.result.id, NOTHING).area_um2
    return Score(
        name=name,
        value=None if call.rank is None else float(call.rank),
        unit=RANK_UNIT,
        numerator=numerator,
        denominator=denominator,
        interval=None,
        status=call.status,
        category=None if call.result is None else call.result.short,
        rule=_CLASS_RULE,
    )


def _name_scores(call: ClassCall, whole: FragmentEvidence) -> tuple[Score, ...]:
    """Return the class by its names in East and West."""
    texts: dict[str, str | None] = {
        "Vienna category (revised)": None,
        "Vienna name": None,
        "Western name (WHO)": None,
    }
    if call.result is not None:
        found = (call.result.vienna, call.result.name, call.result.western)
        texts = dict(zip(texts, found, strict=True))
    rule = f"colorectal.names/1 ({colorectal_cutoffs().names_source})"
    scores = (_call_score(call, whole, name=name) for name in texts)
    return tuple(replace(score, category=texts[score.name], rule=rule) for score in scores)


def _summary(entry: LesionClass, standing: Standing, *, whole: FragmentEvidence) -> ClassSummary:
    """Return one row of the table of classes."""
    found = whole.classes.get(entry.id, NOTHING)
    is_signet = entry.id == SIGNET_RING
    return ClassSummary(
        class_name=entry.id,
        short=entry.short,
        name=entry.name,
        western=entry.western,
        vienna=entry.vienna,
        standing=standing.value,
        area_mm2=found.area_mm2,
        share=found.area_mm2 / whole.tissue_mm2 if whole.tissue_mm2 else None,
        regions=found.regions,
        largest_mm2=found.largest_mm2,
        glands=found.glands,
        cells=whole.signet.cells if is_signet and whole.signet is not None else 0,
        false_mm2=found.false_mm2,
        confidence=found.confidence,
    )


def _class_scores(summary: ClassSummary, whole: FragmentEvidence) -> tuple[Score, ...]:
    """Return area, share, lesions and largest lesion of a class; only the area of an absent one."""
    if summary.class_name == SIGNET_RING:
        return ()
    area = _area_score(f"{summary.short} area", summary.area_mm2, whole)
    if summary.standing == Standing.ABSENT:
        return (area,)
    is_weak = Standing(summary.standing).is_suspected
    area = replace(area, status=Status.REVIEW if is_weak else Status.OK, category=summary.standing)
    tissue = area.denominator
    share = replace(
        area,
        name=f"{summary.short} share of tissue",
        value=100 * area.numerator / tissue if tissue else None,
        unit="%",
        status=area.status if tissue else Status.NOT_ASSESSABLE,
        category=None,
    )
    lesions = replace(
        area,
        name=f"{summary.short} lesions",
        value=float(summary.regions),
        unit="lesions",
        numerator=summary.regions,
        denominator=summary.glands,
        category=None,
        rule="colorectal.lesions/1 (lesions, of so many glands)",
    )
    largest = replace(
        area,
        name=f"{summary.short} largest lesion",
        value=summary.largest_mm2,
        numerator=round(summary.largest_mm2 * 1e6),
        denominator=area.numerator,
        category=None,
    )
    return area, share, lesions, largest


def _area_score(name: str, area_mm2: float, whole: FragmentEvidence) -> Score:
    """Return an area, of all tissue."""
    return Score(
        name=name,
        value=area_mm2,
        unit="mm²",
        numerator=round(area_mm2 * 1e6),
        denominator=round(whole.tissue_mm2 * 1e6),
        interval=None,
        status=Status.OK,
        category=None,
        rule=_AREA_RULE,
    )


def _signet_scores(whole: FragmentEvidence) -> tuple[Score, ...]:
    """Return the signet-ring cells of the slide and of its densest disc."""
    _, standing = class_standings(whole)[-1]  # the most severe class
    signet, cutoffs = whole.signet, colorectal_cutoffs()
    if signet is None:
        status = Status.NOT_ASSESSABLE
    else:
        status = Status.REVIEW if standing is Standing.WEAK else Status.OK
    cells = Score(
        name="Signet-ring cells",
        value=None if signet is None else float(signet.cells),
        unit="cells",
        numerator=0 if signet is None else signet.cells,
        denominator=round(whole.tissue_mm2 * 1e6),
        interval=None,
        status=status,
        category=None if signet is None or standing is Standing.ABSENT else standing.value,
        rule=_SIGNET_RULE,
        flags=(Flag.SIGNET_NOT_LOOKED_FOR,) if signet is None else (),
    )
    if signet is None:
        return (cells,)
    densest = replace(
        cells,
        name=f"Signet-ring cells within {cutoffs.signet_disc_mm2:g} mm²",
        value=float(signet.densest),
        numerator=signet.densest,
        denominator=cutoffs.signet_disc_um2,
        category=None,
    )
    return cells, densest


def _signet_flags(fragments: Sequence[FragmentEvidence]) -> tuple[Flag, ...]:
    """Say so where nobody looked for signet-ring cells."""
    is_looked = all(fragment.signet is not None for fragment in fragments)
    return () if is_looked else (Flag.SIGNET_NOT_LOOKED_FOR,)


def _fragment_score(fragment: FragmentEvidence) -> Score:
    """Return the class of one fragment as a score.

    Without its flags: what is weak in a fragment may be established on the slide, whose flags say what
    counts; ``fragment_result`` has the fragment's own.
    """
    return _call_score(call_class(fragment), fragment, name=f"Fragment {fragment.name}")


def _carcinoma_rank() -> int:
    """Return the highest rank."""
    return max(entry.rank for entry in colorectal_cutoffs().classes)
