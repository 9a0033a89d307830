"""Rectangles in level-0 pixels."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import RegionError

__all__ = ["Region"]


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in level-0 pixels, half open, origin at the upper left of the slide.

    Parameters
    ----------
    x, y : int
        Upper left corner, level-0 px; may be negative (outside the slide).
    width, height : int
        Size, level-0 px; at least 1.

    Raises
    ------
    RegionError
        If a value is not a whole number or the size is below 1.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in ("x", "y", "width", "height"):
            value = getattr(self, name)
            if int(value) != value:
                raise RegionError(
                    f"region {name} = {value} is not a whole number of pixels", "round it to level-0 pixels"
                )
            object.__setattr__(self, name, int(value))
        if self.width < 1 or self.height < 1:
            raise RegionError(
                f"region of {self.width} x {self.height} px is empty", "ask for at least 1 x 1 px"
            )

    @property
    def right(self) -> int:
        """First column to the right of the region, level-0 px."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the region, level-0 px."""
        return self.y + self.height

    def intersection(self, other: Region) -> Region | None:
        """Return the common part of both regions, or None where they do not overlap."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        if right <= left or bottom <= top:
            return None
        return Region(left, top, right - left, bottom - top)

    def __str__(self) -> str:
        return f"x {self.x}..{self.right}, y {self.y}..{self.bottom}"
