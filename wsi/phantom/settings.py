"""What a phantom slide shall be: kind, size, resolution, truth, scanner, artefacts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ...errors import SettingsError
from .scanner import SCANNERS

MIN_SIDE_PX = 512
MAX_SIDE_PX = 1_000_000
MIN_SIDE_UM = 120.0  # a piece of tissue of at least some twenty cells, with glass around it
MPP_RANGE = (0.1, 1.0)
FRACTION_RANGE = (0.01, 0.6)
MAX_STROMA_SHARE = 0.9
COMPRESSIONS = ("jpeg", "none")


@dataclass(frozen=True)
class KindFacts:
    """What settings need to know of a kind of phantom, without loading its painter."""

    summary: str
    "One line for lists and messages."
    truth: str
    "Meaning and unit of the truth value."
    default_truth: float
    "Truth taken when none is asked for."
    truth_sets_stroma: bool
    "True where the truth is the share of tumour nuclei, so that a stroma share cannot be given beside it."


KINDS: dict[str, KindFacts] = {
    "ki67": KindFacts(
        summary="Ki-67 immunohistochemistry: nuclear DAB over hematoxylin",
        truth="labelling index: positive tumour nuclei in percent of all tumour nuclei",
        default_truth=24.0,
        truth_sets_stroma=False,
    ),
    "he": KindFacts(
        summary="hematoxylin and eosin: tumour, stroma and lymphocyte nuclei",
        truth="tumour nuclei in percent of all nuclei",
        default_truth=65.0,
        truth_sets_stroma=True,
    ),
}


@dataclass(frozen=True)
class PhantomSettings:
    """Settings of one phantom slide; the same settings give the same bytes.

    Raises
    ------
    SettingsError
        If a value is outside its range or a name is not known.
    """

    kind: str = "ki67"
    "Kind of slide: a key of ``KINDS``."
    width: int = 8192
    "Width in level-0 px, at least 512."
    height: int = 8192
    "Height in level-0 px, at least 512."
    mpp: float = 0.25
    "Resolution in um per level-0 px, 0.1 to 1; 0.25 is the usual 40x scan."
    truth: float | None = None
    "The kind's truth in percent, 0 to 100; None takes the kind's default."
    seed: int = 1
    "Which tissue: a non-negative integer. Scanner, resolution and compression do not change the tissue."
    scanner: str = "a"
    'Look: "a" (bluish white, mild) or "b" (warmer, more contrast, sharpened, noisier).'
    tissue_fraction: float = 0.22
    "Largest share of the slide's area that is tissue, 0.01 to 0.6; 0.22 is usual for a resection slide."
    artefacts: bool = True
    "Paint a pen stroke, folds, out-of-focus patches, air bubbles and debris, with known outlines."
    compression: str = "jpeg"
    'Tile compression: "jpeg" or "none".'
    stroma_share: float | None = None
    "Share of stroma and lymphocyte nuclei among all nuclei (ki67), 0 to 0.9; None is 0 (he: from the truth)."

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _check_names(self)
        _check_size(self)
        _check_shares(self)

    @property
    def truth_percent(self) -> float:
        """Truth asked for, in percent, the kind's default filled in."""
        return KINDS[self.kind].default_truth if self.truth is None else float(self.truth)

    @property
    def stroma_nuclei(self) -> float:
        """Share of nuclei that are not of tumour, 0 to 1."""
        if KINDS[self.kind].truth_sets_stroma:
            return 1.0 - self.truth_percent / 100.0
        return self.stroma_share or 0.0

    def rescanned(self, *, scanner: str, mpp: float | None = None) -> PhantomSettings:
        """Return the settings of the same tissue on another scanner, at another resolution if given."""
        mpp = self.mpp if mpp is None else mpp
        ratio = self.mpp / mpp
        return replace(
            self, scanner=scanner, mpp=mpp, width=round(self.width * ratio), height=round(self.height * ratio)
        )


def _check_names(settings: PhantomSettings) -> None:
    _check_choice("kind", settings.kind, tuple(KINDS))
    _check_choice("scanner", settings.scanner, tuple(SCANNERS))
    _check_choice("compression", settings.compression, COMPRESSIONS)


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SettingsError(f"unknown phantom {name} {value!r}", f"choose one of: {', '.join(known)}")


def _check_size(settings: PhantomSettings) -> None:
    for name in ("width", "height"):
        _check_whole(name, getattr(settings, name), low=MIN_SIDE_PX, high=MAX_SIDE_PX)
    _check_whole("seed", settings.seed, low=0, high=2**63 - 1)
    _check_range("mpp", settings.mpp, MPP_RANGE)
    side = min(settings.width, settings.height) * settings.mpp
    if side < MIN_SIDE_UM:
        raise SettingsError(
            f"phantom of {side:.0f} um has no room for tissue",
            f"give width and height of at least {math.ceil(MIN_SIDE_UM / settings.mpp)} px at this mpp",
        )


def _check_whole(name: str, value: object, *, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(
            f"phantom {name} {value!r} is not usable", f"give an integer from {low} to {high}"
        )


def _check_range(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:  # also refuses NaN
        raise SettingsError(
            f"phantom {name} {value!r} is not usable", f"give a value from {low:g} to {high:g}"
        )


def _check_shares(settings: PhantomSettings) -> None:
    _check_range("tissue fraction", settings.tissue_fraction, FRACTION_RANGE)
    facts = KINDS[settings.kind]
    if settings.truth is not None:
        _check_range("truth", settings.truth, (0.0, 100.0))
    if settings.stroma_share is None:
        return
    if facts.truth_sets_stroma:
        raise SettingsError(
            f"a phantom of kind {settings.kind!r} takes no stroma share",
            f"give the truth instead: {facts.truth}",
        )
    _check_range("stroma share", settings.stroma_share, (0.0, MAX_STROMA_SHARE))
