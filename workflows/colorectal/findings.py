"""What a slide holds, once its maps are whole: fragments, glands, lesions, cells, and their evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...quantify import (
    ClassEvidence,
    FragmentEvidence,
    GradingEvidence,
    SignetEvidence,
    colorectal_cutoffs,
    densest_disc,
)
from .class_maps import SlideMaps
from .classes import LESION_CLASSES
from .fragments import FragmentMap, SpecimenKind, find_fragments
from .glands import GlandTable, find_glands
from .lesions import Lesion, find_lesions
from .plan import GradingPlan
from .tile import SignetCells
from .tissue_reader import Mistakes
from .tumour_buds import BudCandidates, find_buds
from .tumour_field import tumour_evidence

__all__ = ["Findings", "examine", "false_mm2", "uncertain_by_rank"]

RANKS = np.array([colorectal_cutoffs().lesion_class(each.key).rank for each in LESION_CLASSES])
"""(K,) rank of each class of the network, 0 without neoplasia to 3 carcinoma."""


@dataclass(frozen=True)
class Findings:
    """What a slide holds."""

    pieces: FragmentMap
    glands: GlandTable
    lesions: tuple[Lesion, ...]
    """By fragment; within it the severest first."""
    signet: SignetCells | None
    """Signet-ring cells on tissue without artefacts; None: nobody looked."""
    signet_fragment: NDArray[np.int32]
    """(N,) fragment of each of them, from 1."""
    signet_excluded: Mapping[str, int]
    """Signet-ring cells left out, by the artefact they lie in."""
    evidence: tuple[FragmentEvidence, ...]
    """Of each fragment, for the rules."""
    uncertain_by_rank: Mapping[int, float]
    """Area of glands without a certain class, mm2, by the rank that they more likely than not reach."""
    tumour: GradingEvidence | None = None
    """What was measured of a carcinoma on a resection."""
    buds: BudCandidates | None = None
    """Candidate tumour buds of a carcinoma on a resection; None: nobody looked."""

    @property
    def uncertain_mm2(self) -> float:
        """Area of glands without a certain class, mm2."""
        return sum(self.uncertain_by_rank.values())

    @property
    def shown_lesions(self) -> tuple[Lesion, ...]:
        """All lesions but normal glands."""
        return tuple(each for each in self.lesions if each.kind is not LESION_CLASSES[0])

    @property
    def by_severity(self) -> tuple[Lesion, ...]:
        """The same, the severest class of the slide first, then the largest."""
        severity = {each.key: place for place, each in enumerate(LESION_CLASSES)}
        return tuple(
            sorted(self.shown_lesions, key=lambda each: (-severity[each.kind.key], -each.area_mm2, each.name))
        )


def examine(
    plan: GradingPlan,
    maps: SlideMaps,
    *,
    threshold: float,
    kind: SpecimenKind,
    signet_looked_for: bool,
    signet_false_per_mm2: float | None = None,
    mistakes: Mistakes = (),
) -> Findings:
    """Turn the maps of a slide into fragments, glands and lesions.

    Parameters
    ----------
    plan : GradingPlan
        Tissue and quality.
    maps : SlideMaps
        What the networks saw.
    threshold : float
        Probability from which a place is gland.
    kind : {"biopsy", "resection"}
        All tissue of a resection is one fragment.
    signet_looked_for : bool
        Whether no signet-ring cell means that there is none.
    signet_false_per_mm2 : float, optional
        False cells per mm2 of the detector, as far as they are known.
    mistakes : sequence of (int, int, float)
        Share of the area of glands of one rank that the network takes for another, worse one, or beyond.
    """
    pieces = find_fragments(plan.tissue, plan.quality, kind=kind)
    on_maps = _on_map(np.where(plan.quality.assessable(plan.tissue), pieces.labels, 0), pieces, maps)
    glands = find_glands(maps, threshold=threshold, fragments=on_maps)
    lesions = find_lesions(glands, maps, [each.name for each in pieces.fragments])
    signet, excluded = _on_clean_tissue(maps.signet, plan)
    signet_fragment = pieces.at(signet.x, signet.y)
    evidence = tuple(
        FragmentEvidence(
            name=each.name,
            tissue_mm2=each.tissue_mm2,
            classes=_classes_of(number, lesions, mistakes=mistakes),
            signet=_signet_of(
                signet.select(signet_fragment == number), plan.level0_mpp, false_per_mm2=signet_false_per_mm2
            )
            if signet_looked_for
            else None,
        )
        for number, each in enumerate(pieces.fragments, start=1)
    )
    # A biopsy is smaller than the window that has to lie inside the tumour, and has no invasive front.
    tissue, is_resection = on_maps > 0, kind == "resection"
    is_looked_for = is_resection and maps.nuclei is not None
    buds = find_buds(glands, maps, tissue=tissue) if is_looked_for else None
    return Findings(
        pieces=pieces,
        glands=glands,
        lesions=lesions,
        signet=signet if signet_looked_for else None,
        signet_fragment=signet_fragment,
        signet_excluded=excluded,
        evidence=evidence,
        uncertain_by_rank=uncertain_by_rank(glands),
        tumour=tumour_evidence(glands, maps, tissue=tissue, buds=buds) if is_resection else None,
        buds=buds,
    )


def _on_map(labels: NDArray[np.int32], pieces: FragmentMap, maps: SlideMaps) -> NDArray[np.int32]:
    """Return the fragment under the middle of each cell of the gland map."""
    step = maps.downsample / pieces.downsample
    rows, columns = (
        ((np.arange(size) + 0.5) * step).astype(np.intp).clip(0, limit - 1)
        for size, limit in zip(maps.glands.shape, labels.shape, strict=True)
    )
    return np.asarray(labels[rows[:, None], columns])


def uncertain_by_rank(glands: GlandTable) -> dict[int, float]:
    """Return the area of uncertain glands by the rank that they reach with a probability of a half."""
    uncertain = ~glands.is_certain & (glands.fragment > 0)
    area = glands.area_mm2[uncertain]
    # Probability of this rank or a worse one: rank 0 is certain.
    beyond = np.stack(
        [glands.probability[uncertain][:, rank <= RANKS].sum(1) for rank in range(RANKS.max() + 1)], 1
    )
    reached = (beyond >= 0.5).sum(1) - 1
    return {int(rank): float(area[reached == rank].sum()) for rank in np.unique(reached)}


def false_mm2(kind: str, areas: Mapping[str, float], mistakes: Mistakes) -> float:
    """Return the area taken for a class or a worse one by mistake, beside so much milder area."""
    rank = _rank(kind)
    milder = {each: sum(area for key, area in areas.items() if _rank(key) == each) for each in range(rank)}
    # What is left in its own class is the rest, so the odds are what multiplies it.
    return sum(milder[low] * share / (1 - share) for low, high, share in mistakes if high == rank)


def _rank(kind: str) -> int:
    """Return the rank of a class."""
    return colorectal_cutoffs().lesion_class(kind).rank


def _classes_of(fragment: int, lesions: Sequence[Lesion], *, mistakes: Mistakes) -> dict[str, ClassEvidence]:
    """Sum up the lesions of a fragment by class."""
    found = {}
    areas = {
        kind.key: sum(each.area_mm2 for each in lesions if each.fragment == fragment and each.kind is kind)
        for kind in LESION_CLASSES
    }
    for kind in LESION_CLASSES:
        own = [each for each in lesions if each.fragment == fragment and each.kind is kind]
        area = areas[kind.key]
        if own:
            weighted = sum(each.confidence * each.area_mm2 for each in own)
            found[kind.key] = ClassEvidence(
                area_mm2=area,
                regions=len(own),
                largest_mm2=max(each.area_mm2 for each in own),
                glands=sum(each.glands for each in own),
                confidence=min(1.0, weighted / area),
                false_mm2=false_mm2(kind.key, areas, mistakes),
            )
    return found


def _signet_of(cells: SignetCells, mpp: float, *, false_per_mm2: float | None) -> SignetEvidence:
    """Count the signet-ring cells of a fragment, and those in its densest disc."""
    points = np.stack([cells.x, cells.y], 1) * mpp
    disc = densest_disc(points, area_mm2=colorectal_cutoffs().signet_disc_mm2)
    return SignetEvidence(
        cells=len(cells), densest=0 if disc is None else disc.count, false_per_mm2=false_per_mm2
    )


def _on_clean_tissue(cells: SignetCells, plan: GradingPlan) -> tuple[SignetCells, dict[str, int]]:
    """Return the cells that no artefact hides, and how many lie in each kind of artefact."""
    codes = plan.quality.reason_at(cells.x, cells.y)
    counts = np.bincount(codes, minlength=len(plan.quality.reasons))
    excluded = {
        reason: int(count)
        for reason, count in zip(plan.quality.reasons[1:], counts[1:], strict=True)
        if count
    }
    return cells.select(codes == 0), excluded
