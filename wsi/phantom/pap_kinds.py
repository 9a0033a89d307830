"""The cells of a Pap phantom: sizes in um2, N:C ratios and stains by kind, and what a slide shall hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ...errors import SettingsError
from .scanner import SCANNERS
from .settings import MPP_RANGE, PhantomSettings, _check_range, _check_size

__all__ = ["ABNORMAL", "KINDS_OF_CELL", "MIX", "CellKind", "PapSettings"]

MOST_PLANES = 15
DENSITY_RANGE = (0.0, 1500.0)
MIX: Mapping[str, float] = MappingProxyType({"ASC-US": 0.3, "LSIL": 0.3, "ASC-H": 0.2, "HSIL": 0.2})
"""How the abnormal cells of a slide that is asked for by its truth alone are shared out."""


@dataclass(frozen=True)
class CellKind:
    """How cells of one kind look."""

    nucleus_um2: float
    """Mean area of the nucleus."""
    nc: float
    """Mean area of the nucleus over that of the whole cell."""
    hematoxylin: float
    """Mean optical density of the nucleus."""
    cyan: float
    """Optical density of the cytoplasm's blue-green."""
    pink: float = 0.0
    """Optical density of the cytoplasm's eosin."""
    spread: float = 0.10
    """Standard deviation of the nuclear area, as a share of it."""
    ragged: float = 0.03
    """How irregular the nucleus' outline is, share of its radius."""
    stretch: float = 1.15
    """Long over short axis of the nucleus."""
    halo: bool = False
    """A clear zone around the nucleus."""
    grain: float = 0.16
    """Contrast of the chromatin."""
    group: tuple[int, int] = (1, 1)
    """Least and most cells of a group."""
    crowded: bool = False
    """Whether the cells of a group lie close together, as in sheets."""


KINDS_OF_CELL: Mapping[str, CellKind] = MappingProxyType(
    {
        "superficial": CellKind(20.0, 0.014, 0.95, 0.02, pink=0.16, spread=0.12, grain=0.05),
        "intermediate": CellKind(35.0, 0.028, 0.62, 0.13, pink=0.02),
        "metaplastic": CellKind(50.0, 0.21, 0.62, 0.24, group=(1, 4)),
        "endocervical": CellKind(48.0, 0.30, 0.60, 0.16, group=(6, 14), crowded=True),
        "neutrophil": CellKind(38.0, 0.42, 1.05, 0.05, spread=0.15, grain=0.06),
        "ASC-US": CellKind(96.0, 0.080, 0.70, 0.14, spread=0.04, ragged=0.05, group=(1, 2)),
        "LSIL": CellKind(150.0, 0.130, 0.86, 0.15, spread=0.12, ragged=0.06, halo=True, group=(1, 3)),
        "ASC-H": CellKind(70.0, 0.46, 0.82, 0.22, spread=0.06, ragged=0.06, group=(1, 3)),
        "HSIL": CellKind(85.0, 0.66, 1.00, 0.24, spread=0.10, ragged=0.12, grain=0.30, group=(1, 5)),
        "SCC": CellKind(
            130.0, 0.70, 1.15, 0.10, pink=0.26, ragged=0.16, stretch=2.0, grain=0.34, group=(1, 4)
        ),
        "AGC-NOS": CellKind(95.0, 0.55, 0.92, 0.20, ragged=0.07, stretch=1.5, group=(6, 12), crowded=True),
    }
)
"""After the sizes of the Bethesda System: the intermediate nucleus is 35 um2, all others follow."""
ABNORMAL = tuple(name for name in KINDS_OF_CELL if name.isupper() or name.startswith("AGC"))


@dataclass(frozen=True)
class PapSettings:
    """Settings of one Pap phantom; the same settings give the same bytes.

    Raises
    ------
    SettingsError
        If a value is outside its range or a class is not known.
    """

    width: int = 4096
    """Width in level-0 px, at least 512."""
    height: int = 4096
    """Height in level-0 px, at least 512."""
    mpp: float = 0.5
    """Resolution in um per level-0 px, 0.1 to 1; 0.5 is the usual 20x scan of cytology."""
    seed: int = 1
    """Which slide: a non-negative integer."""
    scanner: str = "a"
    """Look: "a" or "b", as for the other phantoms."""
    squamous_per_mm2: float = 120.0
    """Superficial and intermediate cells; 120 on a ThinPrep disc are 38 000."""
    superficial_share: float = 0.3
    """Share of superficial ones among them, 0 to 1."""
    neutrophils_per_mm2: float = 60.0
    """Neutrophils, single and in pairs."""
    metaplastic: int = 12
    """Groups of metaplastic cells on the slide."""
    endocervical: int = 3
    """Sheets of endocervical cells on the slide."""
    lesions: Mapping[str, int] = field(default_factory=dict)
    """Groups of abnormal cells by class, such as ``{"HSIL": 4}``; without any the slide is negative."""
    planes: int = 1
    """Focal planes, each a file of its own if there are several; odd numbers have one in the middle."""
    plane_step_um: float = 3.0
    """Distance of neighbouring planes, um."""
    depth_um: float = 8.0
    """With several planes cells lie so far from top to bottom, um; with one all are in focus."""
    compression: str = "jpeg"
    """Tile compression: "jpeg" or "none"."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _check_size(self)  # type: ignore[arg-type]
        _check_range("mpp", self.mpp, MPP_RANGE)
        for name in ("squamous_per_mm2", "neutrophils_per_mm2"):
            _check_range(name.replace("_", " "), getattr(self, name), DENSITY_RANGE)
        _check_range("superficial share", self.superficial_share, (0.0, 1.0))
        unknown = sorted(set(self.lesions) - set(ABNORMAL))
        if unknown or any(number < 0 for number in self.lesions.values()):
            raise SettingsError(
                f"a Pap phantom with {dict(self.lesions)}", f"choose groups of: {', '.join(ABNORMAL)}"
            )
        if not 1 <= self.planes <= MOST_PLANES or self.scanner not in SCANNERS:
            raise SettingsError(
                f"a Pap phantom with {self.planes} planes on scanner {self.scanner!r}",
                f"choose 1 to {MOST_PLANES} planes, and a scanner of {', '.join(SCANNERS)}",
            )

    @property
    def area_mm2(self) -> float:
        """Area of the slide, mm2."""
        return self.width * self.height * (self.mpp / 1000) ** 2

    @property
    def plane_heights(self) -> tuple[float, ...]:
        """Height of each focal plane against the middle, um, from the lowest on."""
        middle = (self.planes - 1) / 2
        return tuple((number - middle) * self.plane_step_um for number in range(self.planes))

    @classmethod
    def of(cls, settings: PhantomSettings) -> PapSettings:
        """Return what the settings of any phantom ask for: so many percent of the squamous cells abnormal."""
        plain = cls(
            width=settings.width,
            height=settings.height,
            mpp=settings.mpp,
            seed=settings.seed,
            scanner=settings.scanner,
            compression=settings.compression,
        )
        share = settings.truth_percent / 100
        cells = plain.squamous_per_mm2 * plain.area_mm2 * share / max(1.0 - share, 0.1)
        groups = {
            code: round(cells * part / (sum(KINDS_OF_CELL[code].group) / 2)) for code, part in MIX.items()
        }
        if share and not any(groups.values()):
            groups["LSIL"] = 1  # a small slide asked to be abnormal is
        return cls(**{**plain.__dict__, "lesions": groups})
