"""The methods paragraph and the limits of a grading report, as full sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...quantify import colorectal_cutoffs, round_half_up
from ..report.content import ResolutionFacts
from ..report.flag_advice import describe_reason
from .fragments import FRAGMENT_GAP_UM
from .glands import GLAND_LEAST_UM2, POOL_UM, UNCERTAIN_BELOW
from .lesions import JOIN_UM
from .tumour_buds import CLEAR_UM, FRONT_UM, LINK_UM
from .tumour_nuclei import LIKELY, SURE, SURE_UM2, NucleusReader

if TYPE_CHECKING:
    from .report import GradingReport

__all__ = ["describe_methods", "known_limits"]

OWN_LIMITS = (
    "How deep a carcinoma invades is not measured.",
    "Classes are learnt from one label per image, so the border between two classes inside a gland is rough.",
    "Grade of differentiation and mucin are not measured; tumour buds are sought, not counted.",
)
"""What no network of this kind can do, a sentence each."""

STROMA_WORDS = (
    "The tumour-stroma ratio is that of the window of 3.14 mm² with the largest share of stroma among those "
    "with carcinoma on all four sides; all tissue that is no gland counts as stroma (experimental)."
)


def describe_methods(report: GradingReport, resolution: ResolutionFacts) -> str:
    """Return how the result was made, as one paragraph of full sentences."""
    return " ".join(
        [
            _image(report, resolution),
            _tissue(report),
            *([] if report.plan.normalised is None else [report.plan.normalised.sentence()]),
            _maps(report),
            _lesions(report),
            _cells(report),
            *_tumour(report),
            _rules(),
        ]
    )


def known_limits(report: GradingReport) -> tuple[str, ...]:
    """Return what the result cannot say: the networks' own limits first."""
    others = (each.limits for each in (report.signet, report.nuclei) if each is not None)
    told = (limit for limits in (report.tissue.limits, *others, OWN_LIMITS) for limit in limits)
    return tuple(dict.fromkeys(told))


def _image(report: GradingReport, resolution: ResolutionFacts) -> str:
    """Software, scan and resolution."""
    slide = report.slide
    size = f"{slide.width:,} \N{MULTIPLICATION SIGN} {slide.height:,} px"
    source = "set by the user" if resolution.is_override else f"from {resolution.source}"
    mpp = f"{report.plan.level0_mpp:.4g} µm per pixel, {source}"
    return (
        f"The whole-slide image ({slide.vendor}, {size}, {mpp}) of a {report.kind} was analysed with "
        "slidelab (research use only)."
    )


def _tissue(report: GradingReport) -> str:
    """Tissue, what was left out, fragments."""
    tissue, lost = report.plan.tissue, report.plan.quality.areas_mm2(report.plan.tissue)
    reasons = [describe_reason(reason) for reason in report.plan.quality.reasons[1:] if lost[reason] > 0]
    text = f"Tissue ({round_half_up(tissue.area_mm2, places=2)} mm²) was found with {tissue.method}; "
    if reasons:
        area = round_half_up(sum(lost[reason] for reason in report.plan.quality.reasons[1:]), places=2)
        text += f"{area} mm² marked as {_listed(reasons)} were left out."
    else:
        text += "nothing of it was left out."
    count = len(report.findings.pieces.fragments)
    if report.kind == "biopsy" and count:
        pieces = "one fragment" if count == 1 else f"{count} fragments"
        text += f" Pieces closer than {FRAGMENT_GAP_UM:g} µm were joined, which gave {pieces}."
    return text


def _maps(report: GradingReport) -> str:
    """The tissue network."""
    tissue, mpp = report.tissue, report.plan.mpp
    return (
        f"At {mpp:.3g} µm per pixel the network {tissue.name} (version {tissue.version}{_weights(tissue)}) "
        f"gave the probability of each class every {16 * mpp:.3g} µm and that of gland (epithelium with its "
        f"lumen) every {4 * mpp:.3g} µm, fully convolutionally over the whole tissue."
    )


def _lesions(report: GradingReport) -> str:
    """Glands and lesions."""
    return (
        f"Places with a gland probability of at least {report.tissue.gland_threshold:.2g} were cut into "
        f"glands at their necks, pieces under {GLAND_LEAST_UM2:,.0f} µm² were dropped; a gland's class is "
        f"the one with the highest mean probability over it (averaged over a Gaussian of {POOL_UM:g} µm, as "
        "the network learnt from one label per image), its confidence that mean, and below "
        f"{UNCERTAIN_BELOW:g} it counts for no class. Glands of a class closer than {JOIN_UM:g} µm are one "
        "lesion; areas are those of the glands."
    )


def _cells(report: GradingReport) -> str:
    """Signet-ring cells."""
    signet = report.signet
    if signet is None:
        return "Signet-ring cells were not looked for."
    return (
        f"Signet-ring cells were sought at {signet.mpp:.3g} µm per pixel with the detector {signet.name} "
        f"(version {signet.version}{_weights(signet)})."
    )


def _tumour(report: GradingReport) -> list[str]:
    """What was measured of a carcinoma on a resection."""
    tumour = report.findings.tumour
    told = [STROMA_WORDS] if tumour is not None and tumour.stroma is not None else []
    nuclei = report.nuclei
    if nuclei is None:
        return told
    if report.findings.buds is None:
        return [*told, "The slide was scanned too coarsely to look for tumour buds."]
    return [
        *told,
        f"Nuclei were sought near carcinoma at {nuclei.mpp:.3g} µm per pixel with the detector "
        f"{nuclei.name} (version {nuclei.version}{_weights(nuclei)}). Epithelial nuclei (probability at "
        f"least {LIKELY:g}) with centres at most {LINK_UM:g} µm apart are a group; groups clear of all "
        f"glands by {CLEAR_UM:g} µm, within {FRONT_UM:g} µm of those of the carcinoma and with a nucleus "
        f"of probability {SURE:g} and {SURE_UM2:g} µm² are candidate buds (1-4 nuclei) or clusters (5 and "
        "more); the densest field is the disc of 0.785 mm² with most candidate buds (experimental)."
        f"{_errors(report, nuclei)}",
    ]


def _errors(report: GradingReport, nuclei: NucleusReader) -> str:
    """Say how many candidates are none and how many nuclei are missed, as far as it is known."""
    false, share = nuclei.false_buds.get(report.tissue.name), nuclei.found_share
    if false is None or share is None:
        return " How many candidates are none, and how many buds are missed, is not known."
    field = colorectal_cutoffs().budding.field_mm2
    mean, limit = (round_half_up(rate * field, places=1) for rate in false)
    return (
        f" On other images {round_half_up(100 * share)} % of the epithelial nuclei that pathologists marked "
        f"could make a candidate, and {mean} candidates (upper 95 % limit {limit}) in a field beside glands "
        "were none; the densest of many fields holds more."
    )


def _rules() -> str:
    """How the class came about."""
    cutoffs = colorectal_cutoffs()
    return (
        "The class is the severest with enough evidence (project rule); a more severe one with less is named "
        f"as possible and asks for review. Names and categories: {cutoffs.names_source}."
    )


def _weights(reader: Any) -> str:
    """Return the digest of the weights, where there are any."""
    return f", weights {reader.sha256[:12]}" if reader.sha256 else ""


def _listed(words: list[str]) -> str:
    """Join words as a sentence does."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
