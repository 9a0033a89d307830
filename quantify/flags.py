"""Short warnings that travel with a score, and the sentence that each one stands for."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class Flag(StrEnum):
    """Warnings that this folder itself raises or knows; a score may carry others as plain strings."""

    ALLRED_CONVENTIONS_DIFFER = "ALLRED_CONVENTIONS_DIFFER"
    AREA_MISSING = "AREA_MISSING"
    AREA_NOT_MEASURED = "AREA_NOT_MEASURED"
    BELOW_SCHEME_MINIMUM = "BELOW_SCHEME_MINIMUM"
    BINS_NOT_OFFICIAL = "BINS_NOT_OFFICIAL"
    CONTROLS_AS_EXPECTED = "CONTROLS_AS_EXPECTED"
    CONTROL_CHECK_NEEDED = "CONTROL_CHECK_NEEDED"
    CONTROL_FAILED = "CONTROL_FAILED"
    CORRECTED_BY_HAND = "CORRECTED_BY_HAND"
    CPS_CAPPED = "CPS_CAPPED"
    CUTOFF_NEEDS_MORE = "CUTOFF_NEEDS_MORE"
    DENSITIES_INCOMPLETE = "DENSITIES_INCOMPLETE"
    EDGE_CORRECTION_SKIPPED = "EDGE_CORRECTION_SKIPPED"
    EMPTY_FIELDS_LEFT_OUT = "EMPTY_FIELDS_LEFT_OUT"
    ER_LOW_POSITIVE = "ER_LOW_POSITIVE"
    EXPERIMENTAL = "EXPERIMENTAL"
    HER2_DUAL_PROBE_NEEDED = "HER2_DUAL_PROBE_NEEDED"
    HER2_FEW_INTENSE_CELLS = "HER2_FEW_INTENSE_CELLS"
    HER2_FEW_STAINED_CELLS = "HER2_FEW_STAINED_CELLS"
    HER2_ISH_RECOUNT_FIRST = "HER2_ISH_RECOUNT_FIRST"
    HER2_ISH_TOO_FEW_CELLS = "HER2_ISH_TOO_FEW_CELLS"
    HER2_MIXED_PATTERN = "HER2_MIXED_PATTERN"
    HER2_REFLEX_ISH = "HER2_REFLEX_ISH"
    HER2_UNUSUAL_PATTERN = "HER2_UNUSUAL_PATTERN"
    HOT_SPOT_BIASED_UPWARD = "HOT_SPOT_BIASED_UPWARD"
    HOT_SPOT_NONE_WITHIN_RADIUS = "HOT_SPOT_NONE_WITHIN_RADIUS"
    HOT_SPOT_TOO_FEW_CELLS = "HOT_SPOT_TOO_FEW_CELLS"
    IMMUNE_CELLS_NOT_COUNTED = "IMMUNE_CELLS_NOT_COUNTED"
    INDICATION_WITHDRAWN = "INDICATION_WITHDRAWN"
    INTERNAL_CONTROL_ABSENT = "INTERNAL_CONTROL_ABSENT"
    LAB_FEW_SLIDES = "LAB_FEW_SLIDES"
    LAB_GRADES_NOT_FITTED = "LAB_GRADES_NOT_FITTED"
    LAB_LEVELS_OVERLAP = "LAB_LEVELS_OVERLAP"
    LAB_NO_BETTER_THAN_START = "LAB_NO_BETTER_THAN_START"
    LAB_PROFILE_OTHER_DETECTOR = "LAB_PROFILE_OTHER_DETECTOR"
    LAB_PROFILE_OTHER_RESOLUTION = "LAB_PROFILE_OTHER_RESOLUTION"
    LAB_THRESHOLDS_UNSTABLE = "LAB_THRESHOLDS_UNSTABLE"
    LAB_THRESHOLD_AT_LIMIT = "LAB_THRESHOLD_AT_LIMIT"
    LAB_WEAK_NOT_FITTED = "LAB_WEAK_NOT_FITTED"
    NO_REFERENCE_COHORT = "NO_REFERENCE_COHORT"
    NO_STAINED_NUCLEI = "NO_STAINED_NUCLEI"
    NO_STROMA = "NO_STROMA"
    NO_TARGET = "NO_TARGET"
    PDL1_NO_STROMA = "PDL1_NO_STROMA"
    NUCLEAR_STAIN = "NUCLEAR_STAIN"
    REFERENCE_COHORT_SMALL = "REFERENCE_COHORT_SMALL"
    REGION_EMPTY = "REGION_EMPTY"
    RESOLUTION_UNKNOWN = "RESOLUTION_UNKNOWN"
    STROMA_NOT_CHECKED = "STROMA_NOT_CHECKED"
    TEST_ANOTHER_SPECIMEN = "TEST_ANOTHER_SPECIMEN"
    TUMOUR_BY_ANNOTATION = "TUMOUR_BY_ANNOTATION"
    TUMOUR_BY_MODEL = "TUMOUR_BY_MODEL"
    TUMOUR_NOT_SEPARATED = "TUMOUR_NOT_SEPARATED"


_TEXT = MappingProxyType(
    {
        Flag.ALLRED_CONVENTIONS_DIFFER: (
            "The share lies on a limit that conventions of the Allred score draw differently."
        ),
        Flag.AREA_MISSING: "Part of the tissue could not be read, so the counts do not cover it.",
        Flag.AREA_NOT_MEASURED: "An area that this score needs was not measured.",
        Flag.BELOW_SCHEME_MINIMUM: "Fewer nuclei than the cut-offs ask for, so no category is given.",
        Flag.BINS_NOT_OFFICIAL: (
            "The bins of this category are no official cut-off, or were not checked against their source."
        ),
        Flag.CONTROLS_AS_EXPECTED: "Internal and external control stained as expected.",
        Flag.CONTROL_CHECK_NEEDED: (
            "Little or weak stain: the state of the internal and the external control has to be "
            "reported with this result."
        ),
        Flag.CONTROL_FAILED: (
            "A control did not stain as expected, so the stain shows nothing and no category is given."
        ),
        Flag.CORRECTED_BY_HAND: "A person changed cells or outlines after the software had found them.",
        Flag.CPS_CAPPED: (
            "More than 100 stained cells per 100 tumour cells; by definition the score is reported as 100."
        ),
        Flag.CUTOFF_NEEDS_MORE: (
            "The cut-off of this indication asks for a measure that is missing, so no category is given."
        ),
        Flag.DENSITIES_INCOMPLETE: (
            "The density score needs all four densities, and one of them could not be assessed."
        ),
        Flag.EDGE_CORRECTION_SKIPPED: (
            "Too few cells lie far enough from the edge of the tissue, so the share is not corrected for it "
            "and reads too low."
        ),
        Flag.EMPTY_FIELDS_LEFT_OUT: "Fields without tumour nuclei have no index and were left out.",
        Flag.ER_LOW_POSITIVE: (
            "ER low positive (1-10 %): few data on the benefit of endocrine therapy; such cancers are "
            "heterogeneous and often behave like ER-negative ones."
        ),
        Flag.EXPERIMENTAL: (
            "Lymphocytes and macrophages could not be told from other immune cells, so scores that "
            "count them are experimental."
        ),
        Flag.HER2_DUAL_PROBE_NEEDED: (
            "A single probe with 4 to under 6 HER2 copies per cell decides nothing: use a dual probe."
        ),
        Flag.HER2_FEW_INTENSE_CELLS: (
            "Less than 1 % of the tumour cells seem to have complete intense stain and were taken for "
            "false ones; if they are real, the guideline calls this 2+."
        ),
        Flag.HER2_FEW_STAINED_CELLS: (
            "One or two cells show membrane stain, too few to tell HER2-ultralow from no stain at all."
        ),
        Flag.HER2_ISH_RECOUNT_FIRST: (
            "In-situ hybridisation of this group with a 2+ needs a blinded recount before it decides."
        ),
        Flag.HER2_ISH_TOO_FEW_CELLS: (
            "In-situ hybridisation rests on fewer nuclei than the guideline asks for."
        ),
        Flag.HER2_MIXED_PATTERN: "Two strengths of stain pass the cut-off together, but neither does alone.",
        Flag.HER2_REFLEX_ISH: "Equivocal: test by in-situ hybridisation, on this specimen or a new one.",
        Flag.HER2_UNUSUAL_PATTERN: (
            "Incomplete moderate to intense stain in many cells, as in micropapillary cancer: such "
            "patterns can be HER2 amplified."
        ),
        Flag.HOT_SPOT_BIASED_UPWARD: (
            "A hot spot is the maximum over many windows and so is biased upward; "
            "its interval does not cover that. Read it beside the global index."
        ),
        Flag.HOT_SPOT_NONE_WITHIN_RADIUS: (
            "Tumour nuclei are too sparse: no window of the asked count fits the largest radius."
        ),
        Flag.HOT_SPOT_TOO_FEW_CELLS: "Fewer tumour nuclei than one hot-spot window must hold.",
        Flag.IMMUNE_CELLS_NOT_COUNTED: (
            "Nobody looked for immune cells, so a score that counts them cannot be given; they were "
            "not taken for none."
        ),
        Flag.INDICATION_WITHDRAWN: "An approval that this cut-off belongs to was withdrawn.",
        Flag.INTERNAL_CONTROL_ABSENT: (
            "The slide holds no internal control, so a failed stain would look the same as a negative tumour."
        ),
        Flag.LAB_FEW_SLIDES: "The laboratory's thresholds rest on few slides.",
        Flag.LAB_GRADES_NOT_FITTED: (
            "The laboratory's profile has no moderate and strong thresholds of its own; start values grade."
        ),
        Flag.LAB_LEVELS_OVERLAP: (
            "Control slides of neighbouring strength overlap, so the thresholds misjudge many cells."
        ),
        Flag.LAB_NO_BETTER_THAN_START: (
            "On slides left out of the fit, the laboratory's thresholds did worse than the start values."
        ),
        Flag.LAB_PROFILE_OTHER_DETECTOR: (
            "The laboratory's thresholds were fitted with another detector, or another version of it."
        ),
        Flag.LAB_PROFILE_OTHER_RESOLUTION: (
            "The laboratory's thresholds were fitted at another working resolution."
        ),
        Flag.LAB_THRESHOLDS_UNSTABLE: (
            "Other slides of the laboratory could have swapped two thresholds: their intervals overlap."
        ),
        Flag.LAB_THRESHOLD_AT_LIMIT: (
            "A threshold of the laboratory lies at an end of the range that was searched."
        ),
        Flag.LAB_WEAK_NOT_FITTED: (
            "The laboratory's profile has no weak threshold of its own; the start value tells positive."
        ),
        Flag.NO_REFERENCE_COHORT: (
            "Without a fixed reference cohort there is no density score, only densities."
        ),
        Flag.NO_STAINED_NUCLEI: "No tumour nucleus is stained, so there is no average intensity.",
        Flag.NO_STROMA: "No stroma was assessed, so there is no area for lymphocytes to be a share of.",
        Flag.NO_TARGET: (
            "The region holds no cell to be near to: distances are infinite, and the share near one is 0."
        ),
        Flag.PDL1_NO_STROMA: "The assay needs stroma beside the tumour cells, and there is none.",
        Flag.NUCLEAR_STAIN: (
            "In many tumour cells the nucleus is browner than the membrane, which does not look like a "
            "membrane marker: no category is given."
        ),
        Flag.REFERENCE_COHORT_SMALL: "The reference cohort has too few patients for fine percentiles.",
        Flag.REGION_EMPTY: "The region has no assessed tissue, so it has no density.",
        Flag.RESOLUTION_UNKNOWN: "The size of a pixel is unknown, so there is no area, density or distance.",
        Flag.STROMA_NOT_CHECKED: (
            "The assay needs stroma beside the tumour cells, and nobody measured whether there is any."
        ),
        Flag.TEST_ANOTHER_SPECIMEN: "ER of 0-10 % without internal control: test another block or specimen.",
        Flag.TUMOUR_BY_ANNOTATION: (
            "A person outlined the tumour; cells outside that outline were not counted."
        ),
        Flag.TUMOUR_BY_MODEL: (
            "A network told tumour nuclei from other cells, one by one; nobody outlined the tumour."
        ),
        Flag.TUMOUR_NOT_SEPARATED: (
            "Tumour nuclei were not told from stroma and inflammation, so the denominator holds other cells."
        ),
    }
)


def explain_flag(flag: str) -> str:
    """Return the sentence that a flag stands for; an unknown flag is returned as it is."""
    return _TEXT[Flag(flag)] if flag in set(Flag) else flag
