"""What the reports of all markers on H-DAB slides have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...quantify.cutoffs import Scheme
from ...wsi import Slide
from ..report.charts import StainHistogram
from ..report.content import (
    CategoryScale,
    ClassCount,
    DetectorFacts,
    Provenance,
    ReportContent,
    ReportPictures,
)
from ..report.fields_of_view import cut_field, draw_fields
from ..report.pictures import PALETTES, draw_overview
from ..report.record_parts import resolution_facts, slide_facts
from ..runs.provenance import describe_software
from ..slides.cell_detector import network_of
from ..slides.cell_rule import Role
from ..slides.outline import Circle
from ..slides.plan import SlidePlan
from ..slides.tally import THRESHOLDS, Tally, seam_density
from ..slides.tile_detector import TileDetector
from .evidence import Evidence

__all__ = [
    "detector_facts",
    "histogram_of",
    "limits_of",
    "quality_figures",
    "report_facts",
    "report_pictures",
    "scale_of",
]

OVERVIEW_PX = 1600
"""Longest side of the overview picture, px."""


def report_facts(
    slide: Slide, evidence: Evidence, *, detector: TileDetector, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the members of `ReportContent` that say what was looked at, and by what."""
    plan, tally = evidence.plan, evidence.tally
    software = describe_software()
    lost = plan.quality.areas_mm2(plan.tissue)
    lost.pop(plan.quality.reasons[0], None)  # the first "reason" is the area that counts
    return {
        "slide": slide_facts(slide, plan),
        "resolution": resolution_facts(slide, plan),
        "stain": plan.profile,
        "normalised": plan.normalised,
        "detector": detector_facts(detector),
        "provenance": Provenance(
            slidelab=software["slidelab"],
            git=software["git"],
            settings=settings,
            seam_density=seam_density(plan, tally),
            software=software,
        ),
        "excluded_mm2": {reason: area for reason, area in lost.items() if area > 0},
        "hot_spot": _circle(evidence),
        "fields": evidence.fields,
        "tissue": plan.tissue,
        "classes": tuple(
            ClassCount(each.name, PALETTES["standard"].of(each), tally.by_class[each.name])
            for each in tally.classes
            if each.role is not Role.OUT
        ),
    }


def report_pictures(slide: Slide, evidence: Evidence, cells: Path) -> ReportPictures:
    """Return photographs that let a pathologist check the result by eye."""
    plan, tally, circle = evidence.plan, evidence.tally, _circle(evidence)
    overview = slide.plane(max(slide.mpp, slide.mpp * max(slide.width, slide.height) / OVERVIEW_PX))
    assessed = tally.of_role(Role.POSITIVE, Role.NEGATIVE)
    cut = [
        cut_field(slide, cells, (x / plan.level0_mpp, y / plan.level0_mpp), classes=tally.classes)
        for x, y in draw_fields(tally.x_um[assessed], tally.y_um[assessed])
    ]
    hot = None
    if circle is not None:
        side_um = 2.1 * circle.radius * plan.level0_mpp
        hot = cut_field(
            slide, cells, (circle.x, circle.y), classes=tally.classes, side_um=side_um, ring=circle
        )
    return ReportPictures(
        overview=draw_overview(
            overview.read(0, 0, overview.width, overview.height),
            mpp=overview.mpp,
            downsample=overview.downsample,
            tissue=plan.tissue,
            quality=plan.quality,
            hot_spot=circle,
            tumour=evidence.tumour_outline,
        ),
        hot_spot=hot,
        fields=tuple(cut),
    )


def histogram_of(tally: Tally) -> StainHistogram | None:
    """Return how strongly the assessed cells are stained, in bins of 0.01 OD."""
    if not tally.by_threshold.sum():
        return None
    edges = np.concatenate([[0.0], THRESHOLDS, [THRESHOLDS[-1] + 0.01]])
    return StainHistogram(edges, tally.by_threshold)


def quality_figures(plan: SlidePlan, content: ReportContent) -> dict[str, Any]:
    """Return what a laboratory watches from run to run."""
    result = content.result
    return {
        "slide": plan.slide.slide_id,
        "status": result.status.value,
        "flags": list(result.flags),
        "areas_mm2": dict(result.areas_mm2),
        "excluded_mm2": dict(content.excluded_mm2),
        "excluded_cells": dict(result.excluded),
        "seam_density": content.provenance.seam_density,
        "mpp": {"x": content.resolution.x, "y": content.resolution.y, "source": content.resolution.source},
        "working_mpp": plan.mpp,
        "stain_profile": plan.profile.to_json(),
        "plan": plan.key,
        "tiles": {"with_tissue": len(plan.tiles), "in_grid": len(plan.grid)},
    }


def limits_of(detector: TileDetector) -> tuple[str, ...]:
    """Return the known limits of a detector, a sentence each."""
    network = network_of(detector)
    if network is not None:
        return network.limits
    return ("Nuclei are found by unmixing and blob detection, without training; tumour is not told apart.",)


def scale_of(scheme: Scheme) -> CategoryScale:
    """Return the cut-offs of a scheme, as a report shows them."""
    bands = tuple((band.name, None if band.upto is None else float(band.upto)) for band in scheme.bands)
    return CategoryScale(scheme.title, scheme.source, bands, scheme.note)


def _circle(evidence: Evidence) -> Circle | None:
    """Return the hot spot in level-0 px."""
    spot, mpp = evidence.hot_spot, evidence.plan.level0_mpp
    return None if spot is None else Circle(spot.x_um / mpp, spot.y_um / mpp, spot.radius_um / mpp)


def detector_facts(detector: TileDetector) -> DetectorFacts:
    """Return what the report says of the detector: where cells are grown, of the network inside."""
    network = network_of(detector)
    if network is None:
        return DetectorFacts(detector.name, detector.version)
    return DetectorFacts(detector.name, detector.version, licence=network.licence, sha256=network.sha256)
