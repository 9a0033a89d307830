"""What the classical detector takes for a nucleus."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UnmixedNucleiSettings"]


@dataclass(frozen=True)
class UnmixedNucleiSettings:
    """What counts as a nucleus. Lengths are um, densities OD (base 10)."""

    smallest_area_um2: float = 12.0
    """Lymphocytes cut at their rim still pass; debris and pigment do not."""
    largest_area_um2: float = 400.0
    """QuPath's default upper limit."""
    scales_um: tuple[float, ...] = (1.8, 2.6, 3.7)
    """Blob scales sigma; a disc of radius r answers most at r / sqrt(2): nuclei of 2.5, 3.7 and 5.2 um."""
    least_distance_um: float = 3.5
    """Two centres closer than this are one nucleus."""
    claim: float = 1.25
    """A blob drops weaker ones within this many of its sigmas, so a large dark nucleus is not split."""
    join_within_um: float = 6.5
    """Two blobs nearer than this are one nucleus when no lighter gap parts them."""
    gap: float = 0.8
    """A gap is where the density on the way falls below this share of the paler of the two."""
    blob_threshold: float = 0.05
    """Least scale-normalised blob response, OD."""
    least_density: float = 0.0
    """Least mean density of a nucleus, hematoxylin and DAB together, OD; `UnmixedNuclei.fitted` sets it."""
    largest_radius_um: float = 9.0
    """Length of the rays."""
    least_contrast: float = 0.07
    """Least fall from the nucleus to its surroundings, in three quarters of all directions, OD."""
    density_cap: float = 0.9
    """Densities above this say no more about shape; keeps one dark nucleus from hiding a pale neighbour."""
