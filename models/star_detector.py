"""The learned detector: nuclei as peaks of a heat map, outlines and classes straight from the network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .cells import CellTable
from .peaks import find_peaks, highest_near, stronger_covers
from .session import InferenceSession
from .star_outlines import mean_inside, polygon_area, polygon_centroid, ray_directions
from .turned_views import turn_back_maps, turn_back_radii, turn_pixels, turn_places

__all__ = ["StarDetector", "StarSettings"]

Floats = NDArray[np.float32]
Features = tuple[Tensor, ...]

FAINT = 0.15
"""Peaks below this are noise on any slide."""
SUREST = 90
"""Percentile of the heat of a slide's nuclei that stands for its surest."""
HIGHEST_FITTED = 0.5
"""No slide needs a higher tumour threshold."""
FEWEST_SAMPLED = 50
"""With fewer nuclei in the samples the card's threshold stays."""
NOTHING = np.empty(0, np.float32)
GRID = 64.0
"""Coordinates are whole multiples of 1/64 px: exact sums with tile origins up to 2**46 px."""


@dataclass(frozen=True)
class StarSettings:
    """What counts as a nucleus."""

    threshold: float = 0.35
    """Least height of a peak, 0-1; chosen on tuning cases and kept in the model's card."""
    tumour_threshold: float = 0.35
    """Least height of the tumour heat map at the peak of a nucleus that counts as tumour."""
    tumour_share: float = 0.0
    """With 0.5, say, a slide's tumour threshold is half of the heat that its surest nuclei reach."""
    cover: float = 0.7
    """A peak within this share of a stronger one's radius is the same nucleus."""
    largest_radius_um: float = 10.0
    """Longer radii are cut."""
    smallest_area_um2: float = 8.0
    """Smaller outlines are debris."""
    views: int = 1
    """Turns of the image whose mean is taken, 1 to 8: steadier, and so many times slower."""
    class_thresholds: tuple[float, ...] = ()
    """Least height of a peak by class of the network, in place of ``threshold``; empty: one for all."""


