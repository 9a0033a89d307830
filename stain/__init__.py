"""Optical density, unmixing and normalisation: functions on arrays."""

from .density import density_to_rgb, rgb_to_density, unmixing_matrix
from .h_e_profile import REFERENCE
from .judging import likeness, normalised_median_intensity
from .normalizer import fit_colours, fit_normalizer, make_normalizer, method_of, read_colours
from .profile import StainProfile, fit_h_dab, published_h_e, unmix
from .reinhard import ColourStatistics
from .screening import FALLBACKS
from .sets import H_DAB, H_E, H_E_DAB, StainSet, separate_stains
from .transfer import METHODS, Normalizer, SlideColours

__all__ = [
    "FALLBACKS",
    "H_DAB",
    "H_E",
    "H_E_DAB",
    "METHODS",
    "REFERENCE",
    "ColourStatistics",
    "Normalizer",
    "SlideColours",
    "StainProfile",
    "StainSet",
    "density_to_rgb",
    "fit_colours",
    "fit_h_dab",
    "fit_normalizer",
    "likeness",
    "make_normalizer",
    "method_of",
    "normalised_median_intensity",
    "published_h_e",
    "read_colours",
    "rgb_to_density",
    "separate_stains",
    "unmix",
    "unmixing_matrix",
]
