"""Rounding for display: half up, as people expect, never used to decide a category."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from math import isfinite
from types import MappingProxyType

from ..errors import InvalidTableError

PLACES_BY_UNIT = MappingProxyType(
    {
        "CPS": 0,
        "of 300": 0,
        "of 8": 0,
        "of 3": 1,
        "cells/mm²": 0,
        "µm": 1,
        "mm": 2,
        "mm²": 2,
        "rank": 0,
        "cells": 0,
        "lesions": 0,
        "kappa": 2,
        "ICC": 2,
    }
)
"""Decimal places shown for each unit; percent has its own rule, any other unit gets two places."""

PERCENT_DECIMAL_BELOW = 10
"""Percentages under this value are shown with one decimal."""


def round_half_up(value: float, *, places: int = 0) -> Decimal:
    """Round to a number of decimal places, halves away from zero.

    The shortest decimal that stands for the float is what gets rounded, so 2.675 becomes 2.68 although its
    binary value lies just below. Python's own ``round`` would give 2.67, and 2 for 2.5.

    Parameters
    ----------
    value : float
        A finite number, any unit.
    places : int
        Decimal places to keep.

    Returns
    -------
    decimal.Decimal
        With exactly ``places`` decimals; ``str`` of it is what a report shows.

    Raises
    ------
    InvalidTableError
        If ``value`` is NaN or infinite.
    """
    if not isfinite(value):
        raise InvalidTableError(f"{value} cannot be shown", "Report the status instead of a number.")
    exact = value if isinstance(value, int) else Decimal(repr(float(value)))
    return Decimal(exact).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def round_to_step(value: float, *, step: int) -> int:
    """Round to the nearest multiple of ``step``, halves up: 12.5 to the nearest 5 gives 15."""
    exact = Decimal(repr(float(value))) / step
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP)) * step


def show_value(value: float, unit: str) -> str:
    """Return a number as a report shows it, without its unit.

    Parameters
    ----------
    value : float
        In ``unit``.
    unit : str
        "%" gives an integer, or one decimal when the unrounded value is under 10; for others see
        ``PLACES_BY_UNIT``.

    Returns
    -------
    str
        For example "24" for 24.0 %, "5.3" for 5.25 %.
    """
    if unit == "%":
        return str(round_half_up(value, places=1 if value < PERCENT_DECIMAL_BELOW else 0))
    return str(round_half_up(value, places=PLACES_BY_UNIT.get(unit, 2)))
