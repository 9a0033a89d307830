"""Whether and how a slide's pixels are normalised for the networks: asked for, fitted once, kept, told."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ...errors import SettingsError
from ...models.stain_loading import GeneratorFile
from ...quantify import SlideResult, Status, worst_status
from ...stain import BY_NETWORK, METHODS, Normalizer, SlideColours, Unchanged, method_of
from ...tiling import QualityMap, TissueMask, write_json
from ...wsi import Plane, Slide
from .normalised_plane import NormalisedPlane
from .stain_fit import choose_normalizer, read_profile, restore_normalizer, sample_of, stored_student

if TYPE_CHECKING:
    from ...models.registry import LicencePolicy
    from .tile_detector import TileDetector

__all__ = [
    "AS_SCANNED",
    "COLOURS_NOT_LEARNT",
    "NOT_NORMALISED",
    "PROFILE_FILE",
    "Normalisation",
    "NormalisationFacts",
    "doubt_colours",
    "fit_slide_colours",
    "publish_profile",
    "seen_plane",
]

PROFILE_FILE = "stain.json"
"""Colours of a slide, in the folder of its plan and beside its report."""
NORMALISE_VERSION = 1
"""Raised whenever the same method would give other pixels; part of every key."""
NOT_NORMALISED = "NOT_NORMALISED"
"""Flag of a slide whose pixels stayed as they are although another method than ``none`` was asked for."""
COLOURS_NOT_LEARNT = "COLOURS_NOT_LEARNT"
"""Flag of a slide that a network saw in other colours than those that it learnt from."""
OTHER_SLIDE = "STAIN_PROFILE_OF_OTHER_SLIDE"
"""Flag of a slide that was normalised by colours fitted to another one."""
NAMES: Mapping[str, str] = {
    "macenko": "Macenko 2009",
    "vahadane": "Vahadane 2016",
    "reinhard": "Reinhard 2001",
    "cyclegan": "a stain-guided CycleGAN",
    "distilled": "a colour function distilled from a stain-guided CycleGAN",
}
"""What a methods paragraph calls a method; others keep their own name."""


@dataclass(frozen=True)
class Normalisation:
    """What the user asks for: the colours that networks see. Nothing is ever measured on such pixels."""

    method: str = "none"
    """One of `slidelab.stain.METHODS`."""
    colours: SlideColours | None = None
    """The slide's colours from an earlier run; None: fitted to each slide."""
    file: str = ""
    """Name of the file that held them."""
    fingerprint: str = ""
    """Of the slide that they were fitted to; empty: not known."""
    student: Normalizer | None = None
    """What that run had learnt from the network for ``distilled``; None: learnt for each slide."""
    generator: GeneratorFile | None = None
    """The network of ``cyclegan`` and ``distilled``; by default the first that is at hand."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, and find the network."""
        if self.method not in METHODS:
            raise SettingsError(
                f"no normalisation is called {self.method!r}", f"Choose one of {', '.join(METHODS)}."
            )
        if self.colours is not None:
            self._check_colours(method_of(self.colours))
        if self.method in BY_NETWORK and self.generator is None:
            object.__setattr__(self, "generator", GeneratorFile.find())

    def _check_colours(self, measured: str) -> None:
        """Refuse colours that the method cannot take."""
        if not self.is_on:
            raise SettingsError("a stain profile and no normalisation", "Give --normalise as well.")
        if measured != ("macenko" if self.method in BY_NETWORK else self.method):
            raise SettingsError(
                f"normalisation by {self.method} with a profile measured by {measured}",
                f"Choose {measured}, or leave the profile out to fit each slide.",
            )

    @classmethod
    def read(cls, method: str, profile: Path | None = None, *, policy: LicencePolicy = "research") -> Self:
        """Return what is asked for by a method and the file of a profile, as on the command line.

        Parameters
        ----------
        method : str
            One of `slidelab.stain.METHODS`.
        profile : Path, optional
            ``X.profile.json`` beside a normalised slide, or ``stain.json`` beside a report.
        policy : {"research", "permissive"}
            Whether weights trained on data for research only may be used.

        Raises
        ------
        SettingsError
            If the file holds no profile, or one that was measured by another method.
        SlidelabError
            If the method needs a network and none is at hand.
        """
        generator = GeneratorFile.find(policy=policy) if method in BY_NETWORK else None
        if profile is None:
            return cls(method, generator=generator)
        return cls(
            method,
            read_profile(profile),
            profile.name,
            str(json.loads(profile.read_text(encoding="utf-8")).get("fingerprint", "")),
            stored_student(profile, method),
            generator,
        )

    @property
    def is_on(self) -> bool:
        """Whether anything is asked for."""
        return self.method != "none"

    def facts(self) -> dict[str, Any]:
        """Return what shapes the pixels, for keys and settings; nothing where nothing is asked for.

        So results from before there was a choice keep their keys.
        """
        if not self.is_on:
            return {}
        told: dict[str, Any] = {"method": self.method, "version": NORMALISE_VERSION}
        if self.generator is not None:
            told["network"] = self.generator.reference
        if self.colours is not None:
            text = json.dumps((self.student or self.colours).to_json(), sort_keys=True)
            told |= {"profile": self.file, "profile_sha256": hashlib.sha256(text.encode()).hexdigest()}
        return {"normalise": told}

    def check(self, *, stain: str, detector: TileDetector | None = None) -> None:
        """Refuse slides of another stain than H&E, and detectors that see no colours.

        On H-DAB slides Macenko's way with the slide's own hematoxylin and DAB was tried, for the network
        alone: nuclei were found worse and the index was wrong by three times as much
        (`scripts/accuracy_normalise.py`).

        Parameters
        ----------
        stain : str
            ``H&E``, ``H-DAB`` or another name for messages.
        detector : TileDetector, optional
            What shall see the pixels.

        Raises
        ------
        SettingsError
            If anything is asked for and cannot be done.
        """
        if not self.is_on:
            return
        if stain != "H&E":
            raise SettingsError(
                f"normalisation by {self.method} on {stain} slides",
                "Use --normalise none: the methods are for hematoxylin and eosin.",
            )
        if detector is not None and not detector.sees_colours:
            raise SettingsError(
                f"normalisation for {detector.name}, which looks at stain densities and not at colours",
                "Leave --normalise out, or choose a network with --model.",
            )


