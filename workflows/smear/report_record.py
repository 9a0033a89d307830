"""A smear's report as plain JSON values: the one source that every form of the report shows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...quantify import SlideResult, Status, blood_smear_cutoffs, round_half_up
from ..report.content import ResolutionFacts, SlideFacts
from ..report.flag_advice import StatusWords, describe_reason, describe_status
from ..report.record import RESEARCH_USE
from ..report.record_parts import network_entry, provenance_entry, record_opening
from ..runs.provenance import describe_software
from .analyser import BloodFacts
from .cells import RED, WHITE
from .exports import COLORS
from .findings import CountSettings, Findings
from .pictures import GalleryCell, state_legend
from .plan import FROM_RED_CELLS, SmearPlan
from .readers import CellReader, SmearReader

__all__ = ["SmearReport", "smear_record", "status_words"]

DIFFERENTIAL, ABSOLUTE = "smear.differential/", "smear.absolute/"
SHAPES = "smear.shape/"
CRITERIA = ("Positive smear: ", "Manual review: ")
_NOTHING = StatusWords(
    "Not assessable",
    "No white cell was named, so there is no differential. This is not a result of 0.",
    "stop",
)
_TOO_FEW = StatusWords(
    "Too few white cells", "The differential rests on too few white cells to be trusted.", "stop"
)
_REVIEW = StatusWords(
    "Look before use", "There are numbers, but what is named below needs a person's eye first.", "look"
)
_COMPLETE = StatusWords("Complete", "Enough white cells were named and the smear passed its checks.", "good")
_PART = StatusWords(
    "Part of the smear is missing", "Some images could not be read and are in no count.", "look"
)
_WORDS: Mapping[Status, StatusWords] = {
    Status.OK: _COMPLETE,
    Status.REVIEW: _REVIEW,
    Status.PARTIAL: _PART,
    Status.INSUFFICIENT: _TOO_FEW,
    Status.NOT_ASSESSABLE: _NOTHING,
}
OWN_LIMITS = (
    "White cells are told into five classes; bands count as neutrophils, other cells are not found.",
    "Platelets that are packed tightly may be taken for a white cell: look for them in the gallery.",
    "Parasites, inclusions, Auer rods, toxic granulation and rouleaux are not looked for.",
    "Red cells that lie on one another are found in part only: red-cell numbers are no red-cell count.",
)
"""What this road cannot do, a sentence each."""


@dataclass(frozen=True)
class SmearReport:
    """All that a report says of one smear."""

    plan: SmearPlan
    findings: Findings
    result: SlideResult
    facts: BloodFacts
    counting: CountSettings
    reader: SmearReader
    white: CellReader | None
    red: CellReader | None
    gallery: tuple[GalleryCell, ...]
    settings: Mapping[str, Any]
    """Every setting that shapes the numbers, as plain JSON values."""

    @property
    def networks(self) -> tuple[SmearReader | CellReader, ...]:
        """Detector and classifiers."""
        return tuple(each for each in (self.reader, self.white, self.red) if each is not None)


def status_words(status: Status | str) -> StatusWords:
    """Return the words of a status, for a report that counts blood cells."""
    return _WORDS.get(Status(status)) or describe_status(status)


def smear_record(report: SmearReport) -> dict[str, Any]:
    """Return a report as plain JSON values.

    Parameters
    ----------
    report : SmearReport
        What was found.

    Returns
    -------
    dict
        What ``report.json`` holds. The result stands at the top level, as `SlideResult.to_json` gives it, as
        in the reports of markers; what smears have of their own is below ``smear``. Equal findings give an
        equal record.
    """
    result, plan = report.result, report.plan
    resolution = _resolution(report)
    limits = [limit for network in report.networks for limit in network.limits]
    return {
        **record_opening(
            result,
            slide_id=plan.smear.slide_id,
            sentence=_sentence(report),
            status=status_words(result.status),
        ),
        "words": {"noun": "cells", "evidence": "{part} white cells classified, {whole} are needed"},
        "advice": [],
        "smear": _smear(report),
        "exclusions": [
            {"reason": reason, "words": describe_reason(reason), "cells": count}
            for reason, count in sorted(result.excluded.items(), key=lambda item: (-item[1], item[0]))
        ],
        "image": asdict(_image(plan)),
        "resolution": asdict(resolution),
        "networks": [network_entry(each) for each in report.networks],
        "methods": _methods(report, resolution),
        "limits": list(dict.fromkeys((*limits, *OWN_LIMITS))),
        "provenance": provenance_entry(report.settings),
        "research_use": RESEARCH_USE,
    }


def _smear(report: SmearReport) -> dict[str, Any]:
    """Return what smears have of their own; scores are named by their place."""
    plan, findings, scores = report.plan, report.findings, report.result.scores
    cells = findings.cells
    criteria = [at for at, score in enumerate(scores) if score.name.startswith(CRITERIA)]
    differential = [at for at, score in enumerate(scores) if score.rule.startswith(DIFFERENTIAL)]
    absolute = [at for at, score in enumerate(scores) if score.rule.startswith(ABSOLUTE)]
    shapes = [at for at, score in enumerate(scores) if score.rule.startswith(SHAPES)]
    apart = {0, *criteria, *differential, *absolute, *shapes}
    return {
        "kind": "slide" if plan.is_slide else "fields",
        "fields": len(plan.images),
        "unreadable": [asdict(each) | {"path": each.name} for each in plan.bad],
        "scores": {
            "differential": differential,
            "absolute": absolute,
            "shapes": shapes,
            "criteria": criteria,
            "others": [at for at in range(len(scores)) if at not in apart],
        },
        "bar": _bar(report),
        "white_cut_by_border": int(((cells.kind == WHITE) & (findings.excluded == "") & cells.cut).sum()),
        "red_shapes_named": int(((cells.kind == RED) & (findings.label != "")).sum()),
        "median_red_um": _median_red(findings),
        "clumps": findings.clumping.clumps,
        "rosettes": findings.clumping.rosettes,
        "blocks": {name: int((findings.states == at).sum()) for at, name in enumerate(_state_names())},
        "states": state_legend(),
        "scale": [asdict(each) for each in plan.scale],
        "analyser": report.facts.to_json(),
        "gallery": [
            {
                "group": cell.group,
                "color": COLORS.get(cell.group, COLORS["RBC"]),
                "probability": round(cell.probability, 6),
                "field": cell.field,
                "x": cell.x,
                "y": cell.y,
            }
            for cell in report.gallery
        ],
    }


def _state_names() -> tuple[str, ...]:
    """Return the names of the blocks' states."""
    from .monolayer import STATES

    return STATES


