"""Parts of a report's record that read the same on every road over whole slides and smears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...quantify import SlideResult
from ..runs.provenance import describe_software
from .content import Provenance, ResolutionFacts, SlideFacts
from .flag_advice import StatusWords, explain
from .record import FORMAT

if TYPE_CHECKING:
    from ...wsi import Slide
    from ..slides.learned_model import ModelReader
    from ..slides.tissue_plan import TissuePlan

__all__ = ["network_entry", "provenance_entry", "record_opening", "resolution_facts", "slide_facts"]


def record_opening(
    result: SlideResult, *, slide_id: str, sentence: str, status: StatusWords
) -> dict[str, Any]:
    """Return what every record begins with: format, slide, result, its summary and its notes.

    Parameters
    ----------
    result : SlideResult
        Stands at the top level, as `SlideResult.to_json` gives it.
    slide_id : str
        Name of the slide in the run.
    sentence : str
        The result as one sentence.
    status : StatusWords
        How the road words the status of the result.

    Returns
    -------
    dict
        Keys in the order of ``report.json``.
    """
    return {
        "format": FORMAT,
        "slide": slide_id,
        **result.to_json(),
        "summary": {"sentence": sentence, "status_name": status.name, "status_words": status.words},
        "notes": [asdict(explain(flag)) for flag in result.flags],
    }


def slide_facts(slide: Slide, plan: TissuePlan) -> SlideFacts:
    """Return which file was read."""
    return SlideFacts(
        plan.slide.slide_id, slide.path.name, slide.vendor, slide.width, slide.height, plan.fingerprint
    )


def resolution_facts(slide: Slide, plan: TissuePlan) -> ResolutionFacts:
    """Return how large a pixel is, and who says so."""
    found = slide.resolution
    return ResolutionFacts(
        x=found.x or plan.level0_mpp,
        y=found.y or plan.level0_mpp,
        source=found.source,
        is_override=plan.slide.mpp is not None,
        working_mpp=plan.mpp,
        problems=found.problems,
    )


def network_entry(reader: ModelReader) -> dict[str, Any]:
    """Return what is said of a network."""
    return {
        "name": reader.name,
        "version": reader.version,
        "mpp": reader.mpp,
        "licence": reader.licence,
        "sha256": reader.sha256,
    }


def provenance_entry(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what made a result: software, and every setting that shapes the numbers."""
    software = describe_software()
    made = Provenance(
        slidelab=software["slidelab"], git=software["git"], settings=settings, software=software
    )
    return asdict(made)
