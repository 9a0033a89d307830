"""A slide in another look by a network: fitted once per slide, guarded, then applied anywhere on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from ...models.stain_loading import GeneratorFile
from ...stain import (
    MOST_GAIN,
    REFERENCE,
    DistilledTransfer,
    Normalizer,
    SlideColours,
    StainProfile,
    ToneTransfer,
    Unchanged,
    can_normalise,
    check_profile,
    fit_colours,
    fit_student,
    is_alike,
    look_numbers,
    structure_kept,
)

if TYPE_CHECKING:
    from ...models.stain_session import StainSession

__all__ = ["GeneratedNormalizer", "fit_generated", "restore_generated"]

Pixels = NDArray[np.uint8]

WINDOWS = 32
"""Windows of the slide that the network is tried on, those with most tissue of as many parts."""
LEAST_STRUCTURE = 0.75
"""Local correlation of lightness before and after, below which the result is taken for another tissue."""
WHITE = (255.0, 255.0, 255.0)


@dataclass(frozen=True)
class GeneratedNormalizer:
    """Shows a slide in another look by a network, which sees a pixel's near surroundings."""

    transfer: ToneTransfer
    """The slide's stains, the target's, and the exchange that the network corrects."""
    generator: GeneratorFile
    """The network."""
    flags: tuple[str, ...] = ()
    """What the reader of a result must know."""
    device: str = "cpu"
    """Where it runs. A processor gives the same bits for every tiling, a card may differ by a grey level."""
    method: str = "cyclegan"
    """Its name."""

    @property
    def halo(self) -> int:
        """How far around a pixel others matter, px."""
        return self.generator.settings.reach

    def apply(self, image: Pixels) -> Pixels:
        """Return an image (H, W, 3) in its new look."""
        return _session(self).recolour(image)

    def to_json(self) -> dict[str, Any]:
        """Return all that `restore_generated` needs, as plain JSON values."""
        return {
            "method": self.method,
            "flags": list(self.flags),
            "slide": self.transfer.source.to_json(),
            "target": self.transfer.target.to_json(),
            "generator": self.generator.reference,
            "halo": self.halo,
        }


@lru_cache(maxsize=4)
def _session(normalizer: GeneratedNormalizer) -> StainSession:
    """Return the network of a normalizer, one per process."""
    from ...models.stain_session import StainSession

    source, target = normalizer.transfer.source, normalizer.transfer.target
    return StainSession(
        normalizer.generator.load(),
        source=look_numbers(source),
        target=look_numbers(target),
        white=source.background,
        target_white=target.background,
        device=normalizer.device,
    )


def fit_generated(
    windows: Pixels,
    method: str,
    *,
    background: tuple[float, float, float],
    colours: SlideColours | None = None,
    target: SlideColours | None = None,
    generator: GeneratorFile | None = None,
    device: str = "cpu",
) -> Normalizer:
    """Fit a slide's normalizer of a network, or its student.

    Parameters
    ----------
    windows : (N, H, W, 3) uint8 array
        Windows over the slide's tissue, white where nothing was to be taken.
    method : {"cyclegan", "distilled"}
        The network itself, or a function of colour that was learnt from it on these windows.
    background : (red, green, blue)
        White point of the slide.
    colours : StainProfile, optional
        The slide's stains from an earlier run (Macenko's): nothing is fitted to its pixels.
    target : StainProfile, optional
        Stains of another slide, by Macenko; by default the published reference.
    generator : GeneratorFile, optional
        The network; by default the first that is at hand.
    device : str
        Where the network runs: ``cpu``, ``cuda``, ``auto``.

    Returns
    -------
    Normalizer
        With a flag of `FALLBACKS`, and leaving pixels as they are, where the slide's colours cannot be told
        or the result would not look like the slide. It never fails on a sample.

    Raises
    ------
    SettingsError
        If colours or target are not Macenko's, or the target's could not be told.
    SlidelabError
        If there is no such network.
    """
    found = colours or fit_colours(windows, "macenko", background=background)
    source = _measured(found, what="slide's colours")
    if not can_normalise(source.flags):
        return Unchanged(source, source.flags, method)
    generator = generator or GeneratorFile.find()
    transfer = ToneTransfer(source, _aim(source, target, generator))
    if max(transfer.gains) > MOST_GAIN:
        return Unchanged(source, (*source.flags, "STAIN_PALE"), method)
    network = GeneratedNormalizer(transfer, generator, source.flags, device)
    before = _fullest(windows)
    after = np.stack([network.apply(window) for window in before])
    if not (
        is_alike(before, after, background=source.background)
        and structure_kept(before, after) >= LEAST_STRUCTURE
    ):
        return Unchanged(source, (*source.flags, "NORMALISED_UNLIKE"), method)
    if method == "cyclegan":
        return network
    return fit_student(*_pieces(before, after), transfer, teacher=generator.reference, flags=source.flags)


