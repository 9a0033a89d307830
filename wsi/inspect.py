"""What a slide is, what is wrong with it, and what will work."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ResolutionError, SlidelabError, UnsupportedSlideError
from .health import FLUORESCENCE, spread
from .reader import GREY_PROBLEM, Level
from .region import Region
from .resolution import Resolution
from .slide import Slide, open_slide

__all__ = ["SlideInspection", "inspect_slide", "require_scorable"]

SCORING_MPP = 0.5
"""um per px at which nuclei are scored (20x)."""

COARSEST_SCORING_MPP = 0.6
"""Coarsest level 0 on which nuclei can still be scored, um per px."""

SAMPLES_PER_AXIS = 8
"""Level-0 tiles that are decoded along each axis: up to 64 in all."""

HARMLESS_PROPERTIES = (
    "openslide.vendor",
    "openslide.mpp-x",
    "openslide.mpp-y",
    "openslide.objective-power",
    "openslide.level-count",
    "openslide.quickhash-1",
    "aperio.MPP",
    "aperio.AppMag",
    "hamamatsu.SourceLens",
    "leica.objective",
    "mirax.GENERAL.OBJECTIVE_MAGNIFICATION",
    "tiff.Make",
    "tiff.Model",
    "tiff.ResolutionUnit",
    "tiff.Software",
    "tiff.XResolution",
    "tiff.YResolution",
)
"""Properties that are shown. All others may hold a name, a barcode or a date of a patient."""


_KINDS = {ResolutionError: "wrong --mpp", UnsupportedSlideError: "cannot be used"}


@dataclass(frozen=True)
class SlideInspection:
    """The findings on one slide."""

    path: str
    vendor: str | None = None
    width: int | None = None
    """Level-0 px."""
    height: int | None = None
    levels: tuple[Level, ...] = ()
    resolution: Resolution | None = None
    objective_power: float | None = None
    readable: bool = False
    """Whether pixels can be read."""
    verdict: str = ""
    """One line: what will work, or why nothing does and what to do."""
    problems: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    """Reader, bounds, names of associated images, size of the colour profile, fingerprint, ..."""

    def to_json(self) -> dict[str, Any]:
        """Return the findings as JSON values, the agreed keys first."""
        resolution = self.resolution
        return {
            "path": self.path,
            "vendor": self.vendor,
            "width": self.width,
            "height": self.height,
            "levels": [_level_json(level) for level in self.levels],
            "mpp": {
                "x": resolution.x if resolution else None,
                "y": resolution.y if resolution else None,
                "source": resolution.source if resolution else "none",
                "trusted": resolution.trusted if resolution else False,
            },
            "objective_power": self.objective_power,
            "readable": self.readable,
            "verdict": self.verdict,
            "problems": list(self.problems),
            **self.extra,
        }

    def to_text(self) -> str:
        """Return the findings as aligned lines for people, the verdict last."""
        lines = [("file", self.path)]
        if self.vendor is not None:
            lines += self._facts()
        lines += [("problem", problem) for problem in self.problems]
        lines.append(("verdict", self.verdict))
        return "\n".join(f"{name:<12} {text}" for name, text in lines)

    def _facts(self) -> list[tuple[str, str]]:
        """Return what is known of a slide that opens."""
        resolution, extra = self.resolution, self.extra
        levels = ", ".join(f"{level.width} x {level.height} ({level.downsample:g}x)" for level in self.levels)
        mpp = "unknown"
        if resolution is not None and resolution.x is not None:
            standing = "trusted" if resolution.trusted else "NOT trusted"
            mpp = f"{resolution.x:g} x {resolution.y:g} um/px from {resolution.source}, {standing}"
        sources = "; ".join(f"{c['source']} {c['x']:g} x {c['y']:g}" for c in extra["candidates"]) or "none"
        power = f"{self.objective_power:g}x" if self.objective_power else "not stated"
        bounds = extra["bounds"]
        profile = extra["icc_profile_bytes"]
        return [
            ("format", f"{self.vendor}, {extra['compression']}, {extra['channels']} channels"),
            ("reader", str(extra["reader"])),
            ("levels", levels),
            ("bounds", f"{bounds['width']} x {bounds['height']} px at {bounds['x']}, {bounds['y']}"),
            ("resolution", mpp),
            ("stated by", sources),
            ("objective", power),
            ("associated", ", ".join(extra["associated_images"]) or "none"),
            ("ICC profile", f"{profile} bytes, noted and not applied" if profile else "none"),
            (
                "tiles read",
                f"{extra['sampled_tiles'] - extra['unreadable_tiles']} of {extra['sampled_tiles']}",
            ),
            ("fingerprint", str(extra["fingerprint"])),
        ]


def require_scorable(slide: Slide, *, coarsest_mpp: float = COARSEST_SCORING_MPP) -> None:
    """Refuse a slide on which single cells of a bright-field stain cannot be scored.

    Parameters
    ----------
    slide : Slide
        The open slide.
    coarsest_mpp : float
        um per pixel up to which there is enough to be seen; for single cells by default.

    Raises
    ------
    UnsupportedSlideError
        If it looks like fluorescence, or has one channel only.
    ResolutionError
        If its resolution is not trusted, or too coarse to see nuclei.
    """
    for mark in (FLUORESCENCE, GREY_PROBLEM):
        if mark in slide.problems:
            raise UnsupportedSlideError(
                f"{slide.path.name} cannot be scored: {mark}", "give a stained bright-field slide"
            )
    if slide.mpp > coarsest_mpp:
        seen = "score single cells" if coarsest_mpp == COARSEST_SCORING_MPP else "grade tissue"
        raise ResolutionError(
            f"{slide.path.name} has {slide.mpp:.3g} um/px, too coarse to {seen}",
            f"scan at {SCORING_MPP:g} um/px or finer, or correct a wrong resolution with --mpp",
        )


def inspect_slide(path: str | Path, mpp: float | None = None) -> SlideInspection:
    """Open a slide, decode tiles all over it, and say what will work.

    Never raises for a bad slide: the findings then say why it cannot be read.

    Parameters
    ----------
    path : str or Path
        Slide file or DICOM folder.
    mpp : float or None
        um per level-0 pixel in place of what the file says, 0.05-5.
    """
    try:
        with open_slide(path, mpp=mpp) as slide:
            return _examine(slide, str(path))
    except SlidelabError as error:
        problem = _KINDS.get(type(error), "cannot be read")
        verdict = f"{problem}: {error}; {error.advice}"
        return SlideInspection(
            str(path), verdict=verdict, problems=(str(error),), extra={"advice": error.advice}
        )


def _examine(slide: Slide, path: str) -> SlideInspection:
    """Return the findings on a slide that opens."""
    unreadable, samples = _decode_samples(slide)
    readable = len(unreadable) < samples
    problems = [*slide.problems, *slide.resolution.problems]
    if unreadable:
        problems.append(
            f"{len(unreadable)} of {samples} sampled tiles cannot be read; first: {unreadable[0]}"
        )
    return SlideInspection(
        path=path,
        vendor=slide.vendor,
        width=slide.width,
        height=slide.height,
        levels=slide.levels,
        resolution=slide.resolution,
        objective_power=slide.objective_power,
        readable=readable,
        verdict=_judge(slide, unreadable=len(unreadable), samples=samples),
        problems=tuple(dict.fromkeys(problems)),
        extra=_extra(slide, samples=samples, unreadable=len(unreadable)),
    )


def _decode_samples(slide: Slide) -> tuple[list[str], int]:
    """Decode a pixel of up to 64 tiles; return what fails, and how many were tried."""
    places = list(spread(slide.levels[0], per_axis=SAMPLES_PER_AXIS))
    failures = []
    for x, y in places:
        try:
            slide.read_level(0, Region(x, y, 1, 1))
        except SlidelabError as error:
            failures.append(str(error))
    return failures, len(places)


def _judge(slide: Slide, *, unreadable: int, samples: int) -> str:
    """Return the verdict in one line."""
    if unreadable == samples:
        return "cannot be read: none of the sampled tiles decodes; copy or scan the slide again"
    for mark in (FLUORESCENCE, GREY_PROBLEM):
        if mark in slide.problems:
            return f"cannot be scored: {mark}; slidelab scores stained bright-field slides"
    if not slide.resolution.trusted:
        return f"needs --mpp: {'; '.join(slide.resolution.problems)}"
    damage = f", but {unreadable} of {samples} sampled tiles cannot be read" if unreadable else ""
    if slide.mpp > COARSEST_SCORING_MPP:
        coarse = f"{slide.mpp:.3g} um/px is too coarse to score single cells ({SCORING_MPP:g} is needed)"
        return f"tissue maps only: {coarse}{damage}"
    return f"ready for scoring at {slide.plane(SCORING_MPP).mpp:.4g} um/px{damage}"


def _extra(slide: Slide, *, samples: int, unreadable: int) -> dict[str, Any]:
    """Return the further findings, nothing of which names a patient."""
    bounds = slide.bounds
    return {
        "reader": slide.facts.reader,
        "compression": slide.facts.compression,
        "channels": slide.facts.channels,
        "bounds": {"x": bounds.x, "y": bounds.y, "width": bounds.width, "height": bounds.height},
        "associated_images": list(slide.associated_names),
        "icc_profile_bytes": len(slide.icc_profile) if slide.icc_profile else None,
        "fingerprint": slide.fingerprint,
        "candidates": [{"source": c.source, "x": c.x, "y": c.y} for c in slide.resolution.candidates],
        "sampled_tiles": samples,
        "unreadable_tiles": unreadable,
        "properties": {
            name: slide.properties[name] for name in HARMLESS_PROPERTIES if name in slide.properties
        },
    }


def _level_json(level: Level) -> dict[str, float]:
    """Return a level as JSON values."""
    return {"width": level.width, "height": level.height, "downsample": level.downsample}
