"""Platelets of a blood smear: mean per oil field times a factor, or their ratio to red cells."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from operator import index

from ..errors import InvalidTableError, SettingsError
from .area import microscope_field_mm2
from .blood_smear_cutoffs import blood_smear_cutoffs
from .count_interval import checked_counts, mean_count_interval, odds_interval
from .flags import Flag
from .score import Score, Status

GIGA_UNIT = "10⁹/L"
_PER_UL_IN_GIGA_PER_L = 1000
_THOUSAND_PER_TERA = 1000  # 10⁹ in 10¹²


@dataclass(frozen=True, slots=True)
class PlateletFields:
    """Platelets counted in fields of one size."""

    counts: tuple[int, ...]
    part: str = "monolayer"
    """Of the smear: "monolayer" or "wedge"."""
    field_mm2: float | None = None
    """Area of an image that is no whole oil field; None if each is one."""
    clumps: bool | None = None
    """Whether platelets clump; None where nobody looked."""
    satellitism: bool | None = None
    """Whether platelets surround white cells."""
    factor: int | None = None
    """The laboratory's own, platelets per uL for each platelet per oil field; None: the published one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", tuple(index(count) for count in self.counts))
        checked_counts(self.counts)
        factors = blood_smear_cutoffs().platelets.factors
        if self.part not in factors or (self.factor is not None and self.factor < 1):
            raise SettingsError(
                f"platelets of the part {self.part!r} with the factor {self.factor}",
                f"Choose from {', '.join(factors)}; a factor is positive.",
            )
        if self.field_mm2 is not None and not (isfinite(self.field_mm2) and self.field_mm2 > 0):
            raise SettingsError(f"fields of {self.field_mm2} mm²", "Give the positive area of an image.")

    @property
    def oil_fields_per_image(self) -> float:
        """How much of a 100x oil field an image shows."""
        return 1.0 if self.field_mm2 is None else self.field_mm2 / oil_field_mm2()

    @property
    def is_suppressed(self) -> bool:
        """Whether clumps or satellitism make any number wrong."""
        return bool(self.clumps) or bool(self.satellitism)

    @property
    def status(self) -> Status:
        """What the counted fields allow."""
        if self.is_suppressed:
            return Status.NOT_ASSESSABLE
        fields = len(self.counts) * self.oil_fields_per_image
        return Status.OK if fields >= blood_smear_cutoffs().platelets.fields else Status.INSUFFICIENT


def oil_field_mm2() -> float:
    """Return the area of the oil field that the factors are meant for: 100x, field number 22, 0.038 mm²."""
    limits = blood_smear_cutoffs().platelets
    return microscope_field_mm2(limits.field_number, objective=limits.objective)


def platelets_per_field(fields: PlateletFields) -> Score:
    """Return the mean number of platelets per oil field; 8-20 is normal.

    Returns
    -------
    Score
        NOT_ASSESSABLE and flagged with clumps or satellitism; INSUFFICIENT under 10 oil fields' worth.
    """
    limits, status = blood_smear_cutoffs().platelets, fields.status
    mean = Fraction(sum(fields.counts), len(fields.counts))
    scale = 1 / fields.oil_fields_per_image
    per_field = mean if fields.field_mm2 is None else float(mean) * scale  # exact where nothing is scaled
    category = "normal"
    if not limits.normal_from <= per_field <= limits.normal_upto:
        category = "low" if per_field < limits.normal_from else "high"
    is_there = status is not Status.NOT_ASSESSABLE
    return Score(
        name="Platelets per oil field",
        value=float(per_field) if is_there else None,
        unit="per field",
        numerator=sum(fields.counts),
        denominator=len(fields.counts),
        interval=mean_count_interval(fields.counts).times(scale) if is_there else None,
        status=status,
        category=category if status.allows_category else None,
        rule=f"smear.platelets-per-field/1 ({limits.source})",
        flags=_field_flags(fields),
    )


