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
MIX_TOLERANCE = 1e-6  # of the sum of shares


@dataclass(frozen=True)
class KindFacts:
    """What settings need to know of a kind of phantom, without loading its painter."""

    summary: str
    "One line for lists and messages."
    truth: str
    "Meaning and unit of the truth value."
    default_truth: float
    "Truth taken when none is asked for."
    truth_sets_stroma: bool = False
    "True where the truth is the share of tumour nuclei, so that a stroma share cannot be given beside it."
    default_stroma: float = 0.0
    "Share of stroma and immune nuclei among all nuclei taken when none is asked for."
    takes: tuple[str, ...] = ()
    "Settings of this kind among those that not every kind has: see ``OWN_SETTINGS``."


OWN_SETTINGS = ("intensity_mix", "membrane_mix", "immune_positive")  # that not every kind takes
INTENSITY_MIX = (0.3, 0.4, 0.3)
MEMBRANE_MIX_BESIDE_CI = (0.25, 0.12, 0.25, 0.38)  # how CW, IM, IF and NO share what CI leaves
IMMUNE_POSITIVE = 0.3

KINDS: dict[str, KindFacts] = {
    "ki67": KindFacts(
        summary="Ki-67 immunohistochemistry: nuclear DAB over hematoxylin",
        truth="labelling index: positive tumour nuclei in percent of all tumour nuclei",
        default_truth=24.0,
    ),
    "er": KindFacts(
        summary="estrogen receptor immunohistochemistry: nuclear DAB of three strengths",
        truth="positive tumour nuclei of any strength in percent of all tumour nuclei",
        default_truth=70.0,
        takes=("intensity_mix",),
    ),
    "pr": KindFacts(
        summary="progesterone receptor immunohistochemistry: nuclear DAB of three strengths",
        truth="positive tumour nuclei of any strength in percent of all tumour nuclei",
        default_truth=45.0,
        takes=("intensity_mix",),
    ),
    "her2": KindFacts(
        summary="HER2 immunohistochemistry: DAB on the membranes of tumour cells",
        truth="tumour cells with complete and intense membrane (CI) in percent of all tumour cells",
        default_truth=20.0,
        takes=("membrane_mix",),
    ),
    "pdl1": KindFacts(
        summary="PD-L1 immunohistochemistry: DAB on membranes of tumour cells, and on immune cells",
        truth="tumour proportion score: tumour cells with stained membrane in percent of all tumour cells",
        default_truth=30.0,
        default_stroma=0.4,
        takes=("immune_positive",),
    ),
    "he": KindFacts(
        summary="hematoxylin and eosin: tumour, stroma and lymphocyte nuclei",
        truth="tumour nuclei in percent of all nuclei",
        default_truth=65.0,
        truth_sets_stroma=True,
    ),
    "pap": KindFacts(
        summary="Papanicolaou stain: a thin-layer cervical preparation with abnormal cells",
        truth="abnormal cells in percent of all squamous cells",
        default_truth=1.0,
    ),
    "smear": KindFacts(
        summary="Romanowsky stain: a blood smear with thick part, monolayer and thin part",
        truth="neutrophils in percent of all white cells",
        default_truth=60.0,
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
    "Share of stroma and immune nuclei, 0 to 0.9; None takes the kind's default (he: from the truth)."
    intensity_mix: tuple[float, float, float] | None = None
    "er, pr: shares of weak, moderate and strong among positive nuclei, of sum 1; None is (0.3, 0.4, 0.3)."
    membrane_mix: tuple[float, float, float, float, float] | None = None
    "her2: shares of CI, CW, IM, IF and NO among tumour cells, of sum 1, instead of the truth."
    immune_positive: float | None = None
    "pdl1: share of lymphocytes and macrophages that stain, 0 to 1; None is 0.3."

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _check_names(self)
        _check_size(self)
        _check_shares(self)
        _check_own(self)

    @property
    def truth_percent(self) -> float:
        """Truth asked for, in percent, the kind's default filled in."""
        if self.membrane_mix is not None:
            return 100.0 * self.membrane_mix[0]
        return KINDS[self.kind].default_truth if self.truth is None else float(self.truth)

    @property
    def stroma_nuclei(self) -> float:
        """Share of nuclei that are not of tumour, 0 to 1."""
        if KINDS[self.kind].truth_sets_stroma:
            return 1.0 - self.truth_percent / 100.0
        return KINDS[self.kind].default_stroma if self.stroma_share is None else self.stroma_share

    @property
    def intensity_shares(self) -> tuple[float, float, float]:
        """Shares of weak, moderate and strong among positive nuclei."""
        return INTENSITY_MIX if self.intensity_mix is None else self.intensity_mix

    @property
    def membrane_shares(self) -> tuple[float, ...]:
        """Shares of CI, CW, IM, IF and NO among tumour cells."""
        if self.membrane_mix is not None:
            return self.membrane_mix
        share = self.truth_percent / 100.0
        return (share, *((1.0 - share) * part for part in MEMBRANE_MIX_BESIDE_CI))

    @property
    def immune_positive_share(self) -> float:
        """Share of lymphocytes and macrophages that stain."""
        return IMMUNE_POSITIVE if self.immune_positive is None else self.immune_positive

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


def _check_own(settings: PhantomSettings) -> None:
    """Refuse settings of other kinds, and shares that are none."""
    for name in OWN_SETTINGS:
        value, words = getattr(settings, name), name.replace("_", " ")
        if value is None:
            continue
        kinds = [kind for kind, facts in KINDS.items() if name in facts.takes]
        if settings.kind not in kinds:
            raise SettingsError(
                f"a phantom of kind {settings.kind!r} takes no {words}",
                f"leave it out, or choose the kind {' or '.join(kinds)}",
            )
        if name == "immune_positive":
            _check_range(words, value, (0.0, 1.0))
        else:
            _check_mix(words, value, count=3 if name == "intensity_mix" else 5)


def _check_mix(words: str, mix: tuple[float, ...], *, count: int) -> None:
    shares = len(mix) == count and all(0.0 <= share <= 1.0 for share in mix)
    if not shares or abs(math.fsum(mix) - 1.0) > MIX_TOLERANCE:
        raise SettingsError(
            f"phantom {words} {tuple(mix)!r} is not usable", f"give {count} shares from 0 to 1 of sum 1"
        )
