"""How large a pixel is, where that was read, and whether it can be believed.

Every source that a file offers becomes a :class:`Candidate`; :func:`judge` turns them into one
:class:`Resolution`. Nothing is guessed: a value that is missing, implausible, anisotropic or contradicted by
another source is reported but not trusted, and only ``--mpp`` overrides it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ResolutionError

__all__ = ["Candidate", "Resolution", "judge", "override"]

PLAUSIBLE_UM = (0.05, 5.0)
"""Least and greatest believable um per level-0 pixel: a 100x scan has about 0.1, an overview about 5."""

MOST_ANISOTROPY = 0.05
"""Greatest relative difference of x and y: an area is then at most 5 % wrong along either axis."""

MOST_DISAGREEMENT = 0.10
"""Greatest relative difference of two sources: above it one of them describes another image."""

SAME = 0.001
"""Relative difference below which two sources say the same and the second is not worth a line."""

POWER_NOTE_FACTOR = 1.6
"""Ratio to 10 / objective power that is worth a note; 3DHISTECH scans 20x at 0.23 um and is right."""

POWER_CONFLICT_FACTOR = 4.0
"""Ratio to 10 / objective power that no camera explains: a decimal point or a pyramid level is off."""

POWER_SOURCE = "objective-power"
ADVICE = "state the true um per pixel of the full-resolution image, for example --mpp 0.5 (20x) or 0.25 (40x)"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One source's statement of the resolution.

    Parameters
    ----------
    source : str
        Where it was read, for example ``"aperio.MPP"``.
    x, y : float
        um per level-0 pixel.
    """

    source: str
    x: float
    y: float

    @property
    def mean(self) -> float:
        """Geometric mean of x and y, um per px."""
        return math.sqrt(self.x * self.y)


@dataclass(frozen=True)
class Resolution:
    """Resolution of level 0 with its source and its standing.

    Parameters
    ----------
    x, y : float or None
        um per level-0 pixel as the source states it; None where no source states any.
    source : str
        ``"openslide.mpp-x"``, ``"aperio.MPP"``, ``"tiff:XResolution"``, ``"ome:PhysicalSizeX"``,
        ``"dicom:PixelSpacing"``, ``"objective-power"``, ``"user"``, ... or ``"none"``.
    trusted : bool
        Whether sizes may be computed from it.
    candidates : tuple of Candidate
        Every source seen, most specific first.
    problems : tuple of str
        Why it is not trusted, and conflicts that are worth knowing; one line each.
    """

    x: float | None
    y: float | None
    source: str
    trusted: bool
    candidates: tuple[Candidate, ...] = ()
    problems: tuple[str, ...] = ()

    def require(self) -> float:
        """Return um per level-0 pixel (geometric mean of x and y) if it can be trusted.

        Raises
        ------
        ResolutionError
            If the resolution is not trusted; the advice names ``--mpp``.
        """
        if not self.trusted or self.x is None or self.y is None:
            raise ResolutionError("; ".join(self.problems) or "the resolution is unknown", ADVICE)
        return math.sqrt(self.x * self.y)


def judge(candidates: Sequence[Candidate], *, objective_power: float | None = None) -> Resolution:
    """Decide which resolution a file has and whether to believe it.

    The first candidate is the file's statement; the others can only confirm or contradict it. An implausible
    second source (the 72 dpi that image libraries write by default) is noted and otherwise ignored.

    Parameters
    ----------
    candidates : sequence of Candidate
        Statements in order of preference, without the objective-power estimate.
    objective_power : float or None
        Nominal magnification of the objective, for example 20.

    Returns
    -------
    Resolution
        Not trusted where there is no statement, or where the first is outside 0.05-5 um, differs in x and y
        by more than 5 %, is contradicted by more than 10 % by a plausible other, or is 4 times off
        10 / objective power (a factor of 1.6 is only noted: 3DHISTECH scans 20x at 0.23 um).
    """
    estimate = _estimate_from_power(objective_power)
    seen = (*candidates, *estimate)
    if not candidates:
        return _unknown(seen, objective_power)
    first = candidates[0]
    doubts = _own_doubts(first)
    notes: list[str] = []
    for other in candidates[1:]:
        if _difference(first.mean, other.mean) < SAME:
            continue
        if not _is_plausible(other):
            notes.append(f"ignored {other.source} = {_show(other)}: outside {_range()}")
        elif (problem := _conflict(first, other)) is not None:
            doubts.append(problem)
    if estimate and _is_plausible(first):
        _compare_with_power(first, power=objective_power or 0.0, doubts=doubts, notes=notes)
    return Resolution(first.x, first.y, first.source, not doubts, seen, tuple(doubts + notes))


