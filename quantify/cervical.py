"""Cervical cytology: from accepted calls to the interpretation of a slide by the Bethesda System."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..errors import InvalidTableError
from .assembly import assemble
from .cervical_adequacy import UNSATISFACTORY, Adequacy, AdequacyEvidence, adequacy_scores, judge_adequacy
from .cervical_calls import CallCounts
from .cervical_cutoffs import LINES, NILM, CervicalCutoffs, TbsClass, cervical_cutoffs
from .flags import Flag
from .score import Score, SlideResult, Status

MARKER = "Cervical cytology"
HEADLINE = "Bethesda interpretation"
RANK_UNIT = "rank"
CALLS_UNIT = "calls"

_RULE = "cervical.slide/1 (project rule; terms of TBS 2014, Nayar & Wilbur 2015)"
_CALLS_RULE = "cervical.calls/1 (project rule: accepted calls of the class or more severe ones of its line)"
_FINDING_RULE = "cervical.finding/1 (term of TBS 2014; listed beside any interpretation)"


@dataclass(frozen=True, slots=True)
class CervicalEvidence:
    """Everything that a slide's result rests on."""

    calls: CallCounts
    judged: int
    """Cells and groups that were looked at and not excluded; without any there is no result."""
    specimen: AdequacyEvidence | None = None
    """None where adequacy was not measured: then a slide is never called negative."""
    endometrial_cells: int = 0
    """Groups of endometrial cells that look benign."""
    age: int | None = None
    """Of the woman, years."""
    invasion_suspected: bool = False
    """Whether a person saw features suspicious for invasion in a high-grade lesion."""

    @property
    def is_rejected(self) -> bool:
        """Whether the specimen was rejected: then nothing is said of it, organisms included."""
        return self.specimen is not None and self.specimen.rejected is not None

    def __post_init__(self) -> None:
        if self.judged < self.calls.total or self.endometrial_cells < 0:
            raise InvalidTableError(
                f"{self.calls.total} abnormal calls among {self.judged} judged objects",
                "Every accepted call is one of the judged objects, and no count is negative.",
            )


@dataclass(frozen=True, slots=True)
class CervicalCall:
    """What the counts say of a slide, adequacy apart."""

    interpretations: tuple[str, ...]
    """Codes, the most severe first; ("NILM",) without any; empty where only a person may decide."""
    open_calls: Mapping[str, int] = field(default_factory=dict)
    """Calls that ask for a person: too few for their class, and no result explains them."""
    supports: Mapping[str, int] = field(default_factory=dict)
    """Calls of each class or more severe ones of its line."""
    flags: tuple[Flag, ...] = ()

    @property
    def headline(self) -> str | None:
        """The most severe interpretation."""
        return self.interpretations[0] if self.interpretations else None

    @property
    def is_abnormal(self) -> bool:
        """Whether a class from ASC-US or AGC on has enough calls."""
        return self.headline not in (None, NILM)


def interpret_calls(calls: CallCounts, *, cutoffs: CervicalCutoffs | None = None) -> CervicalCall:
    """Apply the hierarchy: in each line the most severe class with enough calls of it or more severe ones.

    Parameters
    ----------
    calls : CallCounts
        From ``count_calls``.
    cutoffs : CervicalCutoffs, optional
        With calibrated counts (``with_rules``); those of the package by default.

    Returns
    -------
    CervicalCall
        Squamous and glandular results stand beside each other. ASC-H on a slide with enough calls of LSIL
        itself gives both: there is no "LSIL-H" in TBS. Severe calls that a milder result does not explain are
        ``open_calls``. Where calls were accepted but no class has enough, the counts would say NILM, and the
        result is left to a person.
    """
    limits = cutoffs or cervical_cutoffs()
    supports = {each.code: _support(each, calls, limits) for line in LINES for each in limits.line(line)}
    found: list[str] = []
    left: dict[str, int] = {}
    for line in LINES:
        results = _line_results(line, calls, supports=supports, cutoffs=limits)
        found.extend(results)
        rank = max((limits.classes[code].rank for code in results), default=0)
        left.update(_unexplained(limits.line(line), calls, rank=rank))
    ordered = sorted(found, key=lambda code: -limits.classes[code].rank)  # ties: squamous before glandular
    if not ordered and calls.total:
        left = {code: number for code in supports if (number := calls.of_class(code))}
        flags: tuple[Flag, ...] = (Flag.CERVICAL_NILM_WITHHELD,)
    else:
        flags = (Flag.CERVICAL_CALLS_UNEXPLAINED,) if left else ()
        ordered = ordered or [NILM]
    return CervicalCall(tuple(ordered), MappingProxyType(left), MappingProxyType(supports), flags)