AS_SCANNED = Normalisation()
"""Nothing is normalised."""


@dataclass(frozen=True)
class NormalisationFacts:
    """What became of it on one slide."""

    method: str
    """What was asked for."""
    changed: bool
    """False where pixels stayed as they are."""
    flags: tuple[str, ...]
    """What the reader of a result must know."""
    profile: str = ""
    """Name of the file that held the slide's colours; empty: they were fitted."""

    @classmethod
    def of(cls, normalizer: Normalizer, asked: Normalisation, *, fingerprint: str) -> Self:
        """Return what a normalizer, made for a slide, does to it."""
        changed = not isinstance(normalizer, Unchanged)
        flags = list(normalizer.flags) if changed else [NOT_NORMALISED, *normalizer.flags]
        if changed and asked.fingerprint not in ("", fingerprint):
            flags.append(OTHER_SLIDE)
        return cls(asked.method, changed, tuple(flags), asked.file)

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Self | None:
        """Read back what `to_json` gave."""
        return None if value is None else cls(**{**value, "flags": tuple(value["flags"])})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "method": self.method,
            "changed": self.changed,
            "flags": list(self.flags),
            "profile": self.profile,
        }

    @property
    def name(self) -> str:
        """What texts call the method."""
        return NAMES.get(self.method, self.method)

    def sentence(self) -> str:
        """Say it as a methods paragraph does."""
        if not self.changed:
            reasons = ", ".join(flag for flag in self.flags if flag != NOT_NORMALISED)
            return (
                f"Normalisation ({self.name}) was asked for but left out, since the slide's colours could "
                f"not be told ({reasons}): networks saw the pixels as scanned."
            )
        fitted = f"by the profile {self.profile}" if self.profile else "fitted once to this slide"
        return (
            f"Networks saw normalised pixels ({self.name}, {fitted}); pictures and measurements of stain are "
            "of the pixels as scanned."
        )


def fit_slide_colours(
    asked: Normalisation,
    slide: Slide,
    *,
    place: Path,
    tissue: TissueMask,
    quality: QualityMap,
) -> NormalisationFacts | None:
    """Fit what normalises a slide, or make it of a profile that was fitted before, and keep it with the plan.

    Parameters
    ----------
    asked : Normalisation
        Method, and a profile where there is one.
    slide : Slide
        Where pixels are sampled.
    place : Path
        Folder of the plan, which receives ``stain.json``.
    tissue, quality : TissueMask, QualityMap
        Where from: tissue without pen, folds and what is blurred.

    Returns
    -------
    NormalisationFacts or None
        What became of it: pixels stay as they are, with a flag, where colours cannot be told. None where
        nothing is asked for.
    """
    if not asked.is_on:
        return None
    sample = sample_of(slide, tissue, quality)
    normalizer = asked.student or choose_normalizer(
        sample, asked.method, profile=asked.colours, generator=asked.generator
    )
    facts = NormalisationFacts.of(normalizer, asked, fingerprint=slide.fingerprint)
    told = {"kind": "slidelab stain profile", "file": slide.path.name, "fingerprint": slide.fingerprint}
    colours = {**normalizer.to_json(), "method": facts.method}
    write_json(place / PROFILE_FILE, {**told, "changed": facts.changed, **colours})
    return facts


def seen_plane(plane: Plane, place: Path, facts: NormalisationFacts | None) -> Plane | NormalisedPlane:
    """Return the plane that networks look at: in other colours where that was asked for and possible.

    Parameters
    ----------
    plane : Plane
        The slide as scanned.
    place : Path
        Folder of its plan.
    facts : NormalisationFacts or None
        What became of a normalisation.
    """
    return plane if facts is None or not facts.changed else NormalisedPlane(plane, load_normalizer(place))


@lru_cache(maxsize=4)
def load_normalizer(place: Path) -> Normalizer:
    """Return what normalises a slide, from the folder of its plan; loaded once per process."""
    return restore_normalizer(json.loads((place / PROFILE_FILE).read_text(encoding="utf-8")))


def doubt_colours(
    result: SlideResult, facts: NormalisationFacts | None, *, learnt: str = "none"
) -> SlideResult:
    """Ask for review where a network saw other colours than it learnt from, or than were asked for.

    Parameters
    ----------
    result : SlideResult
        Of the slide.
    facts : NormalisationFacts or None
        What became of a normalisation.
    learnt : str
        Method by which the network's training images were normalised.
    """
    seen = facts.method if facts is not None and facts.changed else "none"
    flags = () if seen == learnt else (COLOURS_NOT_LEARNT,)
    if not flags and (facts is None or facts.changed):
        return result
    status = worst_status(result.status, Status.REVIEW)
    return replace(result, status=status, flags=(*result.flags, *flags))


def publish_profile(place: Path, folder: Path, facts: NormalisationFacts | None) -> None:
    """Put the colours of a slide beside its report; none where nothing was asked for."""
    target = folder / PROFILE_FILE
    if facts is None:
        target.unlink(missing_ok=True)
    else:
        shutil.copyfile(place / PROFILE_FILE, target)
