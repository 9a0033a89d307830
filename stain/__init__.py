"""Optical density, unmixing and normalisation: functions on arrays."""

from .density import density_to_rgb, rgb_to_density, unmixing_matrix
from .distilled import DistilledTransfer, colour_distance, fit_student
from .h_e_profile import REFERENCE
from .judging import likeness, normalised_median_intensity, structure_kept
from .normalizer import (
    MOST_GAIN,
    check_profile,
    fit_colours,
    fit_normalizer,
    make_normalizer,
    method_of,
    read_colours,
)
from .profile import StainProfile, fit_h_dab, published_h_e, unmix
from .reinhard import ColourStatistics
from .screening import FALLBACKS, can_normalise
from .sets import H_DAB, H_E, H_E_DAB, StainSet, separate_stains
from .tone_transfer import ToneTransfer, look_numbers
from .transfer import (
    BY_NETWORK,
    METHODS,
    ColourNormalizer,
    Normalizer,
    SlideColours,
    Unchanged,
    colours_for,
    is_alike,
)

__all__ = [
    "BY_NETWORK",
    "FALLBACKS",
    "H_DAB",
    "H_E",
    "H_E_DAB",
    "METHODS",
    "MOST_GAIN",
    "REFERENCE",
    "ColourNormalizer",
    "ColourStatistics",
    "DistilledTransfer",
    "Normalizer",
    "SlideColours",
    "StainProfile",
    "StainSet",
    "ToneTransfer",
    "Unchanged",
    "can_normalise",
    "check_profile",
    "colour_distance",
    "colours_for",
    "density_to_rgb",
    "fit_colours",
    "fit_h_dab",
    "fit_normalizer",
    "fit_student",
    "is_alike",
    "likeness",
    "look_numbers",
    "make_normalizer",
    "method_of",
    "normalised_median_intensity",
    "published_h_e",
    "read_colours",
    "rgb_to_density",
    "separate_stains",
    "structure_kept",
    "unmix",
    "unmixing_matrix",
]
