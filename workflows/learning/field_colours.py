"""Fields of labelled collections in other colours: each fitted by itself, for want of its slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...models.labelled.colorectal import GradedImage
from ...models.stain_loading import GeneratorFile
from ...stain import BY_NETWORK, Normalizer, Unchanged, fit_normalizer
from ...tiling import atomic_file
from ..slides.stain_generator_fit import fit_generated
from .stain_fields import white_of

__all__ = ["FieldColours", "normalised_copies"]


@dataclass
class FieldColours:
    """Normalises fields by a method, and counts those that it has to leave as they are."""

    method: str
    """One of `slidelab.stain.METHODS`."""
    generator: GeneratorFile | None = None
    """The network of ``cyclegan`` and ``distilled``; by default the first that is at hand."""
    left: int = 0
    """Fields so far whose colours could not be told."""

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a field (H, W, 3) in its new colours."""
        normalizer = self.fit(pixels)
        self.left += self.method != "none" and isinstance(normalizer, Unchanged)
        halo = normalizer.halo
        if not halo:
            return normalizer.apply(pixels)
        height, width = pixels.shape[:2]
        # Mirrored beyond its border: white would be looked at as glass.
        wide = np.pad(pixels, ((halo, halo), (halo, halo), (0, 0)), mode="symmetric")
        return normalizer.apply(wide)[halo : halo + height, halo : halo + width]

    def fit(self, pixels: NDArray[np.uint8]) -> Normalizer:
        """Return what normalises a field; its glass is the brightest half percent, and no darker than 200."""
        if self.method in BY_NETWORK:
            self.generator = self.generator or GeneratorFile.find()
            white = white_of(pixels)
            return fit_generated(pixels[None], self.method, background=white, generator=self.generator)
        return fit_normalizer(pixels, self.method, background=white_of(pixels))


def normalised_copies(images: Sequence[GradedImage], method: str, folder: Path) -> list[GradedImage]:
    """Write graded images in their new colours, without loss, and return them with their new places.

    Parameters
    ----------
    images : sequence of GradedImage
        Any; their masks stay where they are.
    method : str
        One of `slidelab.stain.METHODS`.
    folder : Path
        Receives a PNG per image; those that are there are kept.
    """
    colours, copies = FieldColours(method), []
    for image in images:
        path = folder / f"{image.set_name}-{image.case}-{image.name}.png".replace("/", "-")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(image.path) as opened:
                pixels = np.asarray(opened.convert("RGB"))
            with atomic_file(path) as temporary, temporary.open("wb") as stream:
                Image.fromarray(colours.apply(pixels)).save(stream, "PNG")
        copies.append(replace(image, path=path))
    return copies