class StarDetector:
    """Finds nuclei with a `CellNetwork`.

    Parameters
    ----------
    session : InferenceSession
        The network on its device.
    mpp : float
        Resolution that it was trained at, um per px.
    settings : StarSettings
        What counts as a nucleus.
    unclassed : str
        What everything is called that is found with a network which tells no classes.
    """

    def __init__(
        self,
        session: InferenceSession,
        *,
        mpp: float,
        settings: StarSettings | None = None,
        unclassed: str = "Nucleus",
    ) -> None:
        self.session = session
        self.mpp = mpp
        self.unclassed = unclassed
        self.settings = settings or StarSettings()

    def fitted(self, samples: Sequence[CellTable]) -> StarDetector:
        """Return the detector with its tumour threshold fitted to one slide.

        On a stain that the network has seldom seen it is less sure of every nucleus, but still orders them
        well: a fixed threshold would drop most of them. The fitted one is a share of what the surest tenth of
        the slide's nuclei reach.

        Parameters
        ----------
        samples : sequence of CellTable
            Nuclei of parts of the slide, from `faint`.
        """
        share = self.settings.tumour_share
        values = [cells.measurements.get("tumour_probability", NOTHING) for cells in samples]
        heat = np.concatenate([NOTHING, *values])
        heat = heat[heat >= FAINT]
        if not share or len(heat) < FEWEST_SAMPLED:
            return self
        threshold = float(np.clip(share * np.percentile(heat, SUREST), FAINT, HIGHEST_FITTED))
        return self.at(round(threshold, 4))

    def at(self, tumour_threshold: float) -> StarDetector:
        """Return the detector with another tumour threshold."""
        settings = replace(self.settings, tumour_threshold=tumour_threshold)
        return self._with(settings)

    def faint(self) -> StarDetector:
        """Return a detector that also reports nuclei of which the network is far from sure."""
        settings = replace(self.settings, threshold=FAINT, tumour_threshold=FAINT, class_thresholds=())
        return self._with(settings)

    def _with(self, settings: StarSettings) -> StarDetector:
        """Return the detector with other settings."""
        return StarDetector(self.session, mpp=self.mpp, settings=settings, unclassed=self.unclassed)

    def detect(
        self,
        image: NDArray[np.uint8],
        densities: Floats | None = None,
        *,
        seconds: dict[str, float] | None = None,
    ) -> CellTable:
        """Find the nuclei of one image.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
            Pixels at the network's resolution, as scanned; sides are multiples of its stride.
        densities : (2, H, W) float32 array, optional
            Optical density of hematoxylin and of DAB, to be averaged over each nucleus.
        seconds : dict, optional
            Receives the wall seconds of ``wait`` (for the device), ``network`` and ``post``.

        Returns
        -------
        CellTable
            One row per nucleus, in raster order of the peaks; measurements ``nucleus_probability``,
            ``tumour_probability`` where the network tells, ``positive_probability`` with classes Negative
            and Positive, else one of each class, such as ``epithelial_probability``, and
            ``hematoxylin_od_mean`` and ``dab_od_mean`` with ``densities``.
        """
        settings, started = self.settings, time.perf_counter()
        pixels = self.session.upload(image[None])
        with self.session.turn():
            clock = [started, time.perf_counter()]
            heat, features = self._look(pixels)
            clock.append(self.session.finished())
            places, values = find_peaks(heat.amax(1), threshold=_logit(self._least))
            radii, logits = self._read(features, places, height=heat.shape[2], width=heat.shape[3])
            found = _Found(
                corners=places[:, 1:].cpu().numpy() * 2 + 1,
                strength=values.cpu().numpy(),
                heats=_sigmoid(highest_near(heat, places, reach=1).cpu().numpy()),
                radii=radii.clamp(1.0, settings.largest_radius_um / self.mpp).cpu().numpy(),
                classes=_softmax(logits.cpu().numpy()),
            )
        cells = self._table(self._chosen(found), densities)
        if seconds is not None:
            seconds |= {"wait": clock[1] - clock[0], "network": clock[2] - clock[1]}
            seconds["post"] = time.perf_counter() - clock[2]
        return cells

    def _look(self, pixels: Tensor) -> tuple[Tensor, list[Features]]:
        """Return the heat maps, the mean of all views, and the features of each view."""
        outputs = (
            self.session.run(turn_pixels(pixels, number)) for number in range(int(self.settings.views))
        )
        heat, features = torch.zeros(()), []
        for number, output in enumerate(outputs):
            straight = turn_back_maps(output.heat.float(), number)
            heat = heat + straight if number else straight
            features.append(output.features)
        return (heat / len(features) if len(features) > 1 else heat), features

    def _read(
        self, features: list[Features], places: Tensor, *, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Return the radii and class logits at places of the heat map, the mean of all views."""
        read = []
        for number, view in enumerate(features):
            turned = turn_places(places, number, height=height, width=width)
            radii, logits = self.session.read(view, turned)
            read.append((turn_back_radii(radii, number), logits))
        if len(read) == 1:
            return read[0]
        radii, logits = (torch.stack(column).mean(0) for column in zip(*read, strict=True))
        return radii, logits

    @property
    def _least(self) -> float:
        """Threshold of the lowest peak that may count for anything."""
        settings = self.settings
        told = "tumour" in self.session.network.settings.heats
        least = min(settings.class_thresholds or (settings.threshold,))
        return min(least, settings.tumour_threshold) if told else least

    def _chosen(self, found: _Found) -> _Found:
        """Drop debris, peaks below their heat map's threshold, and those that a stronger one covers."""
        settings, heats = self.settings, self.session.network.settings.heats
        keep = polygon_area(found.radii) * np.float32(self.mpp**2) >= settings.smallest_area_um2
        threshold: float | Floats = settings.threshold
        if settings.class_thresholds and len(found.classes):
            threshold = np.array(settings.class_thresholds, np.float32)[found.classes.argmax(1)]
        enough = found.heats[:, heats.index("nucleus")] >= threshold
        if "tumour" in heats:
            enough |= found.heats[:, heats.index("tumour")] >= settings.tumour_threshold
        found = found.select(keep & enough)
        centres = found.corners[:, ::-1].astype(np.float64)
        return found.select(~stronger_covers(centres, found.radii, found.strength, share=settings.cover))

    def _table(self, found: _Found, densities: Floats | None) -> CellTable:
        """Turn what is kept into cells with measurements."""
        network = self.session.network.settings
        offsets = found.radii[:, :, None] * ray_directions()[None]
        centroid = np.round(polygon_centroid(offsets) * GRID) / GRID
        origin = found.corners[:, ::-1].astype(np.float64)
        measurements = {
            f"{heat}_probability": np.ascontiguousarray(found.heats[:, number])
            for number, heat in enumerate(network.heats)
        }
        if network.classes == ("Negative", "Positive"):
            measurements["positive_probability"] = np.ascontiguousarray(found.classes[:, 1])
        else:
            measurements |= {
                f"{name.lower()}_probability": np.ascontiguousarray(found.classes[:, number])
                for number, name in enumerate(network.classes)
            }
        if densities is not None:
            for name, plane in zip(("hematoxylin_od_mean", "dab_od_mean"), densities, strict=True):
                measurements[name] = mean_inside(plane, found.corners, found.radii, phase=0.0)
        count = len(found.corners)
        labels = found.classes.argmax(1) if network.classes else np.zeros(count)
        return CellTable(
            x=origin[:, 0] + centroid[:, 0],
            y=origin[:, 1] + centroid[:, 1],
            outlines=np.round(offsets * GRID) / GRID + origin[:, None],
            area_um2=(polygon_area(found.radii) * np.float32(self.mpp**2)).astype(np.float32),
            probability=found.heats.max(1).astype(np.float32) if count else np.empty(0, np.float32),
            labels=labels.astype(np.uint8),
            classes=network.classes or (self.unclassed,),
            measurements=measurements,
        )


@dataclass(frozen=True)
class _Found:
    """Peaks and what was read at them, one row each."""

    corners: NDArray[np.int64]
    """Row and column of the origin of the outline, px; it is the corner between four pixels."""
    strength: Floats
    """Highest logit of the heat maps."""
    heats: Floats
    """Probabilities by heat map: (N, heats)."""
    radii: Floats
    """px: (N, rays)."""
    classes: Floats
    """Probabilities by class: (N, classes)."""

    def select(self, rows: NDArray[np.bool_]) -> _Found:
        """Return the chosen rows."""
        return _Found(
            self.corners[rows], self.strength[rows], self.heats[rows], self.radii[rows], self.classes[rows]
        )


def _sigmoid(logits: Floats) -> Floats:
    """Logistic function, in double precision: torch's rounds the last few of an array differently."""
    return np.asarray(1.0 / (1.0 + np.exp(-logits.astype(np.float64))), np.float32)


def _softmax(logits: Floats) -> Floats:
    """Probabilities of the classes of each row, in double precision for the same reason."""
    if not logits.shape[1]:
        return logits
    raised = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    total = raised[:, 0].copy()
    for column in range(1, raised.shape[1]):  # classes, not cells: a fixed order of the sum
        total += raised[:, column]
    return np.asarray(raised / total[:, None], np.float32)


def _logit(probability: float) -> float:
    """Inverse of the logistic function."""
    return float(np.log(probability / (1.0 - probability)))