def score_cervical(
    evidence: CervicalEvidence,
    *,
    cutoffs: CervicalCutoffs | None = None,
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
) -> SlideResult:
    """Assemble what is reported of a slide: interpretation, adequacy, findings, and the calls of each class.

    Parameters
    ----------
    evidence : CervicalEvidence
        Of the slide.
    cutoffs : CervicalCutoffs, optional
        With calibrated counts; those of the package by default.
    excluded : mapping of str to int
        Objects left out, by reason.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" could not be read.
    flags : sequence of str
        Warnings about the slide, passed through.

    Returns
    -------
    SlideResult
        The headline's category is the code of the most severe interpretation and its value the rank, 0-6; its
        numerator the calls that support it, of all judged objects. Further interpretations follow as scores
        of their own. An unsatisfactory specimen is INSUFFICIENT, a rejected one or one without judged objects
        NOT_ASSESSABLE. NILM needs a satisfactory specimen; without one, or with calls that no result
        explains, the status is REVIEW, and where NILM would be wrong there is no category.
    """
    limits = cutoffs or cervical_cutoffs()
    call = interpret_calls(evidence.calls, cutoffs=limits)
    adequacy = _adequacy(evidence, call, cutoffs=limits)
    notes = list(call.flags)
    scores = [_headline(evidence, call, adequacy=adequacy, cutoffs=limits)]
    scores += [
        _interpretation(code, evidence, call, cutoffs=limits, name=f"{HEADLINE}, further")
        for code in call.interpretations[1:]
        if scores[0].status.allows_category
    ]
    if adequacy is None or evidence.specimen is None:
        notes.append(Flag.CERVICAL_ADEQUACY_UNKNOWN)
    else:
        notes += adequacy.flags
        scores += adequacy_scores(evidence.specimen, adequacy)
    scores += _finding_scores(evidence, cutoffs=limits)
    notes += _endometrial_flags(evidence, cutoffs=limits)
    scores += [_calls_score(code, evidence, call) for code in call.supports]
    return assemble(
        MARKER,
        scores,
        is_for_review=False,  # the headline's own status says it
        excluded=excluded,
        areas_mm2=areas_mm2,
        flags=(*flags, *notes),
    )


def report_lines(evidence: CervicalEvidence, *, cutoffs: CervicalCutoffs | None = None) -> tuple[str, ...]:
    """Return adequacy, interpretation and notes in words, in the order of TBS after the specimen's type.

    Codes are spelled out; findings follow whatever the interpretation is.
    """
    limits = cutoffs or cervical_cutoffs()
    call = interpret_calls(evidence.calls, cutoffs=limits)
    adequacy = _adequacy(evidence, call, cutoffs=limits)
    lines = ["adequacy not measured" if adequacy is None else adequacy.statement]
    if evidence.is_rejected:
        return tuple(lines)
    if adequacy is None or adequacy.verdict != UNSATISFACTORY:
        lines += [term_of(code, evidence, cutoffs=limits) for code in call.interpretations]
        if not call.interpretations:
            lines.append("No interpretation: single abnormal cells have to be looked at")
    lines += [limits.findings[code].term for code in listed_findings(evidence.calls.findings, cutoffs=limits)]
    return (*lines, *endometrial_note(evidence, cutoffs=limits))


def term_of(code: str, evidence: CervicalEvidence, *, cutoffs: CervicalCutoffs | None = None) -> str:
    """Return the exact term of an interpretation; a high-grade lesion may be suspicious for invasion."""
    found = (cutoffs or cervical_cutoffs()).tbs_class(code)
    is_longer = evidence.invasion_suspected and found.addition
    return f"{found.term}, {found.addition}" if is_longer else found.term