def override(found: Resolution, *, mpp: float) -> Resolution:
    """Replace what the file says with the user's value, and keep the record of what it said.

    Parameters
    ----------
    found : Resolution
        What :func:`judge` made of the file.
    mpp : float
        um per level-0 pixel, 0.05-5.

    Raises
    ------
    ResolutionError
        If ``mpp`` is outside 0.05-5 um.
    """
    stated = Candidate("user", float(mpp), float(mpp))
    if not _is_plausible(stated):
        raise ResolutionError(
            f"--mpp {mpp:g} is outside {_range()}", "give um per pixel of the full-resolution image"
        )
    if found.x is None or found.source == POWER_SOURCE:
        note = f"user's {stated.x:g} um/px is used; the file states none"
    else:
        was = Candidate(found.source, found.x, found.y or found.x)
        note = f"user's {stated.x:g} um/px overrides {was.source} = {_show(was)}"
        if _is_plausible(was) and _difference(stated.mean, was.mean) > MOST_DISAGREEMENT:
            note += f", which differs by {_difference(stated.mean, was.mean):.0%}"
    return Resolution(stated.x, stated.y, "user", True, found.candidates, (note,))


def _estimate_from_power(power: float | None) -> tuple[Candidate, ...]:
    """Return 10 / power as a candidate, the convention 40x = 0.25 um, never trusted by itself."""
    if power is None or not math.isfinite(power) or power <= 0:
        return ()
    return (Candidate(POWER_SOURCE, 10.0 / power, 10.0 / power),)


def _unknown(seen: tuple[Candidate, ...], power: float | None) -> Resolution:
    """Return the resolution of a file that states none."""
    if not seen:
        return Resolution(None, None, "none", False, (), ("the file does not state its um per pixel",))
    guess = seen[0]
    problem = (
        f"the file does not state its um per pixel; its {power:g}x objective suggests about {guess.x:.3g}, "
        "which is no measurement"
    )
    return Resolution(guess.x, guess.y, POWER_SOURCE, False, seen, (problem,))


def _own_doubts(candidate: Candidate) -> list[str]:
    """Return what is wrong with a statement taken alone."""
    if not _is_plausible(candidate):
        return [f"{candidate.source} = {_show(candidate)} is outside {_range()}"]
    difference = _difference(candidate.x, candidate.y)
    if difference > MOST_ANISOTROPY:
        return [f"{candidate.source} = {_show(candidate)}: x and y differ by {difference:.0%}"]
    return []


def _conflict(first: Candidate, other: Candidate) -> str | None:
    """Return the contradiction of two statements, if any."""
    difference = _difference(first.mean, other.mean) if _is_plausible(first) else math.inf
    if difference <= MOST_DISAGREEMENT:
        return None
    return f"{first.source} = {_show(first)} contradicts {other.source} = {_show(other)}"


def _compare_with_power(first: Candidate, *, power: float, doubts: list[str], notes: list[str]) -> None:
    """Add a doubt or a note where the resolution does not fit the objective."""
    factor = first.mean * power / 10.0
    factor = max(factor, 1.0 / factor)
    usual = f"the {10.0 / power:.3g} um usual at {power:g}x"
    line = f"{first.source} = {_show(first)} is {factor:.1f} times off {usual}"
    if factor > POWER_CONFLICT_FACTOR:
        doubts.append(line)
    elif factor > POWER_NOTE_FACTOR:
        notes.append(line)


def _is_plausible(candidate: Candidate) -> bool:
    """Whether both axes lie in the believable range (NaN does not)."""
    least, most = PLAUSIBLE_UM
    return least <= candidate.x <= most and least <= candidate.y <= most


def _difference(a: float, b: float) -> float:
    """Relative difference, of the smaller."""
    return max(a, b) / min(a, b) - 1.0


def _show(candidate: Candidate) -> str:
    """Return the value in words, one number where x equals y."""
    x, y = f"{candidate.x:.4g}", f"{candidate.y:.4g}"
    return f"{x} um" if x == y else f"{x} x {y} um"


def _range() -> str:
    """Return the believable range in words."""
    return f"the plausible {PLAUSIBLE_UM[0]:g}-{PLAUSIBLE_UM[1]:g} um"