def _bar(report: SmearReport) -> list[dict[str, Any]]:
    """Return the share of each class of white cells."""
    rows = [
        score for score in report.result.scores if score.rule.startswith(DIFFERENTIAL) and score.numerator
    ]
    return [
        {
            "name": score.name,
            "color": COLORS.get(_singular(score.name), COLORS["unclassified"]),
            "percent": 100 * score.numerator / score.denominator,
        }
        for score in rows
    ]


def _singular(name: str) -> str:
    """Return a class by the name of its score: "Neutrophils" is "neutrophil"."""
    return name.lower().removesuffix("s")


def _median_red(findings: Findings) -> float | None:
    """Return the median diameter of whole counted red cells, um."""
    import numpy as np

    whole = (findings.cells.kind == RED) & (findings.excluded == "") & ~findings.cells.cut
    return round(float(np.median(findings.cells.diameter_um[whole])), 4) if whole.any() else None


def _sentence(report: SmearReport) -> str:
    """Return the result as one sentence, or why there is none."""
    headline, findings = report.result.headline, report.findings
    counted = ", ".join(
        f"{findings.count(kind):,} {name}"
        for kind, name in enumerate(("red cells", "white cells", "platelets"))
    )
    place = (
        f"{round_half_up(report.result.areas_mm2['assessed'], places=2)} mm² of monolayer"
        if report.plan.is_slide
        else f"{len(report.plan.images)} field{'s' if len(report.plan.images) != 1 else ''}"
    )
    text = f"{counted} counted in {place}"
    if headline.value is None:
        return f"{text}; no white cell was named, so there is no differential."
    limits = blood_smear_cutoffs().differential
    return (
        f"{text}; {headline.numerator:,} white cells named (at least {limits.cells} are needed, "
        f"{limits.preferred_cells} are preferred)" + (f": {headline.category}." if headline.category else ".")
    )