def listed_findings(
    findings: Mapping[str, int], *, cutoffs: CervicalCutoffs | None = None
) -> tuple[str, ...]:
    """Return the codes of findings with enough calls, in the order of TBS; legacy labels never appear."""
    limits = cutoffs or cervical_cutoffs()
    return tuple(
        each.code
        for each in limits.findings.values()
        if each.reported and findings.get(each.code, 0) >= each.calls
    )


def endometrial_note(
    evidence: CervicalEvidence, *, cutoffs: CervicalCutoffs | None = None
) -> tuple[str, ...]:
    """Return what is said of benign-looking endometrial cells: something from 45 years on, else nothing.

    At an unknown age the cells are named without the term, and a flag asks for the age.
    """
    limits = cutoffs or cervical_cutoffs()
    if not evidence.endometrial_cells:
        return ()
    if evidence.age is None:
        return ("Endometrial cells; to be reported from 45 years on, and the age is not known",)
    if evidence.age < limits.endometrial_from_age:
        return ()
    results = interpret_calls(evidence.calls, cutoffs=limits).interpretations
    ending = f", {limits.no_lesion}" if results == (NILM,) else ""
    return (limits.endometrial_term + ending,)


def asc_sil_ratio(interpretations: Iterable[Sequence[str]]) -> tuple[int, int, float | None]:
    """Return slides with ASC, slides with SIL, and their ratio, which tells how readily ASC is called.

    Parameters
    ----------
    interpretations : iterable of sequence of str
        The codes of each slide. A slide is counted once: with SIL (LSIL, HSIL) if it has any, else with ASC
        (ASC-US, ASC-H); cancers and glandular results count for neither.

    Returns
    -------
    (int, int, float or None)
        None without a slide with SIL.
    """
    slides = [frozenset(codes) for codes in interpretations]
    is_sil = [bool(codes & {"LSIL", "HSIL"}) for codes in slides]
    sil = sum(is_sil)
    asc = sum(
        bool(codes & {"ASC-US", "ASC-H"}) for codes, lesion in zip(slides, is_sil, strict=True) if not lesion
    )
    return asc, sil, asc / sil if sil else None


def _support(of: TbsClass, calls: CallCounts, cutoffs: CervicalCutoffs) -> int:
    """Return the counting calls of a class and of all more severe ones of its line.

    Of kinds of equal rank (those of AGC) the first, not otherwise specified, holds the others too.
    """
    members = cutoffs.line(of.line)
    general = next(each for each in members if each.rank == of.rank)
    least = of.rank if of is general else of.rank + 1
    own = calls.counting.get(of.code, 0) if of is not general else 0
    return own + sum(calls.counting.get(each.code, 0) for each in members if each.rank >= least)


def _line_results(
    line: str, calls: CallCounts, *, supports: Mapping[str, int], cutoffs: CervicalCutoffs
) -> tuple[str, ...]:
    """Return the result of one line, if any; two for ASC-H beside LSIL."""
    members = cutoffs.line(line)
    first = next((each for each in members if supports[each.code] >= each.calls), None)
    if first is None:
        return ()
    alike = [each for each in members if each.rank == first.rank]
    named = [each for each in alike if calls.counting.get(each.code, 0)]
    is_one_kind = len(named) == 1 and supports[named[0].code] >= named[0].calls
    code = named[0].code if is_one_kind else alike[0].code  # several kinds of AGC, or too few of one: NOS
    low = cutoffs.classes["LSIL"]
    has_both = code == "ASC-H" and calls.counting.get(low.code, 0) >= low.calls
    return (code, low.code) if has_both else (code,)


def _unexplained(members: Sequence[TbsClass], calls: CallCounts, *, rank: int) -> dict[str, int]:
    """Return calls more severe than a line's result of classes of which one call asks for a person."""
    severe = (each for each in members if each.rank > rank and each.forces_review)
    return {each.code: number for each in severe if (number := calls.of_class(each.code))}


