"""The methods paragraph of a report: complete enough to paste into a paper."""

from __future__ import annotations

from collections.abc import Sequence

from ...quantify import round_half_up
from .content import ReportContent
from .flag_advice import describe_reason

__all__ = ["write_methods"]


def write_methods(content: ReportContent) -> str:
    """Return how the result was made, as one paragraph of full sentences."""
    sentences = [
        _image(content),
        _tissue(content),
        _stain(content),
        *([] if content.normalised is None else [content.normalised.sentence()]),
        _nuclei(content),
        _score(content),
        *([content.methods.region] if content.methods.region else []),
        *([text] if (text := _hot_spot(content)) else []),
        *([text] if (text := _sensitivity(content)) else []),
        *content.methods.limits,
    ]
    return " ".join(sentences)


def _image(content: ReportContent) -> str:
    """Software, scan and resolution."""
    slide, resolution, made = content.slide, content.resolution, content.provenance
    size = f"{slide.width:,} \N{MULTIPLICATION SIGN} {slide.height:,} px"
    mpp = f"{resolution.x:.4g}"
    if round_half_up(resolution.x, places=4) != round_half_up(resolution.y, places=4):
        mpp += f" \N{MULTIPLICATION SIGN} {resolution.y:.4g}"
    source = "set by the user" if resolution.is_override else f"from {resolution.source}"
    commit = "" if made.git in ("", "release", "unknown") else f", commit {made.git}"
    return (
        f"The whole-slide image ({slide.vendor}, {size}, {mpp} µm per pixel, {source}) was analysed with "
        f"slidelab {made.slidelab}{commit} (research use only)."
    )


def _tissue(content: ReportContent) -> str:
    """Tissue and what was left out."""
    areas = content.result.areas_mm2
    extent = f" ({round_half_up(areas['tissue'], places=2)} mm²)" if "tissue" in areas else ""
    reasons = [describe_reason(reason) for reason, count in sorted(content.result.excluded.items()) if count]
    text = f"Tissue{extent} was found with {content.methods.tissue_method}"
    if not reasons:
        return text + f"; no {content.words.noun} were excluded."
    total = sum(content.result.excluded.values())
    return text + f"; {total:,} {content.words.noun} in places marked as {_listed(reasons)} were excluded."


def _stain(content: ReportContent) -> str:
    """White point and stain vectors."""
    stain = content.stain
    white = ", ".join(str(round_half_up(value)) for value in stain.background)
    second = f"{stain.second_stain} ({_vector(stain.chromogen)})"
    vectors = f"hematoxylin ({_vector(stain.hematoxylin)}) and {second}"
    source = {
        "fitted": "both vectors fitted on this slide",
        "hematoxylin fitted": "the hematoxylin vector fitted on this slide, the DAB vector as published",
        "DAB fitted": "the DAB vector fitted on this slide, the hematoxylin vector as published",
    }.get(stain.source, "published vectors")
    return (
        f"Pixels were converted to optical density (base 10) against the white point ({white}) and unmixed "
        f"into {vectors}; {source}."
    )


def _nuclei(content: ReportContent) -> str:
    """Detector and positivity."""
    detector, methods = content.detector, content.methods
    weights = f", weights {detector.sha256[:12]}" if detector.sha256 else ""
    if methods.judged:
        return (
            f"Nuclei were found at {content.resolution.working_mpp:.3g} µm per pixel with the detector "
            f"{detector.name} (version {detector.version}{weights}){_counted(content)}; {methods.judged}."
        )
    if methods.positive_od is None:
        positive = "the network called it positive with a probability of at least 0.5"
    else:
        positive = (
            f"the mean DAB density inside its outline was at least {methods.positive_od:g} "
            f"({methods.positive_od_source})"
        )
    return (
        f"Nuclei were found at {content.resolution.working_mpp:.3g} µm per pixel with the detector "
        f"{detector.name} (version {detector.version}{weights}){_counted(content)}; a nucleus was positive "
        f"when {positive}."
    )


def _counted(content: ReportContent) -> str:
    """Which nuclei count, as far as the network says."""
    if content.methods.tumour_threshold is None:
        return ""
    return (
        f" and counted when the network gave tumour a probability of at least "
        f"{content.methods.tumour_threshold:.2g}, a threshold fitted to this slide"
    )


def _score(content: ReportContent) -> str:
    """What the number is."""
    headline = content.result.headline
    scored = content.methods.scored or "is the percentage of positive among all counted nuclei of the slide"
    text = f"The {headline.name} {scored}"
    if headline.interval is not None:
        level = round_half_up(100 * headline.interval.level)
        text += f", with its {level} % {headline.interval.method} confidence interval"
    text += f" (rule {headline.rule})."
    return text


def _hot_spot(content: ReportContent) -> str:
    """How the hot spot was chosen."""
    count, radius = content.methods.hot_spot_nuclei, content.methods.hot_spot_radius_um
    if count is None or radius is None:
        return ""
    return (
        f"The hot spot is the set of {count:,} nearest nuclei with the highest index, sought around every "
        f"nucleus within {radius:g} µm; as a maximum it is biased upward."
    )


def _sensitivity(content: ReportContent) -> str:
    """How much the threshold matters."""
    curve = content.curve
    if curve is None:
        return ""
    low, high = (round_half_up(curve.at(end), places=1) for end in (curve.low, curve.high))
    if content.methods.positive_od is None:
        used = round_half_up(curve.at(curve.used), places=1)
        return (
            f"Read from DAB density alone, the index would be {low} %, {used} % or {high} % at thresholds of "
            f"{curve.low:g}, {curve.used:g} or {curve.high:g}."
        )
    return (
        f"Moving the positivity threshold to {curve.low:g} or {curve.high:g} would give {low} % or {high} %."
    )


def _vector(values: Sequence[float]) -> str:
    """Write a stain vector."""
    return ", ".join(str(round_half_up(value, places=3)) for value in values)


def _listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
