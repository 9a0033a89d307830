"""Texts of a page, each bound to the place in the record that it shows, in rows and sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...quantify import round_half_up

__all__ = ["Figure", "RecordWriter", "Row", "Section", "words"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A text on the page and the place in the record that it shows."""

    text: str
    """As displayed."""
    path: str = ""
    """Keys joined by dots, such as ``scores.0.value``; empty for words of the layout."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    cells: tuple[Figure, ...]
    """From left to right; the first names the line."""
    is_strong: bool = False
    """Whether it is a total."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its heading."""

    title: str
    """Heading."""
    rows: tuple[Row, ...]
    """Lines."""
    head: tuple[str, ...] = ()
    """Names of the columns; none for a list of facts."""


@dataclass(frozen=True, slots=True)
class RecordWriter:
    """Turns places of the record into figures."""

    record: Mapping[str, Any]

    def get(self, path: str) -> Any:
        """Return what stands at a place."""
        value: Any = self.record
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list | tuple) else value[key]
        return value

    def text(self, path: str) -> Figure:
        """Show a text as it is."""
        value = self.get(path)
        return Figure("\N{EM DASH}" if value in (None, "") else str(value), path)

    def count(self, path: str) -> Figure:
        """Show a whole number with thousands apart."""
        return Figure(f"{self.get(path):,}", path)

    def number(self, path: str, *, places: int) -> Figure:
        """Show a number with a fixed count of decimals, or a dash."""
        value = self.get(path)
        return Figure("\N{EM DASH}" if value is None else f"{round_half_up(value, places=places):,}", path)

    def numbers(self, path: str, *, places: int) -> list[Figure]:
        """Show the numbers of a list."""
        return [self.number(f"{path}.{place}", places=places) for place in range(len(self.get(path)))]


def words(text: str) -> Figure:
    """Words of the layout, which show no place of the record."""
    return Figure(text)
