"""A cohort of cervical slides: focal planes gathered, a worklist by risk, the ASC:SIL ratio."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...quantify import asc_sil_ratio, round_half_up, worklist_order
from ...tiling import atomic_file, write_json
from ...wsi.focal_planes import find_planes, stack_name
from ..report.record import RESEARCH_USE
from ..report.write import page_environment
from ..runs.cohort import run_cohort
from ..runs.inputs import SlideInput, find_slides
from ..runs.workflow import CohortRun, Progress, RunOptions
from .report_record import status_words
from .workflow import CervicalScreening

__all__ = ["WorklistRow", "find_stacks", "join_planes", "screen_cohort", "write_worklist"]

FEWEST_SIL = 10
"""With fewer slides of SIL the ratio is mostly chance; the report says so."""
BENCHMARK = 3.0
"""Upper benchmark of the ASC:SIL ratio."""


@dataclass(frozen=True)
class WorklistRow:
    """One slide of the worklist."""

    order: int
    """From 1: read this one first."""
    slide: str
    status: str
    category: str
    """Code of the most severe interpretation; empty without one."""
    interpretations: str
    """All codes, with semicolons between."""
    adequacy: str
    squamous: float | None
    """Estimated squamous cells of the preparation."""
    transformation_zone: int | None
    organisms: str
    """Codes of those listed."""
    risk: float | None
    cleared: bool
    """Whether the laboratory's calibration lets it go unread."""
    report: str
    """From the results folder."""


def find_stacks(sources: Iterable[str | Path], *, mpp: float | None = None) -> list[SlideInput]:
    """List the slides of files, folders, globs and CSV lists; the focal planes of one slide are one.

    Parameters
    ----------
    sources : iterable of str or Path
        As for `find_slides`.
    mpp : float, optional
        um per level-0 pixel, in place of what the files say.
    """
    return join_planes(find_slides(sources, mpp=mpp))


