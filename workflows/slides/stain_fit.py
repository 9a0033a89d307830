"""The colours of one slide: sampled over its whole tissue, fitted once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ResolutionError, SettingsError, SlidelabError
from ...models.stain_loading import GeneratorFile
from ...stain import (
    BY_NETWORK,
    Normalizer,
    SlideColours,
    Unchanged,
    fit_colours,
    fit_normalizer,
    make_normalizer,
    method_of,
    read_colours,
)
from ...tiling import QualityMap, TissueMask, assess_quality, find_tissue
from ...wsi import Region, Slide, open_slide
from .stain_generator_fit import fit_generated, restore_generated
from .tissue_sample import sample_tissue

__all__ = [
    "StainSample",
    "choose_normalizer",
    "explain_stain_flag",
    "read_profile",
    "restore_normalizer",
    "sample_of",
    "sample_slide",
    "stored_student",
    "target_colours",
]

SAMPLE_MPP = 0.5
"""Resolution at which colours are sampled, um per px: as cells are looked for."""
LARGEST_IMAGE = 50_000_000
"""Pixels of an image without resolution that is read whole, as a target."""
LEAST_WHITE = 200.0
"""A field without glass is not taken to have darker glass than this, grey level."""
WHITE_PERCENTILE = 99.5
"""Percentile of a field's values that stands for its glass."""

_WORDS: Mapping[str, str] = {
    "STAIN_ABSENT": "too little of the sample is stained to tell its colours; pixels stay as they are",
    "STAIN_PALE": "a stain would have to be strengthened more than fourfold; pixels stay as they are",
    "STAIN_SINGLE": "one stain only, or two that cannot be told apart; pixels stay as they are",
    "STAIN_NOT_H_E": "brown, or vectors far from hematoxylin's and eosin's; pixels stay as they are",
    "STAIN_ODD": "much of the sample has colours that no H&E has, such as ink; pixels stay as they are",
    "NORMALISED_UNLIKE": "the result would not look like the slide; pixels stay as they are",
    "INK_LEFT_OUT": "some colours that no H&E has, such as ink, were left out of the fit",
    "NO_GLASS": "no empty glass was found, so the white point was assumed",
    "NO_TISSUE": "no tissue was found",
    "AREA_MISSING": "part of the slide could not be read and is white",
}
"""What a flag of a normalised slide means."""


@dataclass(frozen=True)
class StainSample:
    """Pixels from which a slide's colours are fitted."""

    pixels: NDArray[np.uint8]
    """(N, 160, 160, 3) windows over the whole tissue, white where there is none."""
    background: tuple[float, float, float]
    """White point."""
    tissue: TissueMask
    """Where the tissue is."""
    flags: tuple[str, ...]
    """What was noted about tissue and glass."""


def sample_slide(slide: Slide) -> StainSample:
    """Take pixels from windows spread evenly over a slide's tissue, without ink, folds and what is blurred.

    Raises
    ------
    ResolutionError
        If the slide's resolution is not trusted.
    """
    tissue = find_tissue(slide)
    return sample_of(slide, tissue, assess_quality(slide, tissue))


def sample_of(slide: Slide, tissue: TissueMask, quality: QualityMap) -> StainSample:
    """Do the same with tissue and artefacts that were found before."""
    clean = quality.assessable(tissue)
    plane = slide.plane(max(SAMPLE_MPP, slide.mpp))
    pixels = sample_tissue(plane, clean if clean.any() else tissue.mask, downsample=tissue.downsample)
    red, green, blue = (float(np.clip(value, 1.0, 255.0)) for value in tissue.background)
    return StainSample(pixels, (red, green, blue), tissue, tuple(flag.upper() for flag in tissue.flags))


def explain_stain_flag(flag: str) -> str:
    """Return a flag and, where it is known, what it means."""
    return f"{flag}: {_WORDS[flag]}" if flag in _WORDS else flag


def choose_normalizer(
    sample: StainSample,
    method: str,
    *,
    profile: SlideColours | None = None,
    target: SlideColours | None = None,
    generator: GeneratorFile | None = None,
    device: str = "cpu",
) -> Normalizer:
    """Fit a slide's normalizer, or make it of a profile that was fitted before.

    ``cyclegan`` and ``distilled`` take ``generator``, by default the first network that is at hand, which
    works on ``device``.

    Raises
    ------
    SettingsError
        If the profile was measured by another method, or does not go with the target.
    SlidelabError
        If no network is at hand for a method that needs one.
    """
    if method in BY_NETWORK:
        return fit_generated(
            sample.pixels,
            method,
            background=sample.background,
            colours=profile,
            target=target,
            generator=generator,
            device=device,
        )
    if profile is None or method == "none":
        return fit_normalizer(sample.pixels, method, target=target, background=sample.background)
    if method_of(profile) != method:
        raise SettingsError(
            f"--method {method} with a profile measured by {method_of(profile)}",
            f"Give --method {method_of(profile)}, or leave the profile out to fit this slide.",
        )
    return make_normalizer(profile, target, pixels=sample.pixels)


def restore_normalizer(value: Mapping[str, Any]) -> Normalizer:
    """Make a normalizer again of what was written of it: its ``to_json``, and whether it changes pixels."""
    colours, method = read_colours(value), str(value["method"])
    if not value["changed"]:
        return Unchanged(colours, tuple(value["flags"]), method)
    if method in BY_NETWORK:
        return restore_generated(value)
    return make_normalizer(colours, read_colours(value["target"]), method=method)


def read_profile(path: Path) -> SlideColours:
    """Read the colours of a slide that an earlier run wrote.

    Raises
    ------
    SettingsError
        If the file holds no such thing.
    """
    try:
        return read_colours(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise SettingsError(f"no such profile: {path}", "Check the path and the spelling.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SettingsError(
            f"{path.name} is no stain profile", "Give the .json beside a normalised slide."
        ) from error


def stored_student(path: Path, method: str) -> Normalizer | None:
    """Return the student of a network that an earlier run wrote; None where there is none."""
    if method != "distilled":
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    return restore_generated(told) if "corrections" in told else None


def target_colours(path: Path, method: str) -> SlideColours:
    """Return the colours to aim at: read from a profile, or measured on a slide or image.

    Parameters
    ----------
    path : Path
        A ``.json`` beside a normalised slide, a slide, or a field of H&E in any image format.
    method : str
        One of `slidelab.stain.METHODS` but ``none``.

    Raises
    ------
    SlidelabError
        If it cannot be read.

    Notes
    -----
    Of an image without resolution the glass cannot be told from tissue: its white point is taken from the
    brightest half percent of each channel, and no darker than 200.
    """
    if path.suffix.lower() == ".json":
        return read_profile(path)
    with open_slide(path) as slide:
        try:
            sample = sample_slide(slide)
        except ResolutionError:
            return _colours_of_field(slide, method)
    return fit_colours(sample.pixels, method, background=sample.background)


def _colours_of_field(slide: Slide, method: str) -> SlideColours:
    """Measure an image whose resolution is not known, as a whole."""
    if slide.width * slide.height > LARGEST_IMAGE:
        raise SlidelabError(
            f"{slide.path.name} is a slide without resolution", "Normalise it first and give its .json."
        )
    pixels = slide.read_level(0, Region(0, 0, slide.width, slide.height))
    values = np.percentile(pixels.reshape(-1, 3), WHITE_PERCENTILE, axis=0)
    red, green, blue = (float(max(value, LEAST_WHITE)) for value in values)
    return fit_colours(pixels, method, background=(red, green, blue))