def _image(plan: SmearPlan) -> SlideFacts:
    """Return which file or folder was read."""
    first = plan.images[0]
    if len(plan.images) == 1:
        return SlideFacts(
            plan.smear.slide_id,
            first.name,
            "slide" if plan.is_slide else "field",
            first.width,
            first.height,
            first.fingerprint,
        )
    digest = hashlib.sha256("".join(image.fingerprint for image in plan.images).encode()).hexdigest()
    return SlideFacts(
        plan.smear.slide_id, f"{len(plan.images)} images", "fields", first.width, first.height, digest
    )


def _resolution(report: SmearReport) -> ResolutionFacts:
    """Return how large a pixel is, and who says so."""
    plan = report.plan
    mpp = plan.images[0].mpp
    problems: tuple[str, ...] = ()
    if plan.mpp_source == FROM_RED_CELLS:
        told = [
            f"judged from {each.cells} red cells that cover {100 * each.covered:.0f} % of the stain"
            for each in plan.scale
        ]
        problems = tuple(told)
    return ResolutionFacts(
        x=mpp,
        y=mpp,
        source=plan.mpp_source,
        is_override=plan.mpp_source == "user",
        working_mpp=plan.images[0].downsample * mpp,
        problems=problems,
    )


def _methods(report: SmearReport, resolution: ResolutionFacts) -> str:
    """Return how the result was made, as one paragraph of full sentences."""
    plan, counting = report.plan, report.counting
    software = describe_software()
    source = {
        "user": "set by the user",
        FROM_RED_CELLS: "judged by taking the median red cell for 7.5 µm",
    }.get(plan.mpp_source, f"from {plan.mpp_source}")
    what = "a slide" if plan.is_slide else f"{len(plan.images)} field images"
    sentences = [
        f"slidelab {software['slidelab']} read {what} with {resolution.x:.4g} µm per pixel, {source}.",
        f"Red cells, white cells and platelets were found at {resolution.working_mpp:.3g} µm per pixel by "
        f"{report.reader.name} (version {report.reader.version}, weights {report.reader.sha256[:12]}).",
        _monolayer_words(report),
    ]
    if report.white is not None:
        sentences.append(
            f"White cells that no border cuts were named by {report.white.name} (version "
            f"{report.white.version}); those that resemble no class are unclassified and stay among the 100."
        )
    if report.red is not None:
        sentences.append(
            f"Shapes of red cells were named by {report.red.name}, experimentally, on at most "
            f"{report.settings['red_per_tile']} red cells of each tile."
        )
    sentences.append(
        "Intervals of shares are exact binomial ones (Clopper-Pearson), which hold the chance of the sample "
        "and not the errors of the networks."
    )
    factor = counting.factor or blood_smear_cutoffs().platelets.factors[counting.part]
    unit = "images" if not plan.is_slide else f"squares of {report.settings['plan']['block_um']:g} µm"
    area = "each taken for a whole oil field" if counting.whole_fields else "turned into oil fields by area"
    sentences.append(
        f"Platelets were counted in {unit}, {area}, and their mean per oil field times {factor:,} per µL is "
        f"the estimate; clumps and satellitism suppress it."
    )
    return " ".join(sentences)


def _monolayer_words(report: SmearReport) -> str:
    """Say how the monolayer was chosen."""
    limits = report.counting.monolayer
    rule = (
        f"{100 * limits.least_stained:g} to {100 * limits.most_stained:g} % are stained and at most "
        f"{100 * limits.most_overlapping:g} % of the red cells overlap"
    )
    if report.plan.is_slide:
        side = f"{report.settings['plan']['block_um']:g} µm"
        return f"Cells count in squares of {side} that are monolayer: {rule} (project rule)."
    return f"All fields count, as a person chose them; those where not {rule} are flagged (project rule)."
