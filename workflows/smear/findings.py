"""From the cells of a smear to what is reported: which count, the evidence for the rules, the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ...quantify import (
    FIVE_PARTS,
    PlateletFields,
    Score,
    SlideResult,
    SmearEvidence,
    Status,
    WhiteCells,
    grade_change,
    score_smear,
    worst_status,
)
from ...quantify.flags import Flag
from .analyser import BloodFacts
from .cells import PLATELET, RED, WHITE, BlockTable, SmearCells
from .clumps import Clumping, ClumpSettings, find_clumps
from .monolayer import EMPTY, MONOLAYER, STATES, MonolayerSettings, areas_of, judge_blocks
from .plan import FROM_RED_CELLS, SmearPlan
from .readers import RED_FEATURES

__all__ = ["CUT", "UNCLASSIFIED", "CountSettings", "Findings", "examine", "score_findings"]

CUT = "cut_by_border"
UNCLASSIFIED = "unclassified"
NOT_ASKED = ""


@dataclass(frozen=True)
class CountSettings:
    """How cells become counts."""

    monolayer: MonolayerSettings = field(default_factory=MonolayerSettings)
    clumps: ClumpSettings = field(default_factory=ClumpSettings)
    part: str = "monolayer"
    """Part of the smear that fields are from, for the platelet factor: "monolayer" or "wedge"."""
    factor: int | None = None
    """The laboratory's own factor, platelets per uL for each platelet per oil field."""
    whole_fields: bool = False
    """Whether each image is a whole 100x oil field; otherwise its area is turned into one."""
    most_unclassified: float = 0.1
    """With a greater share of unclassified white cells the differential is for review."""
    most_outside: float = 0.25
    """With a greater share of fields that are no monolayer their counts are for review."""
    same_size: float = 0.02
    """Fields whose areas differ by less, as a share, count as equally large."""


@dataclass(frozen=True)
class Findings:
    """What is known of a smear."""

    cells: SmearCells
    blocks: BlockTable
    states: NDArray[np.uint8]
    """Of each block: (B,)."""
    excluded: NDArray[np.str_]
    """Why each cell is not counted, empty where it is: (N,)."""
    label: NDArray[np.str_]
    """Class of each white cell and each red cell that was asked; empty for others: (N,)."""
    certainty: NDArray[np.float32]
    """Probability of that class; 0 where there is none: (N,)."""
    clumping: Clumping
    white_classes: tuple[str, ...]
    red_classes: tuple[str, ...]

    def count(self, kind: int) -> int:
        """Return the counted cells of a kind."""
        return int(((self.cells.kind == kind) & (self.excluded == "")).sum())

    @property
    def assessed_mm2(self) -> float:
        """Area that cells were counted in, mm2."""
        return float(self.blocks.area_mm2[self.states == MONOLAYER].sum())


def examine(
    plan: SmearPlan,
    cells: SmearCells,
    blocks: BlockTable,
    *,
    settings: CountSettings,
    classes: tuple[tuple[str, ...], tuple[str, ...]],
) -> Findings:
    """Judge which cells count and name them.

    On slides only those of the monolayer count. The fields of a folder were chosen by a person: all of them
    count, and those that are no monolayer are flagged. White cells that the border cuts are counted as white
    cells and left out of the differential.
    """
    states = judge_blocks(cells, blocks, settings=settings.monolayer)
    excluded = np.full(len(cells), "", "<U16")
    if plan.is_slide and len(cells):
        state = states[cells.block]
        for number, name in enumerate(STATES):
            if number != MONOLAYER:
                excluded[state == number] = name
    label = np.full(len(cells), NOT_ASKED, "<U24")
    certainty = np.zeros(len(cells), np.float32)
    for kind, answers, unknown, names in (
        (WHITE, cells.white, cells.white_unknown, classes[0]),
        (RED, cells.red, cells.red_unknown, classes[1]),
    ):
        if names and len(cells):
            asked = (cells.kind == kind) & (answers.sum(1) > 0)
            best = answers.argmax(1)
            label[asked] = np.array(names)[best[asked]]
            label[asked & unknown] = UNCLASSIFIED
            certainty[asked] = answers.max(1)[asked]
    return Findings(
        cells=cells,
        blocks=blocks,
        states=states,
        excluded=excluded,
        label=label,
        certainty=certainty,
        clumping=find_clumps(cells, settings=settings.clumps),
        white_classes=classes[0],
        red_classes=classes[1],
    )


