"""What each warning and status means in plain words, and what the reader should do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...quantify import Status, explain_flag
from .cytology_advice import CYTOLOGY_ADVICE
from .marker_advice import MARKER_ADVICE

__all__ = ["Note", "StatusWords", "describe_reason", "describe_status", "explain"]


@dataclass(frozen=True, slots=True)
class Note:
    """A warning for a reader who has never seen its code."""

    flag: str
    """The code, as programs know it."""
    words: str
    """What it means."""
    advice: str
    """What to do."""


@dataclass(frozen=True, slots=True)
class StatusWords:
    """A status for a reader."""

    name: str
    """Short, for the badge."""
    words: str
    """One sentence."""
    tone: str
    """``good``, ``look`` or ``stop``: how loud the badge is."""


_STATUS: Mapping[Status, StatusWords] = {
    Status.OK: StatusWords("Complete", "Enough cells were counted and the slide passed its checks.", "good"),
    Status.REVIEW: StatusWords(
        "Look before use",
        "There is a number, but something named below needs a pathologist's eye first.",
        "look",
    ),
    Status.PARTIAL: StatusWords(
        "Part of the slide is missing",
        "Some tissue could not be read, so the number does not cover it.",
        "look",
    ),
    Status.INSUFFICIENT: StatusWords(
        "Too few nuclei", "The number rests on too few nuclei to be trusted; no category is given.", "stop"
    ),
    Status.NOT_ASSESSABLE: StatusWords(
        "Not assessable", "Nothing on this slide could be assessed. This is not a result of zero.", "stop"
    ),
}

_NOTES: Mapping[str, tuple[str, str]] = {
    "AREA_MISSING": (
        "Part of the tissue could not be read, so the counts do not cover it.",
        "Look at failures.csv for the reason, copy the slide file again, and run with --retry-failed.",
    ),
    "BELOW_SCHEME_MINIMUM": (
        "Fewer nuclei were counted than the cut-offs ask for, so no category is given.",
        "Score another block or slide, or report the index without a category.",
    ),
    "CORRECTED_BY_HAND": (
        "A person changed cells or outlines after the software had found them; this number rests on that.",
        "Compare it with the report of the run itself; changes.json lists what was changed and by how much.",
    ),
    "EMPTY_FIELDS_LEFT_OUT": (
        "Fields without tumour nuclei have no index and were left out.",
        "Nothing to do if the empty fields are glass, fat or stroma; check them on the map of the index.",
    ),
    "HOT_SPOT_BIASED_UPWARD": (
        "A hot spot is the highest of many windows, so it reads too high by nature, and its interval does "
        "not allow for that.",
        "Read it beside the global index and never against cut-offs made for the global index.",
    ),
    "HOT_SPOT_NONE_WITHIN_RADIUS": (
        "Nuclei lie too far apart: no window of the asked count fits the largest radius.",
        "Use the global index; on a cell-poor specimen a hot spot has no meaning.",
    ),
    "HOT_SPOT_TOO_FEW_CELLS": (
        "The slide has fewer nuclei than one hot-spot window must hold.",
        "Use the global index, or score a larger specimen.",
    ),
    "TUMOUR_BY_ANNOTATION": (
        "A person outlined the tumour; what lies outside that outline was not counted.",
        "Look at the overview: the outline must hold the invasive tumour, no in-situ parts, no normal gland.",
    ),
    "TUMOUR_BY_MODEL": (
        "A network told tumour nuclei from stroma and inflammation, nucleus by nucleus; nobody outlined the "
        "tumour.",
        "Look at the outlined fields below: grey nuclei were taken for other cells and are not counted.",
    ),
    "TUMOUR_NOT_SEPARATED": (
        "Tumour nuclei were not told from stroma and inflammation: all nuclei on the tissue are counted.",
        "Expect a lower index than a count of tumour nuclei alone; compare with the outlined fields below, "
        "and read the number as a tumour index only where tumour fills the tissue.",
    ),
    "COLOURS_NOT_LEARNT": (
        "A network saw the slide in other colours than those that it learnt from: pixels were normalised "
        "and its training images were not, or the reverse. Its known errors were measured without that.",
        "Run without --normalise, or with a network whose training images were normalised the same way.",
    ),
    "NOT_NORMALISED": (
        "Normalisation was asked for, but the slide's colours could not be told: the network saw the pixels "
        "as scanned.",
        "Read the next flag for the reason; compare with care with slides that were normalised.",
    ),
    "STAIN_ABSENT": (
        "Too little of the tissue is stained to tell the slide's colours.",
        "Look at the overview; stain and scan again if the tissue is pale all over.",
    ),
    "STAIN_PALE": (
        "The stain is so faint that it would have to be strengthened more than fourfold.",
        "Stain and scan again: strengthening would turn noise into tissue.",
    ),
    "STAIN_SINGLE": (
        "There is one stain only, or two that cannot be told apart.",
        "Check that both stains took; without the second one no network of this stain is at home.",
    ),
    "STAIN_ODD": (
        "Much of the tissue has colours that no mixture of the two stains has, such as ink.",
        "Look at the overview for ink or another dye.",
    ),
    "NORMALISED_UNLIKE": (
        "Normalised, the slide would not look like itself: what was lighter would become darker.",
        "Check that this is the right stain; the pixels were left as they are.",
    ),
    "INK_LEFT_OUT": (
        "Some colours that no mixture of the two stains has, such as ink, were left out of the fit of the "
        "slide's colours.",
        "Look at the overview for ink.",
    ),
    "STAIN_PROFILE_OF_OTHER_SLIDE": (
        "The colours that this slide was normalised by were fitted to another slide.",
        "Right for slides of one staining run; otherwise leave --stain-profile out.",
    ),
    "STAIN_NOT_H_E": (
        "The colours do not look like hematoxylin and eosin: brown, or far from the usual vectors.",
        "Check that this is the right slide: a stained marker is measured with --stain cd3, cd8 or other.",
    ),
    "CELL_KINDS_BY_MODEL": (
        "A network told lymphocytes and plasma cells from tumour and stroma nucleus by nucleus. It learnt "
        "from breast and bowel, where it errs in one of four or five nuclei; in other tissue it may err in "
        "most, as in skin, where it takes epidermis for immune cells.",
        "Look at the outlined fields: are the green nuclei lymphocytes and plasma cells?",
    ),
    "TUMOUR_BORDER_BY_HAND": (
        "A person outlined the tumour; stroma, core and margin are measured from that border.",
        "Look at the overview: the outline must follow the invasive border, stroma within it included.",
    ),
    "TUMOUR_NOT_OUTLINED": (
        "Nobody outlined the tumour: the density is that of the whole tissue, not of core and margin.",
        "Outline the invasive tumour in QuPath or ASAP and give it with --tumour.",
    ),
    "TUMOUR_REGION_BY_MODEL": (
        "Experimental: the tumour and its border were found from the epithelial nuclei of the network, which "
        "takes normal glands and in-situ parts for tumour too.",
        "Look at the outline on the overview; better, outline the tumour and give it with --tumour.",
    ),
    "LAB_FEW_SLIDES": (
        "The laboratory's thresholds rest on few slides.",
        "Add slides and calibrate again; until then expect the thresholds to move.",
    ),
    "LAB_GRADES_NOT_FITTED": (
        "The laboratory's profile has no moderate and strong thresholds of its own; start values grade.",
        "Trust the percentage; for the grades calibrate with control slides or reference H-scores.",
    ),
    "LAB_LEVELS_OVERLAP": (
        "Control slides of neighbouring strength overlap, so the thresholds misjudge many cells.",
        "Calibrate with controls of even stain, such as cell lines, or outline the tumour on them.",
    ),
    "LAB_NO_BETTER_THAN_START": (
        "On slides left out of the fit, the laboratory's thresholds did worse than the start values.",
        "Nothing was gained by fitting: calibrate with more slides, or stay with the start values.",
    ),
    "LAB_PROFILE_OTHER_DETECTOR": (
        "The laboratory's thresholds were fitted with another detector, or another version of it.",
        "Other outlines give other densities: run the controls with this detector and calibrate again.",
    ),
    "LAB_PROFILE_OTHER_RESOLUTION": (
        "The laboratory's thresholds were fitted at another working resolution than the one used here.",
        "Run with the resolution of the profile, or calibrate again at this one.",
    ),
    "LAB_THRESHOLDS_UNSTABLE": (
        "The intervals of two neighbouring thresholds of the laboratory overlap.",
        "Trust the percentage more than the grades; add slides and calibrate again.",
    ),
    "LAB_THRESHOLD_AT_LIMIT": (
        "A threshold of the laboratory lies at an end of the range that was searched.",
        "Look at the calibration's picture: the scores or levels may not fit the slides.",
    ),
    "LAB_WEAK_NOT_FITTED": (
        "The laboratory's profile has no weak threshold of its own; the start value tells what is positive.",
        "Calibrate with control slides or with reference percentages.",
    ),
    "STAIN_DEFAULT": (
        "Too little stain was found to fit this slide's colours, so published stain vectors were used.",
        "Check in the outlined fields that brown nuclei are outlined as positive and blue ones as negative.",
    ),
    "DAB_DEFAULT": (
        "Too little brown was found to fit the DAB vector, so the published one was used.",
        "Usual for a slide with hardly any positive nuclei; check a field or the on-slide control for brown.",
    ),
    "HEMATOXYLIN_DEFAULT": (
        "The hematoxylin vector could not be fitted, so the published one was used.",
        "Check in the outlined fields that pale blue nuclei were found.",
    ),
    "STAIN_NOT_H_DAB": (
        "The colours do not look like hematoxylin and DAB.",
        "Check that this is the right slide: an H&E or red-chromogen slide cannot be scored this way.",
    ),
    "NO_TISSUE": (
        "No tissue was found on the slide.",
        "Look at the overview; if there is tissue, it is paler than the tissue finder's threshold.",
    ),
    "NO_GLASS": (
        "No empty glass was found, so the white point had to be assumed.",
        "Usual for a cropped field; otherwise compare the stain with a slide of the same batch.",
    ),
    "DARK_BACKGROUND": (
        "The background is dark, as on a fluorescence scan.",
        "Check that this is a bright-field slide.",
    ),
    "SINGLE_CHANNEL": (
        "The image has no colour.",
        "Check that this is a stained slide and that it was exported in colour.",
    ),
    "FOCUS_NOT_JUDGED": (
        "The slide is too coarse to tell blurred tissue from sharp tissue, so none was excluded for focus.",
        "Look through the outlined fields for blur, or scan at a finer resolution.",
    ),
    "RESOLUTION_BY_USER": (
        "The resolution was set by the user, not read from the file.",
        "Make sure that it is that of the full-resolution image: areas and distances depend on it.",
    ),
}

_ADVICE = {**MARKER_ADVICE, **CYTOLOGY_ADVICE}
_OTHER_ADVICE = "Look at the outlined fields and the overview before using the number."

_REASONS: Mapping[str, str] = {
    "out_of_focus": "out of focus",
    "pen": "pen mark",
    "fold": "tissue fold",
    "bubble": "air bubble",
    "debris": "debris",
    "outside_tissue": "outside the tissue",
}


def explain(flag: str) -> Note:
    """Return the words and the advice of a warning; one that nobody has described keeps its code."""
    known = _NOTES.get(flag.upper())
    if known is not None:
        return Note(flag, *known)
    words = explain_flag(flag)
    if words == flag:
        words = flag.replace("_", " ").capitalize() + ("" if flag.endswith(".") else ".")
    return Note(flag, words, _ADVICE.get(flag, _OTHER_ADVICE))


def describe_status(status: Status | str) -> StatusWords:
    """Return the words of a status."""
    return _STATUS[Status(status)]


def describe_reason(reason: str) -> str:
    """Return a reason of exclusion in words: ``out_of_focus`` is "out of focus"."""
    return _REASONS.get(reason, reason.replace("_", " "))
