"""A grading report as plain JSON values: the one source that every form of the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...quantify import (
    ClassSummary,
    Status,
    colorectal_cutoffs,
    fragment_result,
    pool_fragments,
    round_half_up,
    summarise_classes,
)
from ..report.flag_advice import StatusWords, describe_reason, describe_status
from ..report.record import RESEARCH_USE
from ..report.record_parts import (
    network_entry,
    provenance_entry,
    record_opening,
    resolution_facts,
    slide_facts,
)
from .classes import LESION_CLASSES, SIGNET_COLOR
from .lesions import Lesion
from .report_words import describe_methods, known_limits

if TYPE_CHECKING:
    from .report import GradingReport

__all__ = ["GALLERY", "grading_record", "status_words"]

GALLERY = 6
"""Lesions shown at close-up, the severest first."""
LISTED = 500
"""Lesions listed in the record; all are in ``lesions.geojson``."""
COLORS: Mapping[str, str] = {
    **{each.key: each.color for each in LESION_CLASSES},
    "signet_ring": SIGNET_COLOR,
}

_TOO_LITTLE = StatusWords(
    "Too little evidence",
    "There is too little tissue, or too little of any lesion, to name a class; look at what was outlined.",
    "stop",
)
_COMPLETE = StatusWords("Complete", "Enough was found for the class and the slide passed its checks.", "good")
_NOTHING = StatusWords(
    "Not assessable", "No glands and no cells to grade were found. This is not a negative result.", "stop"
)
_REVIEW = StatusWords(
    "Look before use",
    "There is a class, but something named below needs a pathologist's eye first.",
    "look",
)
_WORDS: Mapping[Status, StatusWords] = {
    Status.OK: _COMPLETE,
    Status.REVIEW: _REVIEW,
    Status.INSUFFICIENT: _TOO_LITTLE,
    Status.NOT_ASSESSABLE: _NOTHING,
}


def status_words(status: Status | str) -> StatusWords:
    """Return the words of a status, for a report that counts no nuclei."""
    return _WORDS.get(Status(status)) or describe_status(status)


def grading_record(report: GradingReport) -> dict[str, Any]:
    """Return a report as plain JSON values.

    Parameters
    ----------
    report : GradingReport
        What was found.

    Returns
    -------
    dict
        What ``report.json`` holds. The slide's result stands at the top level, as `SlideResult.to_json`
        gives it, as in the reports of markers; what colorectal slides have of their own is below
        ``colorectal``. Equal findings give an equal record.
    """
    result, plan = report.result, report.plan
    own = _colorectal(report)
    resolution = resolution_facts(report.slide, plan)
    networks = (report.tissue, report.signet, report.nuclei)
    return {
        **record_opening(
            result,
            slide_id=plan.slide.slide_id,
            sentence=_sentence(own),
            status=status_words(result.status),
        ),
        "words": {"noun": "glands", "evidence": _evidence_words(own)},
        "advice": [],
        "colorectal": own,
        "exclusions": _exclusions(report),
        "image": asdict(slide_facts(report.slide, plan)),
        "resolution": asdict(resolution),
        "normalisation": None if plan.normalised is None else plan.normalised.to_json(),
        "networks": [network_entry(each) for each in networks if each is not None],
        "methods": describe_methods(report, resolution),
        "limits": list(known_limits(report)),
        "provenance": provenance_entry(report.settings),
        "research_use": RESEARCH_USE,
    }


def _colorectal(report: GradingReport) -> dict[str, Any]:
    """Return class, lesions, fragments and cells."""
    findings = report.findings
    whole = pool_fragments(findings.evidence)
    category = report.result.headline.category
    entry = next((each for each in colorectal_cutoffs().classes if each.short == category), None)
    uncertain = ~findings.glands.is_certain
    likely = [
        {
            "class": kind.key,
            "name": kind.name,
            "glands": int((uncertain & (findings.glands.kind == number)).sum()),
        }
        for number, kind in enumerate(LESION_CLASSES)
    ]
    shown = findings.by_severity
    return {
        "kind": report.kind,
        "class": None
        if entry is None
        else {
            "id": entry.id,
            "short": entry.short,
            "name": entry.name,
            "western": entry.western,
            "vienna": entry.vienna,
            "rank": entry.rank,
            "color": COLORS[entry.id],
            "confidence": _confidence(whole.classes, entry.id),
        },
        "tissue_mm2": whole.tissue_mm2,
        "glands_mm2": float(findings.glands.area_mm2.sum()),
        "classes": [_class_row(each) for each in summarise_classes(findings.evidence)],
        "fragments": _fragments(report),
        "lesions": [_lesion(each, report) for each in shown[:LISTED]],
        "lesions_found": len(shown),
        "gallery": [_lesion(each, report) for each in gallery_of(report)],
        "uncertain": {
            "area_mm2": findings.uncertain_mm2,
            "glands": int(uncertain.sum()),
            "likely": [each for each in likely if each["glands"]],
        },
        "signet": None if whole.signet is None else asdict(whole.signet),
        "buds": _buds(report),
    }


def _buds(report: GradingReport) -> dict[str, Any] | None:
    """Return the candidate tumour buds and the field that holds most; None where nobody looked."""
    buds, mm = report.findings.buds, 1e-3
    if buds is None:
        return None
    disc = buds.disc
    field = (
        None
        if disc is None
        else {
            "x_mm": disc.x_um * mm,
            "y_mm": disc.y_um * mm,
            "radius_mm": disc.radius_um * mm,
            "buds": disc.count,
            "clusters": buds.clusters_in_disc,
            "tissue_mm2": buds.tissue_mm2,
        }
    )
    found = int(buds.is_bud.sum())
    return {"candidates": found, "clusters": len(buds) - found, "field": field}


def gallery_of(report: GradingReport) -> tuple[Lesion, ...]:
    """Return the lesions shown at close-up; normal glands where there is nothing else."""
    found = report.findings.by_severity
    rest = tuple(sorted(report.findings.lesions, key=lambda each: -each.area_mm2))
    return (found or rest)[:GALLERY]


def _class_row(each: ClassSummary) -> dict[str, Any]:
    """Return a class of the table."""
    return {**asdict(each), "color": COLORS[each.class_name]}


def _confidence(classes: Mapping[str, Any], key: str) -> float | None:
    """Return the mean probability of a class that glands decide."""
    return classes[key].confidence if key in classes else None


def _fragments(report: GradingReport) -> list[dict[str, Any]]:
    """Return each fragment with its class, and the area of each class in it."""
    rows = []
    short = {each.id: each.short for each in colorectal_cutoffs().classes}
    for number, evidence in enumerate(report.findings.evidence, start=1):
        call = fragment_result(evidence)
        rows.append(
            {
                "name": call.name,
                "tissue_mm2": evidence.tissue_mm2,
                "class": call.class_name,
                "category": call.category,
                "color": None if call.class_name is None else COLORS[call.class_name],
                "vienna": call.vienna,
                "status": call.status.value,
                "status_name": status_words(call.status).name,
                "flags": list(call.flags),
                "possible": [short[key] for key in call.possible],
                "lesions": sum(each.fragment == number for each in report.findings.shown_lesions),
                "areas_mm2": {key: found.area_mm2 for key, found in evidence.classes.items()},
                "signet_cells": None if evidence.signet is None else evidence.signet.cells,
            }
        )
    return rows


def _lesion(lesion: Lesion, report: GradingReport) -> dict[str, Any]:
    """Return what is said of a lesion."""
    mm = report.plan.level0_mpp / 1000
    return {
        "name": lesion.name,
        "class": lesion.kind.key,
        "short": lesion.kind.name,
        "color": lesion.kind.color,
        "fragment": report.findings.pieces.fragments[lesion.fragment - 1].name,
        "area_mm2": lesion.area_mm2,
        "glands": lesion.glands,
        "confidence": lesion.confidence,
        "probability": {
            kind.key: round(value, 6) for kind, value in zip(LESION_CLASSES, lesion.probability, strict=True)
        },
        "x_mm": lesion.centre[0] * mm,
        "y_mm": lesion.centre[1] * mm,
    }


def _sentence(own: Mapping[str, Any]) -> str:
    """Return the result as one sentence, or why there is none."""
    entry = own["class"]
    tissue = f"{round_half_up(own['tissue_mm2'], places=2)} mm² of tissue"
    if entry is None:
        return f"No class can be given from {tissue}; this is not a negative result."
    row = next(each for each in own["classes"] if each["class_name"] == entry["id"])
    text = f"{entry['name']}, Vienna {entry['vienna']}: "
    if entry["id"] == "signet_ring":
        return text + f"{row['cells']:,} signet-ring cells on {tissue}."
    glands, lesions = _counted(row["glands"], "gland"), _counted(row["regions"], "lesion")
    text += f"{round_half_up(row['area_mm2'], places=3)} mm² of glands ({glands} in {lesions})"
    share = "" if row["share"] is None else f", {round_half_up(100 * row['share'], places=1)} % of {tissue}"
    sure = (
        ""
        if row["confidence"] is None
        else f"; mean probability {round_half_up(row['confidence'], places=2)}"
    )
    return f"{text}{share}{sure}."


def _counted(count: int, noun: str) -> str:
    """Return "1 gland" or "12 glands"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _evidence_words(own: Mapping[str, Any]) -> str:
    """Return what a terminal prints of the headline."""
    entry = own["class"]
    if entry is None:
        return "no class can be given"
    if entry["id"] == "signet_ring":
        return f"{entry['short']} (Vienna {entry['vienna']}), {{part}} of {{whole}} cells in the densest disc"
    return f"{entry['short']} (Vienna {entry['vienna']}), {{part}} µm² of {{whole}} µm² tissue"


def _exclusions(report: GradingReport) -> list[dict[str, Any]]:
    """Return the tissue left out, by reason, largest first."""
    lost = report.plan.quality.areas_mm2(report.plan.tissue)
    reasons = [reason for reason in report.plan.quality.reasons[1:] if lost[reason] > 0]
    return [
        {"reason": reason, "words": describe_reason(reason), "area_mm2": lost[reason]}
        for reason in sorted(reasons, key=lambda each: -lost[each])
    ]