def score_findings(
    plan: SmearPlan, findings: Findings, *, facts: BloodFacts, settings: CountSettings, missing: int = 0
) -> SlideResult:
    """Apply the rules to what was found.

    Parameters
    ----------
    plan : SmearPlan
        Of the smear.
    findings : Findings
        What was found.
    facts : BloodFacts
        What the analyser and a reader's eye add.
    settings : CountSettings
        How cells become counts.
    missing : int
        Parts that could not be looked at.
    """
    white = _white(findings, facts)
    platelets, red = findings.count(PLATELET), findings.count(RED)
    evidence = SmearEvidence(
        white=white,
        platelets=_platelet_fields(plan, findings, settings),
        platelets_beside_red_cells=(platelets, red) if red else None,
        blood=facts.blood,
    )
    areas = {"smear": plan.smear_mm2, "assessed": _assessed_mm2(plan, findings)}
    if plan.is_slide:
        areas |= {name: area for name, area in areas_of(findings.states, findings.blocks).items() if area}
    if missing:
        areas["missing"] = _missing_mm2(plan, findings, missing)
    flags, review = _notes(plan, findings, white=white, settings=settings)
    result = score_smear(
        evidence,
        excluded={str(name): count for name, count in Counter(findings.excluded.tolist()).items() if name},
        areas_mm2=areas,
        flags=flags,
    )
    result = replace(result, scores=(*result.scores, *_shapes(findings), *_counts(findings)))
    if review:
        result = replace(result, status=worst_status(result.status, Status.REVIEW))
    return result


def _white(findings: Findings, facts: BloodFacts) -> WhiteCells:
    """Return the white cells by class; none where nobody named them."""
    cells = findings.cells
    told = (cells.kind == WHITE) & (findings.excluded == "") & ~cells.cut & (findings.label != NOT_ASKED)
    found = Counter(findings.label[told].tolist())
    known = {name: found.pop(name, 0) for name in (*FIVE_PARTS, UNCLASSIFIED)}
    known[UNCLASSIFIED] += sum(found.values())  # classes that the rules have no place for
    return WhiteCells(
        counts=known if findings.white_classes else {},
        nrbc=facts.nrbc_per_100,
        nrbc_beside=None if facts.nrbc_per_100 is None else 100,
        tells_suspects=False,
    )


def _platelet_fields(plan: SmearPlan, findings: Findings, settings: CountSettings) -> PlateletFields | None:
    """Return the platelets of each field of one size; None where none can be counted."""
    chosen = findings.states == MONOLAYER if plan.is_slide else np.ones(len(findings.blocks), bool)
    area = findings.blocks.area_mm2
    if not chosen.any():
        return None
    usual = float(np.median(area[chosen]))
    chosen &= np.abs(area / usual - 1) <= settings.same_size
    if not chosen.any():
        return None
    counted = (findings.cells.kind == PLATELET) & (findings.excluded == "")
    counts = np.bincount(findings.cells.block[counted], minlength=len(area))[chosen]
    clumping = findings.clumping
    return PlateletFields(
        tuple(counts.tolist()),
        part=settings.part,
        field_mm2=None if settings.whole_fields and not plan.is_slide else usual,
        # Clumps gather at the feathered edge: not to have found one elsewhere is not to know of none.
        clumps=True if clumping.clumps else None,
        satellitism=True if clumping.rosettes else None,
        factor=settings.factor,
    )


