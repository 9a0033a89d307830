"""A screening report as plain JSON values: the one source that every form of the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...quantify import Status, cervical_cutoffs, report_lines
from ...quantify.cervical import listed_findings
from ..report.flag_advice import StatusWords, describe_reason, describe_status
from ..report.record import RESEARCH_USE
from ..report.record_parts import (
    network_entry,
    provenance_entry,
    record_opening,
    resolution_facts,
    slide_facts,
)
from .cells import KINDS
from .classes import class_color
from .report_words import describe_methods, known_limits

if TYPE_CHECKING:
    from .report import ScreeningReport

__all__ = ["screening_record", "status_words"]

_WORDS: Mapping[Status, StatusWords] = {
    Status.OK: StatusWords("Complete", "The slide passed its checks and no call is left open.", "good"),
    Status.REVIEW: StatusWords(
        "Read this slide", "Calls and gallery are a suggestion; a person has to read the slide.", "look"
    ),
    Status.INSUFFICIENT: StatusWords(
        "Unsatisfactory specimen",
        "Too little can be seen for a result, and no abnormal cell was found.",
        "stop",
    ),
    Status.NOT_ASSESSABLE: StatusWords(
        "Not assessable", "No cells could be assessed. This is not a negative result.", "stop"
    ),
}
OUTSIDE_WORDS: Mapping[str, str] = {"thick": "too thick to see through"}


def status_words(status: Status | str) -> StatusWords:
    """Return the words of a status of a screened slide."""
    return _WORDS.get(Status(status)) or describe_status(status)


def screening_record(report: ScreeningReport) -> dict[str, Any]:
    """Return a report as plain JSON values.

    Parameters
    ----------
    report : ScreeningReport
        What was found.

    Returns
    -------
    dict
        What ``report.json`` holds. The slide's result stands at the top level, as `SlideResult.to_json` gives
        it, as in the reports of markers; what cytology has of its own is below ``cervix``. Equal findings
        give an equal record.
    """
    result, plan = report.outcome.result, report.plan
    resolution = resolution_facts(report.slide, plan)
    return {
        **record_opening(
            result,
            slide_id=plan.slide.slide_id,
            sentence=_sentence(report),
            status=status_words(result.status),
        ),
        "words": {"noun": "cells", "evidence": _evidence_words(report)},
        "advice": [],
        "cervix": _cervix(report),
        "exclusions": _exclusions(report),
        "image": asdict(slide_facts(report.slide, plan)),
        "resolution": asdict(resolution),
        "networks": [network_entry(each) for each in (report.detector, report.calls)],
        "methods": describe_methods(report, resolution),
        "limits": list(known_limits(report)),
        "provenance": provenance_entry(report.settings),
        "research_use": RESEARCH_USE,
    }


def _cervix(report: ScreeningReport) -> dict[str, Any]:
    """Return what cytology has of its own."""
    found, plan, outcome = report.found, report.plan, report.outcome
    limits = cervical_cutoffs()
    cells, evidence = found.cells, found.evidence
    reference = cells.reference
    return {
        "preparation": {
            "id": report.choices.preparation,
            "title": limits.preparation(report.choices.preparation).title,
            "scanned_mm2": plan.scanned_mm2,
            "focal_planes": plan.focal_planes,
            "blend": plan.blend,
        },
        "lines": list(report_lines(evidence, cutoffs=report.cutoffs)),
        "interpretations": interpretations_of(report),
        "classes": _classes(report),
        "findings": _findings(report),
        "kinds": {name: int(cells.of_kind(name).sum()) for name in KINDS},
        "reference": {
            "nucleus_um2": reference.nuclear_um2,
            "od": reference.nuclear_od,
            "cells": reference.cells,
            "is_own": reference.is_own,
        },
        "looked": len(found.rows),
        "unknown": found.unknown,
        "risk": found.risk,
        "triage": {
            "risk": _finite(outcome.triage_risk),
            "cleared": outcome.decision.is_cleared,
            "calibrated": outcome.is_calibrated,
            "counted_status": outcome.counted.status.value,
            "counted_category": outcome.counted.headline.category,
            "lab": None if report.lab is None else report.lab.identity,
            "scope": dict(report.scope),
        },
        "gallery": [_object(report, rank, row) for rank, row in enumerate(found.gallery, start=1)],
    }


def interpretations_of(report: ScreeningReport) -> list[str]:
    """Return the codes that the rules give, the most severe first; empty where only a person may decide."""
    scores = [each for each in report.outcome.counted.scores if each.unit == "rank"]
    return [each.category for each in scores if each.category is not None]


def _classes(report: ScreeningReport) -> list[dict[str, Any]]:
    """Return a line per class that the classifier knows, the most severe first."""
    limits = report.cutoffs or cervical_cutoffs()
    found, codes = report.found, set(report.calls.codes)
    counts = found.evidence.calls
    rows = []
    for code in sorted(limits.classes, key=lambda each: (-limits.classes[each].rank, each)):
        each = limits.classes[code]
        if each.rank == 0:
            continue
        named = sum(name == code for name in found.calls.codes)
        rows.append(
            {
                "code": code,
                "term": each.term,
                "color": class_color(code),
                "rank": each.rank,
                "state": "trained" if code in codes else "not told by this model",
                "named": named,
                "accepted": counts.of_class(code),
                "counting": counts.counting.get(code, 0),
                "needed": each.calls,
                "threshold": float(each.threshold),
            }
        )
    return rows


def _findings(report: ScreeningReport) -> list[dict[str, Any]]:
    """Return a line per organism, those without training data with that status."""
    limits = report.cutoffs or cervical_cutoffs()
    counts, codes = report.found.evidence.calls.findings, set(report.calls.codes)
    evidence = report.found.evidence
    listed = () if evidence.is_rejected else listed_findings(counts, cutoffs=limits)
    rows = []
    for finding in limits.findings.values():
        if finding.kind != "organism":
            continue
        state = finding.state if finding.code in codes or not finding.trained else "not told by this model"
        accepted = counts.get(finding.code, 0)
        rows.append(
            {
                "code": finding.code,
                "term": finding.term,
                "color": class_color(finding.code),
                "state": state,
                "accepted": accepted,
                "needed": finding.calls,
                "listed": finding.code in listed,
            }
        )
    return rows


def _object(report: ScreeningReport, rank: int, row: int) -> dict[str, Any]:
    """Return one object of the gallery."""
    found, plan = report.found, report.plan
    cells, cell = found.cells, int(found.rows[row])
    code = found.calls.codes[row]
    nuclei, mm = cells.nuclei, plan.level0_mpp / 1000
    limits = report.cutoffs or cervical_cutoffs()
    threshold = (
        float(limits.finding_threshold)
        if code in limits.findings
        else float(limits.tbs_class(code).threshold)
    )
    probability = float(found.calls.probability[row])
    excluded = found.calls.excluded[row]
    return {
        "rank": rank,
        "code": code,
        "color": class_color(code),
        "probability": probability,
        "accepted": not excluded and code != "NILM" and probability >= threshold,
        "excluded": excluded,
        "suspicion": float(found.suspicions[row]),
        "chances": {
            name: round(float(cells.chance[cell, k]), 6) for k, name in enumerate(report.calls.codes)
        },
        "nucleus_um2": float(nuclei.area_um2[cell]),
        "cell_um2": _finite(cells.cell_um2[cell]),
        "nc": _finite(cells.nc[cell]),
        "size": float(cells.size[cell]),
        "hyperchromasia": _finite(cells.hyperchromasia[cell]),
        "group_cells": int(cells.group_cells[cell]),
        "x": float(nuclei.x[cell]),
        "y": float(nuclei.y[cell]),
        "x_mm": float(nuclei.x[cell]) * mm,
        "y_mm": float(nuclei.y[cell]) * mm,
        "link": link_to(report, float(nuclei.x[cell]), float(nuclei.y[cell])),
    }


def link_to(report: ScreeningReport, x: float, y: float) -> str:
    """Return where an object can be seen on the slide: in the laboratory's viewer, else in QuPath."""
    if not report.viewer:
        return "gallery.geojson"
    name = quote(report.plan.slide.slide_id, safe="")
    return report.viewer.format(slide=name, x=round(x), y=round(y))


def _finite(value: Any) -> float | None:
    """Return a number, or None for what is not known."""
    return float(value) if isfinite(value) else None


def _sentence(report: ScreeningReport) -> str:
    """Return the result as one sentence."""
    lines = report_lines(report.found.evidence, cutoffs=report.cutoffs)
    text = "; ".join(lines)
    return f"{text[:1].upper()}{text[1:]}."


def _evidence_words(report: ScreeningReport) -> str:
    """Return what a terminal prints of the headline."""
    category = report.outcome.result.headline.category or "no interpretation"
    return f"{category}, {{part}} calls among {{whole}} cells looked at"


def _exclusions(report: ScreeningReport) -> list[dict[str, Any]]:
    """Return the nuclei left out, by reason, most first."""
    lost = report.found.cells.excluded()
    return [
        {
            "reason": reason,
            "words": OUTSIDE_WORDS.get(reason) or describe_reason(reason),
            "nuclei": lost[reason],
        }
        for reason in sorted(lost, key=lambda each: (-lost[each], each))
    ]
