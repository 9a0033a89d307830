"""What is known of a colorectal slide before any rule is applied: areas, glands and cells, by fragment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import index
from types import MappingProxyType

from ..errors import InvalidTableError
from .colorectal_cutoffs import colorectal_cutoffs


@dataclass(frozen=True, slots=True)
class ClassEvidence:
    """What was found of one class in a fragment or on a whole slide."""

    area_mm2: float = 0.0
    """Area of the glands, or of the tumour epithelium, mm²."""
    regions: int = 0
    """Lesions: glands of the class that lie close together are one."""
    largest_mm2: float = 0.0
    """Area of the largest lesion, mm²."""
    glands: int = 0
    """Glands of this class."""
    confidence: float | None = None
    """Mean probability of the class over that area, 0-1."""
    false_mm2: float = 0.0
    """Area that the network would take for this class or a worse one by mistake, on so much milder tissue as
    was found beside it, mm²; 0 where its mistakes are not known."""

    def __post_init__(self) -> None:
        for name in ("area_mm2", "largest_mm2", "false_mm2"):
            object.__setattr__(self, name, checked_mm2(getattr(self, name)))
        for name in ("regions", "glands"):
            object.__setattr__(self, name, _count(getattr(self, name)))
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise InvalidTableError(f"a confidence of {self.confidence}", "Give a probability, 0 to 1.")

    @property
    def area_um2(self) -> int:
        """Area in whole um², in which it is compared with minimums."""
        return round(self.area_mm2 * 1e6)

    @property
    def is_present(self) -> bool:
        """Whether anything was found."""
        return self.area_um2 > 0 or self.regions > 0 or self.glands > 0


@dataclass(frozen=True, slots=True)
class SignetEvidence:
    """Signet-ring cells that a detector of their own found."""

    cells: int = 0
    densest: int = 0
    """Most cells within any disc of 0.1 mm²; see ``densest_disc``."""
    false_per_mm2: float | None = None
    """False cells that this detector, at this threshold, finds per mm² of tissue without any; None = none."""

    def __post_init__(self) -> None:
        for name in ("cells", "densest"):
            object.__setattr__(self, name, _count(getattr(self, name)))
        if self.densest > self.cells or (self.cells > 0 and not self.densest):
            raise InvalidTableError(
                f"{self.densest} of {self.cells} cells in the densest disc", "Count them with densest_disc."
            )
        if self.false_per_mm2 is not None and not 0 <= self.false_per_mm2 < float("inf"):
            raise InvalidTableError(f"{self.false_per_mm2} false cells per mm2", "Give 0 or more.")


@dataclass(frozen=True, slots=True)
class FragmentEvidence:
    """One connected piece of tissue."""

    name: str
    """"A", "B", ..."""
    tissue_mm2: float
    """Area of its assessed tissue, mm²."""
    classes: Mapping[str, ClassEvidence]
    """By class, of ``normal`` to ``adenocarcinoma``; one that is missing was not found."""
    signet: SignetEvidence | None = None
    """None = nobody looked for signet-ring cells."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tissue_mm2", checked_mm2(self.tissue_mm2))
        object.__setattr__(self, "classes", MappingProxyType(dict(self.classes)))
        known = [entry.id for entry in colorectal_cutoffs().gland_classes]
        unknown = sorted(set(self.classes) - set(known))
        if unknown:
            raise InvalidTableError(
                f"fragment {self.name}: no colorectal class {unknown[0]!r}",
                f"Choose from {', '.join(known)}.",
            )

    def __reduce__(self) -> tuple[object, ...]:
        # a mapping proxy does not pickle, and fragments travel between workers
        return type(self), (self.name, self.tissue_mm2, dict(self.classes), self.signet)


def pool_fragments(fragments: Sequence[FragmentEvidence], *, name: str = "slide") -> FragmentEvidence:
    """Return the evidence of all fragments as if they were one.

    Parameters
    ----------
    fragments : sequence of FragmentEvidence
        Of one slide.
    name : str
        Of the whole.

    Returns
    -------
    FragmentEvidence
        Areas, lesions, glands and cells are summed, confidences weighted with their areas. The largest lesion
        and the densest disc are the greatest of any fragment: neither reaches across glass. Signet-ring cells
        are None if they were looked for nowhere.
    """
    ids = [entry.id for entry in colorectal_cutoffs().gland_classes]
    return FragmentEvidence(
        name,
        sum(fragment.tissue_mm2 for fragment in fragments),
        {key: _pooled(fragment.classes.get(key, NOTHING) for fragment in fragments) for key in ids},
        _pooled_signet([fragment.signet for fragment in fragments if fragment.signet is not None]),
    )


def checked_mm2(area_mm2: float) -> float:
    """Return an area in mm², or say why it is none."""
    area = float(area_mm2)  # a numpy number would not go into JSON
    if not isfinite(area) or area < 0:
        raise InvalidTableError(f"{area_mm2} mm2 is no area", "Give a finite area of 0 or more.")
    return area


def _pooled(parts: Iterable[ClassEvidence]) -> ClassEvidence:
    """Return one class of several fragments."""
    found = list(parts)
    weighted = [(part.confidence, part.area_mm2) for part in found if part.confidence is not None]
    area = sum(weight for _, weight in weighted)
    return ClassEvidence(
        area_mm2=sum(part.area_mm2 for part in found),
        regions=sum(part.regions for part in found),
        largest_mm2=max((part.largest_mm2 for part in found), default=0.0),
        glands=sum(part.glands for part in found),
        # rounding of the sums must not push a mean of ones above 1
        confidence=min(1.0, sum(value * weight for value, weight in weighted) / area) if area else None,
        false_mm2=sum(part.false_mm2 for part in found),
    )


def _pooled_signet(parts: Sequence[SignetEvidence]) -> SignetEvidence | None:
    """Return the signet-ring cells of several fragments."""
    if not parts:
        return None
    rates = [part.false_per_mm2 for part in parts if part.false_per_mm2 is not None]
    return SignetEvidence(
        cells=sum(part.cells for part in parts),
        densest=max(part.densest for part in parts),
        false_per_mm2=max(rates, default=None),
    )


def _count(value: int) -> int:
    """Return a count as a whole number, or say why it is none."""
    count = index(value)
    if count < 0:
        raise InvalidTableError(f"{value} is no count", "Give whole numbers, 0 or more.")
    return count


NOTHING = ClassEvidence()
"""Nothing of a class was found."""
