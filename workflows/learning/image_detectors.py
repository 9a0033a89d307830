"""Detectors as a validation uses them: a labelled image in, cells in px of that image out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ...models import COLLECTIONS, CellTable, LabelledImage, UnmixedNuclei
from ...stain import StainProfile, fit_h_dab, unmix
from ...tiling import assess_quality, find_tissue
from ...wsi import open_slide
from ..ihc.ki67 import POSITIVE_OD
from ..slides.plan import PlanSettings
from ..slides.tissue_sample import sample_tissue
from .detector_accuracy import detect_whole, read_whole

if TYPE_CHECKING:
    from ...models.star_detector import StarDetector

__all__ = ["BaselineOnImages", "ImageDetector", "NetworkOnImages"]

LEAST = 0.1
"""The curve of precision against recall begins with candidates of this probability."""
EOSIN_VECTOR = (0.07, 0.99, 0.11)
"""Eosin, optical density of red, green, blue (Ruifrok and Johnston 2001)."""


class ImageDetector(Protocol):
    """What can be validated."""

    @property
    def tumour_threshold(self) -> float | None:
        """Least ``tumour_probability`` of a nucleus of tumour; None when it cannot tell tumour."""
        ...

    def fitted_to(self, image: LabelledImage) -> ImageDetector:
        """Return the detector fitted to an image as the road fits it to a slide."""
        ...

    def find(self, image: LabelledImage) -> CellTable:
        """Return the nuclei of an image as a user would get them, px of the image."""
        ...

    def candidates(self, image: LabelledImage) -> CellTable | None:
        """Return the nuclei with those too doubtful to be reported; None where `find` drops none."""
        ...


@dataclass(frozen=True)
class NetworkOnImages:
    """A trained network, at the resolution that it was trained at."""

    detector: StarDetector
    """The network with its thresholds."""

    @property
    def tumour_threshold(self) -> float | None:
        """From the settings, if the network has a heat map of tumour."""
        tells = "tumour" in self.detector.session.network.settings.heats
        return self.detector.settings.tumour_threshold if tells else None

    def fitted_to(self, image: LabelledImage) -> NetworkOnImages:
        """Fit the tumour threshold to how sure the network is on this image."""
        if not self.detector.settings.tumour_share:
            return self
        return NetworkOnImages(self.detector.fitted([self._detect(self.detector.faint(), image)]))

    def find(self, image: LabelledImage) -> CellTable:
        """Return the nuclei above the thresholds, px of the image."""
        return self._detect(self.detector, image)

    def candidates(self, image: LabelledImage) -> CellTable:
        """Return the nuclei with all that reach a probability of 0.1, px of the image."""
        settings = replace(self.detector.settings, threshold=LEAST, tumour_threshold=LEAST)
        everything = type(self.detector)(self.detector.session, mpp=self.detector.mpp, settings=settings)
        return self._detect(everything, image)

    def _detect(self, detector: StarDetector, image: LabelledImage) -> CellTable:
        stride = detector.session.network.settings.stride
        return detect_whole(detector.detect, image, mpp=detector.mpp, stride=stride)


@dataclass(frozen=True)
class BaselineOnImages:
    """Detector v0: blobs of unmixed stains, nothing trained; stains are fitted to each image as to a slide.

    Hematoxylin-eosin images have no DAB: their hematoxylin is separated from eosin with the published
    vectors, and the DAB density is zero. That is the nearest the baseline comes to a stain that it was not
    made for.
    """

    detector: UnmixedNuclei = field(default_factory=UnmixedNuclei)
    """The detector before it is fitted."""
    positive_od: float = POSITIVE_OD
    """Least mean DAB density of a positive nucleus, OD (base 10)."""
    plan: PlanSettings = field(default_factory=PlanSettings)
    """How tissue and artefacts are found for the fit."""
    stain: str = "H-DAB"
    """Stain of images that are of no known collection: ``H-DAB`` or ``H&E``."""

    name = UnmixedNuclei.name
    tumour_threshold = None

    def fitted_to(self, image: LabelledImage) -> BaselineOnImages:
        """Return itself: `find` fits stains and detector to each image."""
        return self

    """It does not tell tumour."""

    def find(self, image: LabelledImage) -> CellTable:
        """Return the nuclei, px of the image, as Negative and Positive where the stain is DAB."""
        pixels, downsample, mpp = read_whole(image, mpp=self.plan.mpp, stride=self.detector.stride)
        collection = COLLECTIONS.get(image.set_name)
        is_he = (self.stain if collection is None else collection.stain) == "H&E"
        profile, fitted = self._fit(image, is_he=is_he)
        cells = fitted.detect(_densities(pixels, profile, is_he=is_he), mpp=mpp)
        if not is_he:
            positive = cells.measurements["dab_od_mean"] >= self.positive_od
            cells = replace(cells, labels=positive.astype(np.uint8), classes=("Negative", "Positive"))
        return cells.placed(x=0.0, y=0.0, scale=downsample)

    def candidates(self, image: LabelledImage) -> None:
        """There is no probability under which it would drop a nucleus."""
        return

    def _fit(self, image: LabelledImage, *, is_he: bool) -> tuple[StainProfile, UnmixedNuclei]:
        """Fit stains and detector to clean tissue of the whole image."""
        with open_slide(image.path, mpp=image.mpp) as slide:
            plane = slide.plane(self.plan.mpp)
            tissue = find_tissue(slide, settings=self.plan.tissue)
            clean = tissue.mask
            if not is_he:  # the quality map's ink takes eosin for a pen
                quality = assess_quality(slide, tissue, settings=self.plan.quality)
                assessable = quality.assessable(tissue)
                clean = assessable if assessable.any() else clean
            samples = sample_tissue(plane, clean, downsample=tissue.downsample)
            red, green, blue = (float(value) for value in tissue.background)
            if is_he:
                profile = StainProfile(background=(red, green, blue), chromogen=EOSIN_VECTOR)
            else:
                profile = fit_h_dab(samples.reshape(-1, 3), (red, green, blue))
            densities = [_densities(sample, profile, is_he=is_he) for sample in samples]
            return profile, self.detector.fitted(densities, mpp=plane.mpp)


def _densities(pixels: NDArray[np.uint8], profile: StainProfile, *, is_he: bool) -> NDArray[np.float32]:
    """Return the densities of hematoxylin and of DAB; eosin is no DAB."""
    densities = unmix(pixels, profile)
    if is_he:
        densities[1] = 0.0
    return densities
