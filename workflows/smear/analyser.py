"""What the analyser and a reader's eye add to a smear: options for one smear, a CSV list for many."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...errors import InvalidTableError, SettingsError, SlideNotFoundError
from ...quantify import BloodCount

__all__ = ["NO_BLOOD", "BloodFacts", "read_analyser"]

NRBC = "nrbc"
TRUE = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
BOOLEANS = ("counts_nrbc", "suspects", "is_neonate")
NUMBERS = tuple(each.name for each in fields_of(BloodCount) if each.name not in BOOLEANS)
COLUMNS = ("smear", *NUMBERS, *BOOLEANS, NRBC)


@dataclass(frozen=True)
class BloodFacts:
    """What is known of one sample beside its smear."""

    blood: BloodCount = field(default_factory=BloodCount)
    """By the analyser, and of the patient."""
    nrbc_per_100: int | None = None
    """Nucleated red cells per 100 white cells, counted by a person; no network here finds them."""

    def __post_init__(self) -> None:
        if self.nrbc_per_100 is not None and self.nrbc_per_100 < 0:
            raise SettingsError(f"{self.nrbc_per_100} nucleated red cells", "Give 0 or more.")

    def to_json(self) -> dict[str, Any]:
        """Return what is known, as plain values."""
        told = {each.name: getattr(self.blood, each.name) for each in fields_of(BloodCount)}
        known = {name: value for name, value in told.items() if value not in (None, False)}
        return known if self.nrbc_per_100 is None else known | {NRBC: self.nrbc_per_100}


NO_BLOOD = BloodFacts()
"""Nothing is known but the smear."""


def read_analyser(path: Path) -> Mapping[str, BloodFacts]:
    """Read the analyser's results of many samples, by the id of the smear.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with the column ``smear`` (id of the smear: name of its folder or file), and any of
        ``wbc`` (10⁹/L), ``counts_nrbc`` (yes or no), ``rbc`` (10¹²/L), ``platelets`` (10⁹/L),
        ``haemoglobin`` and ``haemoglobin_upper`` (g/dL), ``mcv`` (fL), ``rdw`` (%), ``mchc`` and
        ``mchc_upper`` (g/dL), ``suspects``, ``age`` (years), ``is_neonate``, ``hours``, and ``nrbc`` (per
        100 white cells, by eye). Empty cells are unknown.

    Raises
    ------
    SlideNotFoundError
        If there is no such file.
    InvalidTableError
        If a column is unknown or a value is wrong; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SlideNotFoundError(f"cannot read {path}: {error}", "Give a CSV file.") from error
    reader = csv.DictReader(text.splitlines())
    strange = sorted(set(reader.fieldnames or ()) - set(COLUMNS))
    if "smear" not in (reader.fieldnames or ()) or strange:
        raise InvalidTableError(
            f"{path.name}: no column smear, or unknown columns ({', '.join(strange)})",
            f"Columns are {', '.join(COLUMNS)}.",
        )
    found: dict[str, BloodFacts] = {}
    for row in reader:
        try:
            name = (row.pop("smear") or "").strip()
            facts = _facts({key: (value or "").strip() for key, value in row.items()})
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise InvalidTableError(f"{path.name}, line {reader.line_num}: {error}", "Correct it.") from error
        if not name or name in found:
            raise InvalidTableError(
                f"{path.name}, line {reader.line_num}: smear {name!r} is empty or listed twice",
                "Give one line per smear.",
            )
        found[name] = facts
    return MappingProxyType(found)


def _facts(row: Mapping[str, str]) -> BloodFacts:
    """Return the facts of one line."""
    values: dict[str, Any] = {}
    for name, text in row.items():
        if text and name in BOOLEANS:
            values[name] = TRUE[text.lower()]
        elif text and name in NUMBERS:
            values[name] = float(text)
    nrbc = row.get(NRBC, "")
    return BloodFacts(BloodCount(**values), int(nrbc) if nrbc else None)
