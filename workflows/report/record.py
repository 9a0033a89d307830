"""The content of a report as plain JSON values: the one source that every form of the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...quantify import Score, round_half_up
from .content import FieldPicture, ReportContent
from .flag_advice import describe_reason, describe_status, explain
from .methods_text import write_methods

__all__ = ["FORMAT", "RESEARCH_USE", "describe_score", "report_record"]

FORMAT = "slidelab.report/1"
"""Name and version of the layout of ``report.json``."""
RESEARCH_USE = (
    "Research use only. Not a medical device: this report supports and never replaces the judgement of a "
    "pathologist, and must not be used alone for diagnosis or treatment."
)


def report_record(content: ReportContent) -> dict[str, Any]:
    """Return a report as plain JSON values.

    Parameters
    ----------
    content : ReportContent
        What the report says.

    Returns
    -------
    dict
        What ``report.json`` holds. The slide's result stands at the top level, as `SlideResult.to_json`
        gives it; the rest are the facts behind it. Equal content gives an equal record.
    """
    result = content.result
    headline = result.headline
    level = 95.0 if headline.interval is None else 100 * headline.interval.level
    return {
        "format": FORMAT,
        "slide": content.slide.slide_id,
        **result.to_json(),
        "summary": {
            "sentence": describe_score(headline, content),
            "status_name": describe_status(result.status).name,
            "status_words": describe_status(result.status).words,
            "level_percent": round(level, 6),
        },
        "notes": [asdict(explain(flag)) for flag in result.flags],
        "words": asdict(content.words),
        "advice": list(content.advice),
        "counts": _counts(content),
        "classes": [asdict(each) for each in content.classes],
        "exclusions": _exclusions(content),
        "category_scale": _scale(content),
        "hot_spot": _hot_spot(content),
        "pictures": _pictures(content),
        "threshold_curve": _curve(content),
        "stain_histogram": _histogram(content),
        "fields": _fields(content),
        "image": asdict(content.slide),
        "resolution": asdict(content.resolution),
        "stain": content.stain.to_json(),
        "normalisation": None if content.normalised is None else content.normalised.to_json(),
        "detector": asdict(content.detector),
        "methods": write_methods(content),
        "limits": list(content.methods.limits),
        "provenance": asdict(content.provenance),
        "research_use": RESEARCH_USE,
    }


def describe_score(score: Score, content: ReportContent) -> str:
    """Return a score as one sentence: number, interval, counts and category, or why there is none."""
    if score.value is None:
        return f"{score.name}: not assessable. Too little could be counted; this is not a result of zero."
    text = f"{round_half_up(score.value, places=1)} {score.unit}".rstrip()
    if score.interval is not None:
        low, high = (round_half_up(end, places=1) for end in (score.interval.low, score.interval.high))
        text += f" ({round_half_up(100 * score.interval.level)} % CI {low}\N{EN DASH}{high})"
    if content.words.evidence:
        told = content.words.evidence.format(part=f"{score.numerator:,}", whole=f"{score.denominator:,}")
        text += f", {told}"
    else:
        text += (
            f", {score.numerator:,} {content.words.positive} of {score.denominator:,} {content.words.noun}"
        )
    if score.category is not None:
        text += f"; {score.category}" + (
            f" by the cut-offs of {content.scale.title}" if content.scale else ""
        )
    return text + "."


def _counts(content: ReportContent) -> dict[str, int]:
    """Return the counted nuclei and those left out."""
    headline, excluded = content.result.headline, sum(content.result.excluded.values())
    positive, counted = content.counted or (headline.numerator, headline.denominator)
    return {
        "positive": positive,
        "negative": counted - positive,
        "counted": counted,
        "excluded": excluded,
        "found": counted + excluded,
    }


def _exclusions(content: ReportContent) -> list[dict[str, Any]]:
    """Return nuclei and area left out per reason, most nuclei first."""
    nuclei, areas = content.result.excluded, content.excluded_mm2
    reasons = sorted({*nuclei, *areas}, key=lambda reason: (-nuclei.get(reason, 0), reason))
    return [
        {
            "reason": reason,
            "words": describe_reason(reason),
            "nuclei": nuclei.get(reason, 0),
            "area_mm2": areas.get(reason),
        }
        for reason in reasons
        if nuclei.get(reason, 0) or areas.get(reason)
    ]


def _scale(content: ReportContent) -> dict[str, Any] | None:
    """Return the cut-offs behind the category."""
    if content.scale is None:
        return None
    bands = [{"name": name, "upto": upto} for name, upto in content.scale.bands]
    return {
        "title": content.scale.title,
        "source": content.scale.source,
        "note": content.scale.note,
        "bands": bands,
    }


def _hot_spot(content: ReportContent) -> dict[str, float] | None:
    """Return where the hot spot lies."""
    if content.hot_spot is None:
        return None
    x_um, y_um = content.hot_spot.x * content.resolution.x, content.hot_spot.y * content.resolution.y
    mean_mpp = (content.resolution.x * content.resolution.y) ** 0.5
    return {
        "x_px": content.hot_spot.x,
        "y_px": content.hot_spot.y,
        "radius_px": content.hot_spot.radius,
        "x_mm": x_um / 1000,
        "y_mm": y_um / 1000,
        "radius_um": content.hot_spot.radius * mean_mpp,
    }


def _pictures(content: ReportContent) -> dict[str, Any]:
    """Return the facts beside the photographs, without their bytes."""
    hot_spot, fields = content.pictures.hot_spot, content.pictures.fields
    return {
        "hot_spot": None if hot_spot is None else _field(hot_spot),
        "fields": [_field(each) for each in fields],
    }


def _field(picture: FieldPicture) -> dict[str, Any]:
    """Return where a field of view lies and what was counted in it."""
    share = 100 * picture.positive / picture.counted if picture.counted else None
    return {
        "x_mm": picture.x_mm,
        "y_mm": picture.y_mm,
        "side_um": picture.side_um,
        "positive": picture.positive,
        "counted": picture.counted,
        "percent": share,
    }


def _curve(content: ReportContent) -> dict[str, Any] | None:
    """Return the sensitivity to the threshold, with the three values that the text names."""
    curve = content.curve
    if curve is None:
        return None
    # Where the network tells positive from negative, the curve shows what densities alone would give.
    decides = content.methods.positive_od is not None
    named = {"used": curve.used, "low": curve.low, "high": curve.high}
    return {
        **named,
        "decides": decides,
        **{f"index_{name}": round(curve.at(threshold), 6) for name, threshold in named.items()},
        "thresholds": [round(float(value), 6) for value in curve.thresholds],
        "index": [round(float(value), 6) for value in curve.index],
    }


def _histogram(content: ReportContent) -> dict[str, Any] | None:
    """Return the spread of the nuclei's densities."""
    if content.histogram is None:
        return None
    return {
        "edges": [round(float(edge), 6) for edge in content.histogram.edges],
        "counts": [int(count) for count in content.histogram.counts],
    }


def _fields(content: ReportContent) -> Mapping[str, Any] | None:
    """Return the counts per field, row by row."""
    if content.fields is None:
        return None
    return {
        "side_um": content.fields.side_um,
        "positive": content.fields.positive.tolist(),
        "counted": content.fields.counted.tolist(),
    }
