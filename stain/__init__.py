"""Optical density, unmixing and normalisation: functions on arrays."""

from .density import density_to_rgb, rgb_to_density, unmixing_matrix
from .profile import StainProfile, fit_h_dab, published_h_e, unmix

__all__ = [
    "StainProfile",
    "density_to_rgb",
    "fit_h_dab",
    "published_h_e",
    "rgb_to_density",
    "unmix",
    "unmixing_matrix",
]
