"""Nuclei found in unmixed hematoxylin and DAB: blobs, then star-convex outlines. No training.

This is the baseline of every accuracy table. Each step looks no further than `UnmixedNuclei.reach_um`
around a nucleus and none depends on where a tile begins, so tiled and untiled results are equal bit for bit:
rays are sampled at offsets from the seed pixel, never at absolute positions; neighbours limit each other
by a minimum, which has no order; there is no watershed whose flood could come from afar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .blobs import DOG_RATIO, find_seeds, smooth
from .cells import CellTable
from .nuclei_settings import UnmixedNucleiSettings
from .star_outlines import mean_inside, polygon_area, polygon_centroid, ray_directions, trace_radii

__all__ = ["UnmixedNuclei", "UnmixedNucleiSettings"]

Floats = NDArray[np.float32]

UNSTAINED_OD = 0.1
"""Nuclei with less DAB than this tell how dark the counterstain is."""
NUCLEAR_SHARE = 0.4
"""Least density of a nucleus as a share of that of the better-stained unstained nuclei."""
DARKEST_TYPICAL = 0.55
"""Counterstain darker than this, OD, comes from saturated displays, whose pale nuclei are as pale as any."""
FEWEST_SAMPLED = 50
"""With fewer unstained nuclei in the samples the default threshold stays."""
GRID = 64.0
"""Coordinates are whole multiples of 1/64 px: exact sums with tile origins up to 2**46 px."""


@dataclass(frozen=True)
class UnmixedNuclei:
    """The classical detector, for images of unmixed stains."""

    settings: UnmixedNucleiSettings = field(default_factory=UnmixedNucleiSettings)
    """What counts as a nucleus."""

    name = "unmixed-nuclei"
    version = "1"
    mpp = 0.5
    """Resolution that it works at, um per px."""
    stride = 2
    """Blobs are sought on a grid of 2 x 2 px means, so tiles must begin on even pixels."""

    @property
    def reach_um(self) -> float:
        """How far from its centroid anything can influence a nucleus, um.

        A centroid may lie a ray's length from its seed; the seed is limited by neighbours up to two rays
        away; and whether a neighbour is a seed depends on the blob filter (4 sigma), the peaks that may
        claim it, and the window of the local maximum.
        """
        settings = self.settings
        widest = max(settings.scales_um)
        seed = 4.0 * DOG_RATIO * widest + max(settings.claim * widest, settings.join_within_um)
        seed += settings.least_distance_um + 4 * self.mpp
        return 3.0 * settings.largest_radius_um + seed

    def fitted(self, samples: Sequence[Floats], *, mpp: float) -> UnmixedNuclei:
        """Return the detector with its least density fitted to one slide's counterstain.

        Slides differ threefold in how dark unstained nuclei are, and clutter (cytoplasm, fibres) is as
        dark on one as nuclei on another. Two fifths of the density of the better-stained unstained nuclei
        parts the two; the fit is made once per slide, from samples of its tissue.

        Parameters
        ----------
        samples : sequence of (2, H, W) float32 arrays
            Densities of hematoxylin and DAB in windows spread over the tissue; even sides.
        mpp : float
            Resolution, um per px.
        """
        found: list[Floats] = []
        for densities in samples:
            measured = self.detect(densities, mpp=mpp).measurements
            dab = measured["dab_od_mean"]
            found.append((measured["hematoxylin_od_mean"] + dab)[dab < UNSTAINED_OD])
        density = np.concatenate(found or [np.empty(0, np.float32)])
        if len(density) < FEWEST_SAMPLED:
            return self
        typical = min(float(np.percentile(density, 75)), DARKEST_TYPICAL)
        least = round(NUCLEAR_SHARE * typical, 4)
        return replace(self, settings=replace(self.settings, least_density=least))

    def detect(self, densities: Floats, *, mpp: float) -> CellTable:
        """Find nuclei, with outline and mean densities.

        Parameters
        ----------
        densities : (2, H, W) float32 array
            Optical density of hematoxylin and of DAB; even height and width.
        mpp : float
            Resolution, um per px; 0.3-1.0.

        Returns
        -------
        CellTable
            One row per nucleus, sorted by row then column of its seed; measurements
            ``hematoxylin_od_mean`` and ``dab_od_mean`` (mean OD inside the outline).

        Notes
        -----
        Nuclei whose window reaches beyond the image see replicated borders: give a halo of `reach_um`
        and keep those that the core owns.
        """
        nuclear = np.minimum(densities[0] + densities[1], np.float32(self.settings.density_cap))
        seeds, response = find_seeds(nuclear, mpp=mpp, settings=self.settings)
        radii, contrast = trace_radii(smooth(nuclear, 0.6 / mpp), seeds, mpp=mpp, settings=self.settings)
        area = polygon_area(radii) * np.float32(mpp * mpp)
        settings = self.settings
        keep = (area >= settings.smallest_area_um2) & (area <= settings.largest_area_um2)
        keep &= contrast >= settings.least_contrast
        seeds, radii, area = seeds[keep], radii[keep], area[keep]
        hematoxylin, dab = (mean_inside(plane, seeds, radii) for plane in densities)
        dense = hematoxylin + dab >= settings.least_density
        seeds, radii, area, response = seeds[dense], radii[dense], area[dense], response[keep][dense]
        hematoxylin, dab = hematoxylin[dense], dab[dense]
        offsets = radii[:, :, None] * ray_directions()[None]
        centroid = np.round(polygon_centroid(offsets) * GRID) / GRID
        origin = seeds[:, ::-1] + 0.5
        outlines = np.round(offsets.astype(np.float64) * GRID) / GRID + origin[:, None]
        return CellTable(
            x=origin[:, 0] + centroid[:, 0],
            y=origin[:, 1] + centroid[:, 1],
            outlines=outlines,
            area_um2=area,
            probability=np.clip(response / np.float32(0.4), 0, 1).astype(np.float32),
            labels=np.zeros(len(area), np.uint8),
            measurements={"hematoxylin_od_mean": hematoxylin, "dab_od_mean": dab},
        )