def _adequacy(evidence: CervicalEvidence, call: CervicalCall, *, cutoffs: CervicalCutoffs) -> Adequacy | None:
    """Judge the specimen beside its interpretation."""
    if evidence.specimen is None:
        return None
    return judge_adequacy(
        evidence.specimen,
        has_abnormal_result=call.is_abnormal,
        has_open_call=bool(call.open_calls),
        needs_transformation_zone=call.headline is None or cutoffs.classes[call.headline].tzone_needed,
    )


def _headline(
    evidence: CervicalEvidence, call: CervicalCall, *, adequacy: Adequacy | None, cutoffs: CervicalCutoffs
) -> Score:
    """Return the first interpretation with the status that evidence and specimen allow."""
    status = _status(call, adequacy)
    if evidence.is_rejected or not evidence.judged:
        status = Status.NOT_ASSESSABLE
    is_negative_unproved = call.headline == NILM and (adequacy is None or adequacy.verdict is None)
    code = None if is_negative_unproved else call.headline
    return _interpretation(code, evidence, call, cutoffs=cutoffs, status=status)


def _status(call: CervicalCall, adequacy: Adequacy | None) -> Status:
    """Return how far the interpretation may be used."""
    if adequacy is not None and adequacy.verdict == UNSATISFACTORY:
        return Status.INSUFFICIENT
    asks = bool(call.open_calls) or not call.interpretations
    if not call.is_abnormal:
        asks = asks or adequacy is None or adequacy.needs_review
    return Status.REVIEW if asks else Status.OK


def _interpretation(
    code: str | None,
    evidence: CervicalEvidence,
    call: CervicalCall,
    *,
    cutoffs: CervicalCutoffs,
    name: str = HEADLINE,
    status: Status = Status.OK,
) -> Score:
    """Return one interpretation as a score; calls left to a person show the rank of the worst of them."""
    shown = [NILM if code is None else code] if call.interpretations else list(call.open_calls)
    rank = max(cutoffs.classes[each].rank for each in shown)
    is_there = status is not Status.NOT_ASSESSABLE
    return Score(
        name=name,
        value=float(rank) if is_there else None,
        unit=RANK_UNIT,
        numerator=call.supports.get(code or NILM, 0) if call.interpretations else evidence.calls.total,
        denominator=evidence.judged,
        interval=None,
        status=status,
        category=code if status.allows_category else None,
        rule=f"{_RULE}; cut-offs of {cutoffs.as_of}",
    )


def _finding_scores(evidence: CervicalEvidence, *, cutoffs: CervicalCutoffs) -> list[Score]:
    """Return organisms and other findings, with any interpretation of a specimen that was not rejected."""
    calls = {} if evidence.is_rejected else evidence.calls.findings
    return [
        Score(
            name=cutoffs.findings[code].term,
            value=float(calls[code]),
            unit=CALLS_UNIT,
            numerator=calls[code],
            denominator=evidence.judged,
            interval=None,
            status=Status.OK,
            category=cutoffs.findings[code].kind,
            rule=_FINDING_RULE,
        )
        for code in listed_findings(calls, cutoffs=cutoffs)
    ]


def _endometrial_flags(evidence: CervicalEvidence, *, cutoffs: CervicalCutoffs) -> tuple[Flag, ...]:
    """Return the warning about endometrial cells that fits the age."""
    if not endometrial_note(evidence, cutoffs=cutoffs):
        return ()
    return (Flag.CERVICAL_AGE_UNKNOWN if evidence.age is None else Flag.CERVICAL_ENDOMETRIAL_CELLS,)


def _calls_score(code: str, evidence: CervicalEvidence, call: CervicalCall) -> Score:
    """Return how many calls support a class."""
    is_there = evidence.judged > 0
    return Score(
        name=f"{code} or more severe",
        value=float(call.supports[code]) if is_there else None,
        unit=CALLS_UNIT,
        numerator=call.supports[code],
        denominator=evidence.judged,
        interval=None,
        status=Status.OK if is_there else Status.NOT_ASSESSABLE,
        category=None,
        rule=_CALLS_RULE,
    )