def platelet_estimate(fields: PlateletFields, *, analyser: float | None = None) -> Score:
    """Return the estimated platelet count: mean per oil field x 15 000 (monolayer) or 20 000 (wedge) per uL.

    Parameters
    ----------
    fields : PlateletFields
        From the smear.
    analyser : float, optional
        The analyser's count, 10⁹/L; a difference of more than 25 % of it is flagged.

    Returns
    -------
    Score
        10⁹/L. Its interval covers the fields, not the factor.
    """
    limits = blood_smear_cutoffs().platelets
    per_field = platelets_per_field(fields)
    factor = limits.factors[fields.part] if fields.factor is None else fields.factor
    flags = list(per_field.flags) + ([Flag.SMEAR_FACTOR_NOT_CALIBRATED] if fields.factor is None else [])
    value = None if per_field.value is None else per_field.value * factor / _PER_UL_IN_GIGA_PER_L
    if value is not None and analyser is not None and not _agrees(value, analyser):
        flags.append(Flag.SMEAR_PLATELETS_DISAGREE)
    scale = factor / _PER_UL_IN_GIGA_PER_L
    return Score(
        name="Platelet estimate",
        value=value,
        unit=GIGA_UNIT,
        numerator=per_field.numerator,
        denominator=per_field.denominator,
        interval=None if per_field.interval is None else per_field.interval.times(scale),
        status=per_field.status,
        category=None,
        rule=f"smear.platelet-estimate/1 (x {factor} per µL, {fields.part})",
        flags=tuple(flags),
    )


def platelet_ratio(platelets: int, red_cells: int, *, rbc: float, is_suppressed: bool = False) -> Score:
    """Return the platelet count by the ratio method: platelets / red cells seen x red-cell count.

    Parameters
    ----------
    platelets, red_cells : int
        Counted in the same fields.
    rbc : float
        Red cells by the analyser, 10¹²/L.
    is_suppressed : bool
        Whether clumps or satellitism forbid a number.

    Returns
    -------
    Score
        10⁹/L; INSUFFICIENT under 1000 red cells.
    """
    seen, cells = index(platelets), index(red_cells)
    if seen < 0 or cells < 0 or not (isfinite(rbc) and rbc > 0):
        raise InvalidTableError(
            f"{platelets} platelets, {red_cells} red cells, {rbc} x 10¹²/L",
            "Counts are 0 or more, RBC above.",
        )
    limits = blood_smear_cutoffs().platelets
    is_there = cells > 0 and not is_suppressed
    scale = rbc * _THOUSAND_PER_TERA
    status = Status.OK if cells >= limits.ratio_red_cells else Status.INSUFFICIENT
    return Score(
        name="Platelets by ratio to red cells",
        value=seen * scale / cells if is_there else None,
        unit=GIGA_UNIT,
        numerator=seen,
        denominator=cells,
        interval=odds_interval(seen, cells).times(scale) if is_there else None,
        status=status if is_there else Status.NOT_ASSESSABLE,
        category=None,
        rule="smear.platelet-ratio/1 (platelets / red cells x RBC)",
        flags=(Flag.SMEAR_PLATELET_CLUMPS,) if is_suppressed else (),
    )


def _agrees(value: float, analyser: float) -> bool:
    """Whether an estimate lies within 25 % of the analyser's count."""
    percent = blood_smear_cutoffs().platelets.agrees_within_percent
    return 100 * abs(value - analyser) <= percent * analyser


def _field_flags(fields: PlateletFields) -> tuple[Flag, ...]:
    """Return what is wrong with the fields."""
    if fields.is_suppressed:
        return (Flag.SMEAR_PLATELET_CLUMPS,)
    flags = [Flag.SMEAR_CLUMPS_NOT_LOOKED_FOR] if fields.clumps is None else []
    return (*flags, Flag.SMEAR_FEW_FIELDS) if fields.status is Status.INSUFFICIENT else tuple(flags)
