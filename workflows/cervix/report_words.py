"""The methods paragraph and the limits of a screening report, as full sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...models.cytoplasm import LEAST_CLOSED
from ...quantify import cervical_cutoffs, round_half_up
from ..report.content import ResolutionFacts
from .call_reader import SIZE_RULES

if TYPE_CHECKING:
    from .report import ScreeningReport

__all__ = ["describe_methods", "known_limits"]

OWN_LIMITS = (
    "Squamous cells are counted by their nuclei; cells that lie in thick clumps are missed.",
    "Endocervical and metaplastic cells are told by size and N:C ratio alone.",
    "Organisms are looked for around nuclei; threads of Candida far from any cell are missed.",
    "AIS, adenocarcinoma, endometrial cells, repair, atrophy and radiation change are not told apart: no "
    "training data.",
    "Chlamydia and cocci: no training data.",
    "Human papillomavirus is not tested for; a negative result never excludes disease.",
)
"""What this road cannot do, a sentence each."""


def describe_methods(report: ScreeningReport, resolution: ResolutionFacts) -> str:
    """Return how the result was made, as one paragraph of full sentences."""
    return " ".join([_image(report, resolution), _cells(report), _calls(report), _rules(report)])


def known_limits(report: ScreeningReport) -> tuple[str, ...]:
    """Return what the result cannot say: the networks' own limits first."""
    return tuple(dict.fromkeys((*report.calls.limits, *report.detector.limits, *OWN_LIMITS)))


def _image(report: ScreeningReport, resolution: ResolutionFacts) -> str:
    """Scan, resolution and focal planes."""
    slide, plan = report.slide, report.plan
    size = f"{slide.width:,} \N{MULTIPLICATION SIGN} {slide.height:,} px"
    text = (
        f"The slide ({size}, {round_half_up(plan.scanned_mm2, places=1)} mm² scanned) was read at "
        f"{round_half_up(resolution.working_mpp, places=3)} µm per pixel."
    )
    if plan.focal_planes > 1:
        words = {
            "extended": "blended block by block, the sharpest plane weighing most",
            "best": "of which each block shows the sharpest",
            "middle": "of which only the middle one was used",
        }
        text += f" It has {plan.focal_planes} focal planes, {words[plan.blend]}."
    return text


def _cells(report: ScreeningReport) -> str:
    """Nuclei, borders, cells."""
    reference = report.found.cells.reference
    own = (
        f"the median of this slide's {reference.cells:,} intermediate cells "
        f"({round_half_up(reference.nuclear_um2, places=1)} µm²)"
        if reference.is_own
        else f"{reference.nuclear_um2:.0f} µm², a textbook value, as too few intermediate cells are here"
    )
    return (
        f"{report.detector.name} found nuclei; their borders were moved to half of their density's fall. "
        "A cell reaches along 32 rays to where stain ends at glass, or half-way to the next nucleus; it has "
        f"an area and an N:C ratio where at least {100 * LEAST_CLOSED:.0f} % of its "
        f"border was seen. Sizes are relative to {own}."
    )


def _calls(report: ScreeningReport) -> str:
    """What named the cells."""
    found, calls = report.found, report.calls
    if calls.name == SIZE_RULES:
        return "Cells were named by plain rules of size, N:C ratio and darkness: no network looked at them."
    every = (
        "Every nucleus"
        if report.choices.thorough
        else "Every nucleus that is not plainly normal or a neutrophil, and a quarter of those,"
    )
    return f"{every} was named by {calls.name}: {len(found.rows):,} of {len(found.cells):,}."


def _rules(report: ScreeningReport) -> str:
    """Slide rule, adequacy, triage."""
    limits = cervical_cutoffs()
    text = (
        "The result is the most severe class with enough accepted calls in each line; terms and adequacy are "
        f"those of {limits.source}, thresholds and counts the project's own."
    )
    if report.lab is None:
        return f"{text} No laboratory has calibrated this model for this slide, so nothing may be cleared."
    return f"{text} Laboratory profile: {report.lab.identity}."
