"""Subtypes of colorectal carcinoma that have a share: signet-ring cell, mucinous and others."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from operator import index

from ..errors import InvalidTableError
from .colorectal_cutoffs import colorectal_cutoffs
from .colorectal_evidence import checked_mm2
from .score import Score, Status

USUAL = "adenocarcinoma NOS"
SIGNET_RING_TYPE = "signet-ring cell carcinoma"
SIGNET_RING_FEATURES = "with signet-ring features"
MUCINOUS = "mucinous adenocarcinoma"
MIXED = "mixed neuroendocrine (MiNEN)"
MICROPAPILLARY = "micropapillary adenocarcinoma"
ADENOMA_LIKE = "adenoma-like adenocarcinoma"

BY_PATTERN = ("medullary", "serrated", "adenosquamous", "undifferentiated", "sarcomatoid")
"""Subtypes by pattern, without any share: a person has to name them."""


@dataclass(frozen=True, slots=True)
class SubtypeEvidence:
    """What was measured of a carcinoma; None = not measured, which rules nothing out."""

    signet_cells: int | None = None
    tumour_cells: int | None = None
    """All tumour cells, signet-ring cells among them."""
    mucin_mm2: float | None = None
    """Extracellular mucin within the tumour, mm²."""
    tumour_mm2: float | None = None
    """The tumour with its mucin, mm²."""
    micropapillary_mm2: float | None = None
    adenoma_like_mm2: float | None = None
    invasive_mm2: float | None = None
    """The invasive part of the tumour, mm²."""
    neuroendocrine_mm2: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None:
                checked = checked_mm2(value) if name.endswith("mm2") else index(value)
                object.__setattr__(self, name, checked)
        for part, whole in _PARTS:
            _check_part(self, part, whole=whole)


_PARTS = (
    ("signet_cells", "tumour_cells"),
    ("mucin_mm2", "tumour_mm2"),
    ("micropapillary_mm2", "tumour_mm2"),
    ("neuroendocrine_mm2", "tumour_mm2"),
    ("adenoma_like_mm2", "invasive_mm2"),
)


@dataclass(frozen=True, slots=True)
class Subtype:
    """What a carcinoma is called."""

    name: str
    also: tuple[str, ...] = ()
    """Other subtypes whose share it reaches, and features."""
    is_measured: bool = True
    """Whether both signet-ring cells and mucin were measured, so that "NOS" means something."""


def colorectal_subtype(evidence: SubtypeEvidence) -> Subtype:
    """Return the subtype by the shares of the WHO; signet-ring cells are tested first, then mucin.

    Parameters
    ----------
    evidence : SubtypeEvidence

    Returns
    -------
    Subtype
        Signet-ring cell carcinoma above 50 % of the tumour cells; mucinous above 50 % of the tumour's area;
        mixed neuroendocrine with 30 % or more of each part; micropapillary from 5 %; adenoma-like from 50 %
        of the invasive area; else "adenocarcinoma NOS". Signet-ring cells of 50 % or less are "with
        signet-ring features".

    Notes
    -----
    A tumour can pass 50 % by cells and by area at once, so the order is a rule: the project's own.
    """
    cutoffs = colorectal_cutoffs().subtype
    signet = _percent(evidence, "signet_cells")
    mucin = _percent(evidence, "mucin_mm2")
    mixed = _percent(evidence, "neuroendocrine_mm2")
    micropapillary = _percent(evidence, "micropapillary_mm2")
    adenoma_like = _percent(evidence, "adenoma_like_mm2")
    fits = {
        SIGNET_RING_TYPE: signet is not None and signet > cutoffs.signet_above,
        MUCINOUS: mucin is not None and mucin > cutoffs.mucinous_above,
        MIXED: mixed is not None and min(mixed, 100 - mixed) >= cutoffs.mixed_from,
        MICROPAPILLARY: micropapillary is not None and micropapillary >= cutoffs.micropapillary_from,
        ADENOMA_LIKE: adenoma_like is not None and adenoma_like >= cutoffs.adenoma_like_from,
    }
    found = [name for name, holds in fits.items() if holds] or [USUAL]
    has_features = bool(signet) and not fits[SIGNET_RING_TYPE]
    return Subtype(
        found[0],
        (*found[1:], *((SIGNET_RING_FEATURES,) if has_features else ())),
        is_measured=signet is not None and mucin is not None,
    )


def subtype_scores(evidence: SubtypeEvidence) -> tuple[Score, ...]:
    """Return the shares of signet-ring cells and mucin, the first of those measured with the subtype."""
    subtype = colorectal_subtype(evidence)
    text = ", ".join((subtype.name, *subtype.also))
    scores: list[Score] = []
    for name, part, whole in (
        ("Signet-ring cells of tumour cells", "signet_cells", "tumour_cells"),
        ("Mucin of tumour area", "mucin_mm2", "tumour_mm2"),
    ):
        percent = _percent(evidence, part)
        if percent is None:
            continue
        scores.append(
            Score(
                name=name,
                value=float(percent),
                unit="%",
                numerator=_whole(evidence, part),
                denominator=_whole(evidence, whole),
                interval=None,
                status=Status.OK if subtype.is_measured else Status.REVIEW,
                category=None if scores else text,
                rule=f"colorectal.subtype/1 ({colorectal_cutoffs().subtype.source})",
            )
        )
    return tuple(scores)


def _percent(evidence: SubtypeEvidence, part: str) -> Fraction | None:
    """Return a part in exact percent of its whole; None if either was not measured, or the whole is empty."""
    whole = dict(_PARTS)[part]
    if getattr(evidence, part) is None or getattr(evidence, whole) is None or not _whole(evidence, whole):
        return None
    return Fraction(100 * _whole(evidence, part), _whole(evidence, whole))


def _whole(evidence: SubtypeEvidence, name: str) -> int:
    """Return a count as it is, an area in whole um²."""
    value = getattr(evidence, name)
    return round(value * 1e6) if name.endswith("mm2") else int(value)


def _check_part(evidence: SubtypeEvidence, part: str, *, whole: str) -> None:
    """Check that a part is no more than its whole."""
    value, total = getattr(evidence, part), getattr(evidence, whole)
    if value is not None and (value < 0 or (total is not None and value > total)):
        raise InvalidTableError(
            f"{part} of {value} in {whole} of {total}", "Measure a part within its whole."
        )
