"""Short warnings that travel with a score, and the sentence that each one stands for."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class Flag(StrEnum):
    """Warnings that this folder itself raises or knows; a score may carry others as plain strings."""

    AREA_MISSING = "AREA_MISSING"
    BELOW_SCHEME_MINIMUM = "BELOW_SCHEME_MINIMUM"
    EMPTY_FIELDS_LEFT_OUT = "EMPTY_FIELDS_LEFT_OUT"
    HOT_SPOT_BIASED_UPWARD = "HOT_SPOT_BIASED_UPWARD"
    HOT_SPOT_NONE_WITHIN_RADIUS = "HOT_SPOT_NONE_WITHIN_RADIUS"
    HOT_SPOT_TOO_FEW_CELLS = "HOT_SPOT_TOO_FEW_CELLS"
    TUMOUR_BY_MODEL = "TUMOUR_BY_MODEL"
    TUMOUR_NOT_SEPARATED = "TUMOUR_NOT_SEPARATED"


_TEXT = MappingProxyType(
    {
        Flag.AREA_MISSING: "Part of the tissue could not be read, so the counts do not cover it.",
        Flag.BELOW_SCHEME_MINIMUM: "Fewer nuclei than the cut-offs ask for, so no category is given.",
        Flag.EMPTY_FIELDS_LEFT_OUT: "Fields without tumour nuclei have no index and were left out.",
        Flag.HOT_SPOT_BIASED_UPWARD: (
            "A hot spot is the maximum over many windows and so is biased upward; "
            "its interval does not cover that. Read it beside the global index."
        ),
        Flag.HOT_SPOT_NONE_WITHIN_RADIUS: (
            "Tumour nuclei are too sparse: no window of the asked count fits the largest radius."
        ),
        Flag.HOT_SPOT_TOO_FEW_CELLS: "Fewer tumour nuclei than one hot-spot window must hold.",
        Flag.TUMOUR_BY_MODEL: (
            "A network told tumour nuclei from other cells, one by one; nobody outlined the tumour."
        ),
        Flag.TUMOUR_NOT_SEPARATED: (
            "Tumour nuclei were not told from stroma and inflammation, so the denominator holds other cells."
        ),
    }
)


def explain_flag(flag: str) -> str:
    """Return the sentence that a flag stands for; an unknown flag is returned as it is."""
    return _TEXT[Flag(flag)] if flag in set(Flag) else flag