def restore_generated(value: Mapping[str, Any]) -> Normalizer:
    """Make a normalizer of a network, or its student, of what its ``to_json`` gave; nothing is fitted.

    Raises
    ------
    SettingsError
        If it is no such thing.
    SlidelabError
        If the network is not at hand any more; a student needs none.
    """
    if value.get("method") == "distilled":
        return DistilledTransfer.from_json(value)
    try:
        source, target = (StainProfile.from_json(value[name]) for name in ("slide", "target"))
        generator, flags = str(value["generator"]), tuple(str(flag) for flag in value["flags"])
    except (KeyError, TypeError) as error:
        raise SettingsError(
            f"this is no profile of a network: {error}", "Use a profile that an earlier run has written."
        ) from error
    return GeneratedNormalizer(ToneTransfer(source, target), GeneratorFile.find(generator), flags)


def _measured(colours: SlideColours, *, what: str) -> StainProfile:
    """Return colours that a network can be told."""
    if not isinstance(colours, StainProfile) or colours.source == "vahadane":
        raise SettingsError(
            f"the {what} were measured by {getattr(colours, 'source', 'reinhard')}",
            "Give an image, or the profile of a slide normalised by macenko, cyclegan or distilled.",
        )
    if can_normalise(colours.flags):
        look_numbers(check_profile(colours))
    return colours


def _aim(source: StainProfile, target: SlideColours | None, generator: GeneratorFile) -> StainProfile:
    """Return the look to aim at."""
    if not generator.settings.guided:
        if target is not None:
            raise SettingsError(
                f"{generator.name} knows one target, and cannot be given another",
                "Leave the target out, or choose a guided generator.",
            )
        return replace(source, background=WHITE)  # it corrects the slide itself
    if target is None:
        return REFERENCE
    if not can_normalise(target.flags):
        raise SettingsError(
            f"the target's colours could not be told: {', '.join(target.flags)}",
            "Choose a target with both stains, or the published one.",
        )
    return _measured(target, what="target's colours")


def _fullest(windows: Pixels) -> Pixels:
    """Return the windows with the most tissue, one from each part of the slide."""
    parts = np.array_split(np.arange(len(windows)), min(WINDOWS, len(windows)))
    white = (windows == 255).all(axis=-1).mean(axis=(1, 2))
    return windows[[part[int(np.argmin(white[part]))] for part in parts]]


def _pieces(before: Pixels, after: Pixels) -> tuple[Pixels, Pixels]:
    """Cut few windows into quarters, so that a student has some to be tried on."""
    while len(before) < 8 and min(before.shape[1:3]) >= 32:
        height, width = (size // 2 for size in before.shape[1:3])
        before, after = (
            np.concatenate(
                [
                    each[:, top : top + height, left : left + width]
                    for top in (0, height)
                    for left in (0, width)
                ]
            )
            for each in (before, after)
        )
    return before, after
