"""Adequacy of a cervical specimen: squamous cells, transformation zone, obscured share."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

from ..errors import InvalidTableError, SettingsError
from .assembly import share_score
from .cervical_cellularity import CellEstimate
from .cervical_cutoffs import Preparation, cervical_cutoffs
from .flags import Flag
from .score import Score, Status

SATISFACTORY = "satisfactory for evaluation"
UNSATISFACTORY = "unsatisfactory for evaluation"

_CELLS_RULE = "cervical.cells/1 (TBS 2014: estimated well preserved squamous cells of the preparation)"
_ZONE_RULE = "cervical.transformation-zone/1 (TBS 2014: 10 endocervical or metaplastic cells)"
_OBSCURED_RULE = "cervical.obscured/1 (TBS 2014: share of the squamous cells that cannot be seen)"


@dataclass(frozen=True, slots=True)
class AdequacyEvidence:
    """What was measured of a specimen; None where nobody looked, which is never taken for none."""

    preparation: str
    """Id of a preparation: "thinprep", "surepath" or "conventional"."""
    squamous: CellEstimate | None = None
    obscured: tuple[int, int] | None = None
    """Squamous cells (or their pixels) that blood, inflammation or thickness hide, and all of them."""
    transformation_zone_cells: int | None = None
    """Well preserved endocervical or squamous metaplastic cells."""
    lower_count: str | None = None
    """Why the laboratory accepts fewer cells: "atrophy", "radiation", "chemotherapy" or "hysterectomy"."""
    rejected: str | None = None
    """Why the specimen was not processed: "no label" or "broken slide"."""

    def __post_init__(self) -> None:
        limits = cervical_cutoffs().adequacy
        cervical_cutoffs().preparation(self.preparation)
        if self.lower_count is not None and self.lower_count not in limits.lower_reasons:
            raise SettingsError(
                f"fewer cells because of {self.lower_count!r}",
                f"Choose from {', '.join(limits.lower_reasons)}.",
            )
        if self.rejected is not None and self.rejected not in limits.rejections:
            raise SettingsError(
                f"rejected for {self.rejected!r}", f"Choose from {', '.join(limits.rejections)}."
            )
        if self.obscured is not None and not 0 <= index(self.obscured[0]) <= index(self.obscured[1]):
            raise InvalidTableError(f"obscured {self.obscured} is no share", "Give hidden and all cells.")
        if self.transformation_zone_cells is not None and self.transformation_zone_cells < 0:
            raise InvalidTableError("a negative count of transformation-zone cells", "Give 0 or more.")

    @property
    def minimum_cells(self) -> int:
        """Squamous cells that this specimen needs."""
        cutoffs = cervical_cutoffs()
        if self.lower_count is not None:
            return cutoffs.adequacy.lower_minimum_cells
        return cutoffs.preparation(self.preparation).minimum_cells


@dataclass(frozen=True, slots=True)
class Adequacy:
    """Whether a specimen may be called negative, and what has to be said beside it."""

    verdict: str | None
    """``SATISFACTORY``, ``UNSATISFACTORY``, or None where a person has to decide."""
    reasons: tuple[str, ...]
    """Why it is unsatisfactory or undecided."""
    notes: tuple[str, ...]
    """Quality indicators of the report."""
    transformation_zone: str
    """"present", "absent", "not required" or "not assessed"."""
    flags: tuple[Flag, ...]
    needs_review: bool

    @property
    def statement(self) -> str:
        """One line for the report."""
        because = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return "; ".join(((self.verdict or "adequacy not established") + because, *self.notes))


def judge_adequacy(
    evidence: AdequacyEvidence,
    *,
    has_abnormal_result: bool = False,
    has_open_call: bool = False,
    needs_transformation_zone: bool = True,
) -> Adequacy:
    """Decide whether a specimen is satisfactory.

    Parameters
    ----------
    evidence : AdequacyEvidence
        What was measured.
    has_abnormal_result : bool
        Whether a class from ASC-US or AGC on has enough calls: then the specimen is always satisfactory.
    has_open_call : bool
        Whether there are calls that are too few for any result: then nobody but a person may call the
        specimen unsatisfactory.
    needs_transformation_zone : bool
        False beside HSIL and cancer.

    Returns
    -------
    Adequacy
        Decided on the estimate itself; where its interval holds the minimum, a person is asked.
    """
    zone, zone_flags = _zone(evidence, is_needed=needs_transformation_zone)
    notes = [f"transformation zone component {zone}"] if zone in ("present", "absent") else []
    if evidence.rejected is not None:
        because = (f"specimen rejected: {evidence.rejected}",)
        return Adequacy(UNSATISFACTORY, because, (), "not assessed", (Flag.CERVICAL_REJECTED,), True)
    if zone == "absent" and evidence.lower_count == "atrophy":
        notes.append("the transformation zone is hard to judge in atrophy")
    scant, cell_notes, cell_flags = _cells(evidence)
    hidden, hidden_notes, hidden_flags = _hidden(evidence)
    reasons: tuple[str, ...] = tuple(reason for reason in (scant, hidden) if reason)
    unknown = {Flag.CERVICAL_CELLS_NOT_COUNTED, Flag.CERVICAL_FEW_FIELDS} & set(cell_flags)
    verdict: str | None = SATISFACTORY
    flags = [*cell_flags, *hidden_flags, *zone_flags]
    if has_abnormal_result:
        notes = [*(f"{reason}, satisfactory because of abnormal cells" for reason in reasons), *notes]
        flags += [Flag.CERVICAL_SATISFACTORY_BY_FINDING] if reasons else []
        reasons = ()
    elif reasons:
        verdict = None if has_open_call else UNSATISFACTORY
    elif unknown:
        verdict, reasons = None, ("too little was counted to tell",)
    return Adequacy(
        verdict=verdict,
        reasons=reasons,
        notes=(*cell_notes, *hidden_notes, *notes),
        transformation_zone=zone,
        flags=tuple(flags),
        needs_review=verdict is None or (not has_abnormal_result and bool(_ASK_A_PERSON & set(flags))),
    )


_ASK_A_PERSON = frozenset(
    {
        Flag.CERVICAL_CELLS_NOT_COUNTED,
        Flag.CERVICAL_CELLS_NEAR_MINIMUM,
        Flag.CERVICAL_FEW_FIELDS,
        Flag.CERVICAL_OBSCURED_NOT_MEASURED,
    }
)


def adequacy_scores(evidence: AdequacyEvidence, adequacy: Adequacy) -> tuple[Score, ...]:
    """Return what adequacy rests on: estimated cells with the verdict, transformation zone, obscured share.

    The verdict is the category of the first, whatever it is: "unsatisfactory" is a result of this score, and
    the reason why the interpretation has none.
    """
    estimate = evidence.squamous
    cells = Score(
        name="Squamous cells",
        value=None if estimate is None else estimate.value,
        unit="cells",
        numerator=0 if estimate is None else estimate.counted,
        denominator=evidence.minimum_cells,
        interval=None if estimate is None else estimate.interval,
        status=_cell_status(estimate, adequacy),
        category=None if estimate is None or not estimate.is_enough else adequacy.verdict,
        rule=f"{_CELLS_RULE}; {_preparation(evidence).title}, denominator = cells needed",
        flags=tuple(flag for flag in adequacy.flags if flag in _CELL_FLAGS),
    )
    return (cells, _zone_score(evidence, adequacy), _obscured_score(evidence, adequacy))


_CELL_FLAGS = frozenset(
    {
        Flag.CERVICAL_BORDERLINE_CELLS,
        Flag.CERVICAL_CELLS_NEAR_MINIMUM,
        Flag.CERVICAL_CELLS_NOT_COUNTED,
        Flag.CERVICAL_FEW_FIELDS,
        Flag.CERVICAL_LOWER_COUNT_ACCEPTED,
        Flag.CERVICAL_SCANT_CELLS,
    }
)


def _cells(evidence: AdequacyEvidence) -> tuple[str, list[str], list[Flag]]:
    """Return why there are too few cells (or ""), notes and warnings."""
    estimate, minimum = evidence.squamous, evidence.minimum_cells
    if estimate is None:
        return "", [], [Flag.CERVICAL_CELLS_NOT_COUNTED]
    flags = [] if estimate.is_enough else [Flag.CERVICAL_FEW_FIELDS]
    if estimate.interval.low < minimum <= estimate.interval.high:
        flags.append(Flag.CERVICAL_CELLS_NEAR_MINIMUM)
    if estimate.value < minimum:
        return "scant squamous cells", [], [*flags, Flag.CERVICAL_SCANT_CELLS]
    notes = []
    if evidence.lower_count is not None and estimate.value < _preparation(evidence).minimum_cells:
        notes.append(f"low cellularity, accepted for {evidence.lower_count}")
        flags.append(Flag.CERVICAL_LOWER_COUNT_ACCEPTED)
    elif estimate.value <= _preparation(evidence).borderline_cells:
        notes.append("borderline squamous cellularity")
        flags.append(Flag.CERVICAL_BORDERLINE_CELLS)
    return "", notes, flags


def _hidden(evidence: AdequacyEvidence) -> tuple[str, list[str], list[Flag]]:
    """Return why too much is obscured (or ""), notes and warnings; decided on whole numbers."""
    if evidence.obscured is None or evidence.obscured[1] == 0:
        return "", [], [Flag.CERVICAL_OBSCURED_NOT_MEASURED]
    hidden, cells = evidence.obscured
    limits = cervical_cutoffs().adequacy
    if 100 * hidden > limits.obscured_percent * cells:
        return f"over {limits.obscured_percent} % of squamous cells obscured", [], [Flag.CERVICAL_OBSCURED]
    if 100 * hidden >= limits.partly_obscured_percent * cells:
        return "", ["partially obscured"], [Flag.CERVICAL_PARTLY_OBSCURED]
    return "", [], []


def _zone(evidence: AdequacyEvidence, *, is_needed: bool) -> tuple[str, list[Flag]]:
    """Return the state of the transformation zone; what is there is said even where it is not needed."""
    cells = evidence.transformation_zone_cells
    if cells is not None and cells >= cervical_cutoffs().adequacy.transformation_zone_cells:
        return "present", []
    if not is_needed or evidence.lower_count == "hysterectomy":
        return "not required", []
    if cells is None:
        return "not assessed", [Flag.CERVICAL_ZONE_NOT_ASSESSED]
    return "absent", [Flag.CERVICAL_NO_TRANSFORMATION_ZONE]


def _zone_score(evidence: AdequacyEvidence, adequacy: Adequacy) -> Score:
    """Return the cells of the transformation zone; their absence changes no status."""
    cells = evidence.transformation_zone_cells
    return Score(
        name="Transformation zone cells",
        value=None if cells is None else float(cells),
        unit="cells",
        numerator=cells or 0,
        denominator=cervical_cutoffs().adequacy.transformation_zone_cells,
        interval=None,
        status=Status.NOT_ASSESSABLE if cells is None else Status.OK,
        category=None if cells is None else adequacy.transformation_zone,
        rule=f"{_ZONE_RULE}; denominator = cells needed",
    )


def _obscured_score(evidence: AdequacyEvidence, adequacy: Adequacy) -> Score:
    """Return the obscured share."""
    hidden, cells = evidence.obscured or (0, 0)
    return share_score(hidden, cells, name="Obscured squamous cells", rule=_OBSCURED_RULE, status=Status.OK)


def _cell_status(estimate: CellEstimate | None, adequacy: Adequacy) -> Status:
    """Return how far the estimate may be used; that it is low is its message, not a fault of it."""
    if estimate is None:
        return Status.NOT_ASSESSABLE
    if not estimate.is_enough:
        return Status.INSUFFICIENT
    return Status.REVIEW if adequacy.needs_review else Status.OK


def _preparation(evidence: AdequacyEvidence) -> Preparation:
    """Return the preparation of a specimen."""
    return cervical_cutoffs().preparation(evidence.preparation)