def _shapes(findings: Findings) -> tuple[Score, ...]:
    """Return the share of each shape of red cells, where a classifier was asked.

    They are experimental: no grade follows from them, and none of the criteria sees them.
    """
    named = (findings.cells.kind == RED) & (findings.excluded == "") & (findings.label != NOT_ASKED)
    found = Counter(findings.label[named & (findings.label != UNCLASSIFIED)].tolist())
    total = sum(found.values())
    scores = []
    for name, change in RED_FEATURES.items():
        if name in findings.red_classes and total:
            score = grade_change(change, found.get(name, 0), cells=total)
            status = worst_status(score.status, Status.REVIEW)
            rule = score.rule.replace("smear.grade/", "smear.shape/")
            scores.append(replace(score, status=status, category=None, rule=rule, flags=(Flag.EXPERIMENTAL,)))
    return tuple(scores)


def _counts(findings: Findings) -> tuple[Score, ...]:
    """Return how many cells of each kind were counted."""
    area = findings.assessed_mm2
    return (
        tuple(
            Score(
                name=f"{name} counted",
                value=float(findings.count(kind)),
                unit="cells",
                numerator=findings.count(kind),
                denominator=0,
                interval=None,
                status=Status.OK,
                category=None,
                rule="smear.counted/1 (detected cells whose centre lies in the area assessed)",
            )
            for kind, name in ((RED, "Red cells"), (WHITE, "White cells"), (PLATELET, "Platelets"))
        )
        if area or len(findings.cells)
        else ()
    )


def _assessed_mm2(plan: SmearPlan, findings: Findings) -> float:
    """Return the area that cells were counted in, mm2."""
    return findings.assessed_mm2 if plan.is_slide else float(findings.blocks.area_mm2.sum())


def _missing_mm2(plan: SmearPlan, findings: Findings, missing: int) -> float:
    """Return the area of parts that could not be looked at, mm2; unread images count as the others are."""
    if not plan.images:
        return 0.0
    usual = plan.smear_mm2 / len(plan.images)
    if plan.is_slide:
        image = plan.images[0]
        usual = (image.grid.core * image.downsample * image.mpp / 1000) ** 2
    return missing * usual


def _notes(
    plan: SmearPlan, findings: Findings, *, white: WhiteCells, settings: CountSettings
) -> tuple[Sequence[str], bool]:
    """Return the warnings about the smear, and whether they ask for a person."""
    outside = (findings.states != MONOLAYER) & (findings.states != EMPTY)
    unclassified = white.counts.get(UNCLASSIFIED, 0)
    found: Mapping[str, bool] = {
        Flag.SMEAR_NO_CLASSIFIER: not findings.white_classes,
        Flag.SMEAR_FIVE_CLASSES_ONLY: bool(findings.white_classes),
        Flag.SMEAR_MANY_UNCLASSIFIED: unclassified > settings.most_unclassified * max(1, white.total),
        Flag.SMEAR_NOT_MONOLAYER: not plan.is_slide
        and bool(outside.sum() > settings.most_outside * max(1, len(outside))),
        Flag.SMEAR_NO_MONOLAYER: plan.is_slide and not (findings.states == MONOLAYER).any(),
        Flag.SMEAR_RED_SHAPES_EXPERIMENTAL: bool(findings.red_classes),
    }
    for_review = (
        Flag.SMEAR_FIVE_CLASSES_ONLY,
        Flag.SMEAR_MANY_UNCLASSIFIED,
        Flag.SMEAR_NOT_MONOLAYER,
        Flag.SMEAR_RED_SHAPES_EXPERIMENTAL,
    )
    flags = [*plan.flags, *(flag for flag, holds in found.items() if holds)]
    asks = any(found[flag] for flag in for_review) or "SMEAR_FIELDS_UNREADABLE" in plan.flags
    return flags, asks or plan.mpp_source == FROM_RED_CELLS