def join_planes(inputs: Sequence[SlideInput]) -> list[SlideInput]:
    """Return one input for each slide; of several focal planes the middle one stands for all."""
    found: dict[Path, SlideInput] = {}
    for each in inputs:
        name = None if each.path.is_dir() else stack_name(each.path)
        planes = find_planes(each.path) if name else (each.path,)
        if len(planes) < 2:
            found[each.path] = each
            continue
        middle = planes[len(planes) // 2]
        found.setdefault(middle, replace(each, path=middle, slide_id=_plain(str(name))))
    names: dict[str, int] = {}
    joined = []
    for each in found.values():
        names[each.slide_id] = names.get(each.slide_id, 0) + 1
        again = names[each.slide_id]
        joined.append(each if again == 1 else replace(each, slide_id=f"{each.slide_id}-{again}"))
    return joined


def screen_cohort(
    workflow: CervicalScreening,
    slides: Sequence[SlideInput],
    *,
    options: RunOptions,
    progress: Progress | None = None,
) -> CohortRun:
    """Screen slides into a results folder and write the worklist beside the usual cohort report.

    Parameters, returns and errors are those of `run_cohort`; ``worklist.csv``, ``worklist.html`` and
    ``screening.json`` come on top.
    """
    run = run_cohort(workflow, slides, options=options, progress=progress)
    records = {each.slide.slide_id: each.record for each in run.outcomes}
    write_worklist(run.out, records)
    return run


def write_worklist(folder: Path, records: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Write the worklist of slides: those that nobody could assess first, then by result, then by risk.

    Parameters
    ----------
    folder : Path
        The results folder.
    records : mapping
        Content of ``report.json`` by slide; None of a slide that failed.
    """
    names = list(records)
    ranks = [None if each is None else each["scores"][0]["value"] for each in records.values()]
    risks = [None if each is None else each["cervix"]["risk"] for each in records.values()]
    order = worklist_order(ranks, risks)
    rows = [_row(place, names[number], records[names[number]]) for place, number in enumerate(order, start=1)]
    with (
        atomic_file(folder / "worklist.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(WorklistRow.__annotations__)
        writer.writerows([_cell(getattr(row, name)) for name in WorklistRow.__annotations__] for row in rows)
    figures = cohort_figures(records)
    write_json(folder / "screening.json", figures)
    page = (
        page_environment()
        .get_template("worklist.html.j2")
        .render(
            rows=[_shown(row) for row in rows],
            figures=figures,
            words=_ratio_words(figures),
            research_use=RESEARCH_USE,
        )
    )
    with atomic_file(folder / "worklist.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def cohort_figures(records: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return slides by result, and the ratio of slides with ASC to those with SIL."""
    told = [each for each in records.values() if each is not None]
    codes = [tuple(each["cervix"]["interpretations"]) for each in told]
    asc, sil, ratio = asc_sil_ratio(codes)
    results: dict[str, int] = {}
    for each in told:
        name = each["scores"][0]["category"] or "none"
        results[name] = results.get(name, 0) + 1
    return {
        "slides": len(records),
        "failed": len(records) - len(told),
        "results": dict(sorted(results.items())),
        "cleared": sum(bool(each["cervix"]["triage"]["cleared"]) for each in told),
        "asc": asc,
        "sil": sil,
        "asc_sil_ratio": ratio,
        "asc_sil_rule": "(ASC-US + ASC-H) / (LSIL + HSIL), carcinomas in neither; each slide once",
    }


def _row(order: int, slide: str, record: Mapping[str, Any] | None) -> WorklistRow:
    """Return a slide's line."""
    if record is None:
        return WorklistRow(order, slide, "FAILED", "", "", "", None, None, "", None, False, "")
    own = record["cervix"]
    scores = {score["name"]: score for score in record["scores"]}
    cells, zone = scores.get("Squamous cells"), scores.get("Transformation zone cells")
    return WorklistRow(
        order=order,
        slide=slide,
        status=record["status"],
        category=record["scores"][0]["category"] or "",
        interpretations=";".join(own["interpretations"]),
        adequacy=own["lines"][0],
        squamous=cells["value"] if cells else None,
        transformation_zone=zone["numerator"] if zone and zone["value"] is not None else None,
        organisms=";".join(each["code"] for each in own["findings"] if each["listed"]),
        risk=own["risk"],
        cleared=bool(own["triage"]["cleared"]),
        report=f"slides/{slide}/report.html",
    )


def _cell(value: Any) -> Any:
    """Return a value as a spreadsheet may safely read it."""
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(("=", "+", "-", "@")) else value


def _shown(row: WorklistRow) -> dict[str, Any]:
    """Return what the page shows of a slide."""
    words = None if row.status == "FAILED" else status_words(row.status)
    return {
        "row": row,
        "status": words.name if words else "Failed",
        "tone": words.tone if words else "stop",
        "risk": "" if row.risk is None else str(round_half_up(row.risk, places=3)),
        "squamous": "" if row.squamous is None else f"{round_half_up(row.squamous, places=0):,}",
        "link": quote(row.report),
    }


def _ratio_words(figures: Mapping[str, Any]) -> str:
    """Return the ASC:SIL ratio in words."""
    asc, sil, ratio = figures["asc"], figures["sil"], figures["asc_sil_ratio"]
    if ratio is None:
        return f"ASC:SIL ratio not assessable: {asc} slides with ASC, none with SIL."
    text = f"ASC:SIL ratio {round_half_up(ratio, places=2)} ({asc} slides with ASC, {sil} with SIL"
    few = f"; fewer than {FEWEST_SIL} with SIL, mostly chance" if sil < FEWEST_SIL else ""
    high = f"; above the benchmark of {BENCHMARK:g}" if ratio > BENCHMARK else ""
    return f"{text}{few}{high})."


def _plain(name: str) -> str:
    """Return a name as a folder may have it."""
    return "".join(letter if letter.isalnum() or letter in ".-_" else "_" for letter in name) or "slide"
