"""Evidence of colorectal fragments, and scores by their names, for tests."""

from __future__ import annotations

from slidelab.quantify import (
    ClassEvidence,
    FragmentEvidence,
    Score,
    SignetEvidence,
    SlideResult,
)

NONE_SEEN = SignetEvidence()
UM2 = 1e-6
NORMAL = ClassEvidence(1.0, 2, 0.6, 50)


def of(area_mm2: float, *, glands: int = 1, confidence: float | None = 0.9) -> ClassEvidence:
    """Return evidence of one lesion."""
    return ClassEvidence(area_mm2, 1, area_mm2, glands, confidence)


def fragment(
    name: str = "A",
    *,
    tissue_mm2: float = 5.0,
    signet: SignetEvidence | None = NONE_SEEN,
    **classes: ClassEvidence,
) -> FragmentEvidence:
    """Return a fragment with the given classes."""
    return FragmentEvidence(name, tissue_mm2, classes, signet)


def score_of(result: SlideResult, name: str) -> Score:
    """Return a score by its name."""
    return next(score for score in result.scores if score.name == name)
