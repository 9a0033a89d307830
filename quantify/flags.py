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
    BUDDING_FIELD_SMALL = "BUDDING_FIELD_SMALL"
    BUDDING_HOLDS_FALSE = "BUDDING_HOLDS_FALSE"
    BUDDING_NEAR_LIMIT = "BUDDING_NEAR_LIMIT"
    BUDDING_NOT_COUNTED = "BUDDING_NOT_COUNTED"
    CERVICAL_ADEQUACY_UNKNOWN = "CERVICAL_ADEQUACY_UNKNOWN"
    CERVICAL_AGE_UNKNOWN = "CERVICAL_AGE_UNKNOWN"
    CERVICAL_BORDERLINE_CELLS = "CERVICAL_BORDERLINE_CELLS"
    CERVICAL_CALLS_UNEXPLAINED = "CERVICAL_CALLS_UNEXPLAINED"
    CERVICAL_CELLS_NEAR_MINIMUM = "CERVICAL_CELLS_NEAR_MINIMUM"
    CERVICAL_CELLS_NOT_COUNTED = "CERVICAL_CELLS_NOT_COUNTED"
    CERVICAL_ENDOMETRIAL_CELLS = "CERVICAL_ENDOMETRIAL_CELLS"
    CERVICAL_FEW_FIELDS = "CERVICAL_FEW_FIELDS"
    CERVICAL_LOWER_COUNT_ACCEPTED = "CERVICAL_LOWER_COUNT_ACCEPTED"
    CERVICAL_NILM_WITHHELD = "CERVICAL_NILM_WITHHELD"
    CERVICAL_NO_TRANSFORMATION_ZONE = "CERVICAL_NO_TRANSFORMATION_ZONE"
    CERVICAL_OBSCURED = "CERVICAL_OBSCURED"
    CERVICAL_OBSCURED_NOT_MEASURED = "CERVICAL_OBSCURED_NOT_MEASURED"
    CERVICAL_PARTLY_OBSCURED = "CERVICAL_PARTLY_OBSCURED"
    CERVICAL_REJECTED = "CERVICAL_REJECTED"
    CERVICAL_SATISFACTORY_BY_FINDING = "CERVICAL_SATISFACTORY_BY_FINDING"
    CERVICAL_SCANT_CELLS = "CERVICAL_SCANT_CELLS"
    CERVICAL_ZONE_NOT_ASSESSED = "CERVICAL_ZONE_NOT_ASSESSED"
    COLORECTAL_EXPERIMENTAL = "COLORECTAL_EXPERIMENTAL"
    CONTROLS_AS_EXPECTED = "CONTROLS_AS_EXPECTED"
    CONTROL_CHECK_NEEDED = "CONTROL_CHECK_NEEDED"
    CONTROL_FAILED = "CONTROL_FAILED"
    CORRECTED_BY_HAND = "CORRECTED_BY_HAND"
    CPS_CAPPED = "CPS_CAPPED"
    CUTOFF_NEEDS_MORE = "CUTOFF_NEEDS_MORE"
    CYTOLOGY_LIKE_A_SECTION = "CYTOLOGY_LIKE_A_SECTION"
    CYTOLOGY_REFERENCE_ASSUMED = "CYTOLOGY_REFERENCE_ASSUMED"
    DENSITIES_INCOMPLETE = "DENSITIES_INCOMPLETE"
    DEPTH_NOT_ASSESSABLE = "DEPTH_NOT_ASSESSABLE"
    EDGE_CORRECTION_SKIPPED = "EDGE_CORRECTION_SKIPPED"
    EMPTY_FIELDS_LEFT_OUT = "EMPTY_FIELDS_LEFT_OUT"
    ER_LOW_POSITIVE = "ER_LOW_POSITIVE"
    EXPERIMENTAL = "EXPERIMENTAL"
    GRADE_FOR_USUAL_TYPE = "GRADE_FOR_USUAL_TYPE"
    GRADE_NOT_MEASURED = "GRADE_NOT_MEASURED"
    GRADE_VARIES = "GRADE_VARIES"
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
    LITTLE_TISSUE = "LITTLE_TISSUE"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    NO_CLASS_ESTABLISHED = "NO_CLASS_ESTABLISHED"
    NO_EPITHELIUM = "NO_EPITHELIUM"
    NO_REFERENCE_COHORT = "NO_REFERENCE_COHORT"
    NO_STAINED_NUCLEI = "NO_STAINED_NUCLEI"
    NO_STROMA = "NO_STROMA"
    NO_TARGET = "NO_TARGET"
    NUCLEAR_STAIN = "NUCLEAR_STAIN"
    PDL1_NO_STROMA = "PDL1_NO_STROMA"
    POSSIBLE_CARCINOMA = "POSSIBLE_CARCINOMA"
    POSSIBLE_HGIN = "POSSIBLE_HGIN"
    POSSIBLE_LGIN = "POSSIBLE_LGIN"
    POSSIBLE_SERRATED = "POSSIBLE_SERRATED"
    POSSIBLE_SIGNET_RING = "POSSIBLE_SIGNET_RING"
    REFERENCE_COHORT_SMALL = "REFERENCE_COHORT_SMALL"
    REGION_EMPTY = "REGION_EMPTY"
    RESOLUTION_UNKNOWN = "RESOLUTION_UNKNOWN"
    SERRATED_NOT_SUBTYPED = "SERRATED_NOT_SUBTYPED"
    SIGNET_NOT_LOOKED_FOR = "SIGNET_NOT_LOOKED_FOR"
    SMEAR_ANALYSER_PREFERRED = "SMEAR_ANALYSER_PREFERRED"
    SMEAR_CLUMPS_NOT_LOOKED_FOR = "SMEAR_CLUMPS_NOT_LOOKED_FOR"
    SMEAR_CRITERIA_UNCHECKED = "SMEAR_CRITERIA_UNCHECKED"
    SMEAR_FACTOR_NOT_CALIBRATED = "SMEAR_FACTOR_NOT_CALIBRATED"
    SMEAR_FEW_FIELDS = "SMEAR_FEW_FIELDS"
    SMEAR_FEW_LEUCOCYTES = "SMEAR_FEW_LEUCOCYTES"
    SMEAR_FIELDS_UNREADABLE = "SMEAR_FIELDS_UNREADABLE"
    SMEAR_FIVE_CLASSES_ONLY = "SMEAR_FIVE_CLASSES_ONLY"
    SMEAR_MANY_UNCLASSIFIED = "SMEAR_MANY_UNCLASSIFIED"
    SMEAR_NOT_MONOLAYER = "SMEAR_NOT_MONOLAYER"
    SMEAR_NO_CLASSIFIER = "SMEAR_NO_CLASSIFIER"
    SMEAR_NO_MONOLAYER = "SMEAR_NO_MONOLAYER"
    SMEAR_NRBC = "SMEAR_NRBC"
    SMEAR_PLATELETS_DISAGREE = "SMEAR_PLATELETS_DISAGREE"
    SMEAR_PLATELET_CLUMPS = "SMEAR_PLATELET_CLUMPS"
    SMEAR_POSITIVE = "SMEAR_POSITIVE"
    SMEAR_RED_SHAPES_EXPERIMENTAL = "SMEAR_RED_SHAPES_EXPERIMENTAL"
    SMEAR_REVIEW_CRITERIA = "SMEAR_REVIEW_CRITERIA"
    SMEAR_SCALE_FROM_RED_CELLS = "SMEAR_SCALE_FROM_RED_CELLS"
    SMEAR_SCHISTOCYTES = "SMEAR_SCHISTOCYTES"
    SMEAR_SLIDE_SAMPLED = "SMEAR_SLIDE_SAMPLED"
    SMEAR_SMUDGE_AS_LYMPHOCYTES = "SMEAR_SMUDGE_AS_LYMPHOCYTES"
    SMEAR_SMUDGE_CELLS = "SMEAR_SMUDGE_CELLS"
    SMEAR_TOO_FEW_CELLS = "SMEAR_TOO_FEW_CELLS"
    SMEAR_UNDER_200 = "SMEAR_UNDER_200"
    SMEAR_WBC_CORRECTED = "SMEAR_WBC_CORRECTED"
    STROMA_FIELD_AT_EDGE = "STROMA_FIELD_AT_EDGE"
    STROMA_NOT_CHECKED = "STROMA_NOT_CHECKED"
    TEST_ANOTHER_SPECIMEN = "TEST_ANOTHER_SPECIMEN"
    TRIAGE_CLEARS_NOTHING = "TRIAGE_CLEARS_NOTHING"
    TRIAGE_NOT_CALIBRATED = "TRIAGE_NOT_CALIBRATED"
    TRIAGE_NOT_PROVEN = "TRIAGE_NOT_PROVEN"
    TRIAGE_OTHER_SCOPE = "TRIAGE_OTHER_SCOPE"
    TUMOUR_BY_ANNOTATION = "TUMOUR_BY_ANNOTATION"
    TUMOUR_BY_MODEL = "TUMOUR_BY_MODEL"
    TUMOUR_NOT_SEPARATED = "TUMOUR_NOT_SEPARATED"
    UNCERTAIN_GLANDS = "UNCERTAIN_GLANDS"


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
        Flag.BUDDING_FIELD_SMALL: (
            "Under half a field of 0.785 mm² was assessed for tumour buds, so they are not graded."
        ),
        Flag.BUDDING_HOLDS_FALSE: (
            "Some of the tumour buds counted are none; their number to expect stands beside the count."
        ),
        Flag.BUDDING_NEAR_LIMIT: (
            "The number of tumour buds in 0.785 mm² lies between two grades; rounding decided."
        ),
        Flag.BUDDING_NOT_COUNTED: (
            "Too many buds are missed, or too many candidates are none, or nobody knows: tumour buds are not "
            "counted, and the candidates only say where to look."
        ),
        Flag.CERVICAL_ADEQUACY_UNKNOWN: (
            "Adequacy of the specimen was not measured, so the slide is not called negative."
        ),
        Flag.CERVICAL_AGE_UNKNOWN: (
            "Endometrial cells were seen; they are reported from 45 years on, and the age is not known."
        ),
        Flag.CERVICAL_BORDERLINE_CELLS: "The specimen has enough squamous cells, but not many.",
        Flag.CERVICAL_CALLS_UNEXPLAINED: (
            "Single cells or groups look more severe than the result, but are too few to change it."
        ),
        Flag.CERVICAL_CELLS_NEAR_MINIMUM: (
            "The interval of the estimated squamous cells holds the number that is needed."
        ),
        Flag.CERVICAL_CELLS_NOT_COUNTED: (
            "Squamous cells were not counted, so it is not known whether the specimen is satisfactory."
        ),
        Flag.CERVICAL_ENDOMETRIAL_CELLS: "Endometrial cells in a woman of 45 years or more.",
        Flag.CERVICAL_FEW_FIELDS: (
            "Squamous cells were counted in fewer than 10 fields, too few for an estimate."
        ),
        Flag.CERVICAL_LOWER_COUNT_ACCEPTED: (
            "The specimen has fewer squamous cells than usual, which was accepted for the reason given."
        ),
        Flag.CERVICAL_NILM_WITHHELD: (
            "Abnormal cells were called, too few for any result; the counts would say negative, so a "
            "person has to decide."
        ),
        Flag.CERVICAL_NO_TRANSFORMATION_ZONE: (
            "Fewer than 10 endocervical or metaplastic cells: the transformation zone was perhaps not "
            "sampled. The specimen is not unsatisfactory for that."
        ),
        Flag.CERVICAL_OBSCURED: (
            "Over 75 % of the squamous cells are hidden by blood, inflammation or thickness."
        ),
        Flag.CERVICAL_OBSCURED_NOT_MEASURED: (
            "Nobody measured how many squamous cells are hidden by blood, inflammation or thickness."
        ),
        Flag.CERVICAL_PARTLY_OBSCURED: (
            "50 to 75 % of the squamous cells are hidden by blood, inflammation or thickness."
        ),
        Flag.CERVICAL_REJECTED: "The specimen was rejected and not assessed.",
        Flag.CERVICAL_SATISFACTORY_BY_FINDING: (
            "The specimen is scant or obscured, but abnormal cells make it satisfactory."
        ),
        Flag.CERVICAL_SCANT_CELLS: "Fewer squamous cells than this kind of preparation needs.",
        Flag.CERVICAL_ZONE_NOT_ASSESSED: (
            "Nobody counted endocervical and metaplastic cells, so the transformation zone was not assessed."
        ),
        Flag.COLORECTAL_EXPERIMENTAL: (
            "Grade, subtype, tumour budding and tumour-stroma ratio are experimental: they were not held "
            "against pathologists."
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
        Flag.CYTOLOGY_LIKE_A_SECTION: (
            "Nuclei lie as densely as in a tissue section, and hardly a cell has glass around it."
        ),
        Flag.CYTOLOGY_REFERENCE_ASSUMED: (
            "Too few intermediate cells to compare with: nuclei are compared with 35 µm², and "
            "hyperchromasia is not measured."
        ),
        Flag.DENSITIES_INCOMPLETE: (
            "The density score needs all four densities, and one of them could not be assessed."
        ),
        Flag.DEPTH_NOT_ASSESSABLE: (
            "How deep the carcinoma invades was not measured: it may be intramucosal (Vienna 4.4; in the "
            "West high-grade dysplasia or pTis) or deeper (Vienna 5)."
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
        Flag.GRADE_FOR_USUAL_TYPE: (
            "The grade by gland formation is made for adenocarcinoma NOS, and this looks like another "
            "subtype."
        ),
        Flag.GRADE_NOT_MEASURED: (
            "How much of the tumour forms glands was not measured, so the carcinoma has no grade of "
            "differentiation."
        ),
        Flag.GRADE_VARIES: "The least differentiated part of the tumour is of another grade than the whole.",
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
        Flag.LITTLE_TISSUE: (
            "There is little tissue: a lesion may have been missed, and on less than 0.1 mm² no class is "
            "given."
        ),
        Flag.LOW_CONFIDENCE: (
            "The network is not sure of the reported class: its mean probability is under 60 %."
        ),
        Flag.NO_CLASS_ESTABLISHED: (
            "Glands were found, but none of the classes has the evidence that it needs, so none is reported."
        ),
        Flag.NO_EPITHELIUM: "No glands were found, so there is nothing to grade.",
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
        Flag.POSSIBLE_CARCINOMA: (
            "Possible carcinoma: some was found, but less than a report of carcinoma needs."
        ),
        Flag.POSSIBLE_HGIN: (
            "Possible high-grade intraepithelial neoplasia: some was found, but less than a report of it "
            "needs."
        ),
        Flag.POSSIBLE_LGIN: (
            "Possible low-grade intraepithelial neoplasia: some was found, but less than a report of it "
            "needs."
        ),
        Flag.POSSIBLE_SERRATED: (
            "Possible serrated lesion: some was found, but less than a report of it needs."
        ),
        Flag.POSSIBLE_SIGNET_RING: (
            "Possible signet-ring cells: some were found, but fewer or more scattered than a report of "
            "carcinoma needs."
        ),
        Flag.REFERENCE_COHORT_SMALL: "The reference cohort has too few patients for fine percentiles.",
        Flag.REGION_EMPTY: "The region has no assessed tissue, so it has no density.",
        Flag.RESOLUTION_UNKNOWN: "The size of a pixel is unknown, so there is no area, density or distance.",
        Flag.SERRATED_NOT_SUBTYPED: (
            "The lesion is serrated; whether it is dysplastic, and of which type, was not judged."
        ),
        Flag.SIGNET_NOT_LOOKED_FOR: (
            "Nobody looked for signet-ring cells in all of the tissue; they were not taken for none."
        ),
        Flag.SMEAR_ANALYSER_PREFERRED: (
            "The analyser measures this change better than a smear (MCV, RDW, MCH)."
        ),
        Flag.SMEAR_CLUMPS_NOT_LOOKED_FOR: (
            "Nobody looked for clumped platelets, which make any platelet number too low."
        ),
        Flag.SMEAR_CRITERIA_UNCHECKED: (
            "Some criteria for manual review could not be checked, since their measure is missing."
        ),
        Flag.SMEAR_FACTOR_NOT_CALIBRATED: (
            "The platelet estimate rests on a published factor, not on the laboratory's own."
        ),
        Flag.SMEAR_FEW_FIELDS: "Platelets were counted in less than 10 oil fields.",
        Flag.SMEAR_FEW_LEUCOCYTES: (
            "White cells are under 1 x 10⁹/L, so the differential rests on 50 to 99 cells."
        ),
        Flag.SMEAR_FIELDS_UNREADABLE: "Images of the smear could not be read; they are in no count.",
        Flag.SMEAR_FIVE_CLASSES_ONLY: (
            "A network named the white cells; it knows five classes, and blasts, immature and atypical "
            "cells, smudge cells and nucleated red cells are none of them."
        ),
        Flag.SMEAR_MANY_UNCLASSIFIED: (
            "More than a tenth of the white cells resemble none of the five classes."
        ),
        Flag.SMEAR_NOT_MONOLAYER: "Many fields are no monolayer: their red cells overlap or lie far apart.",
        Flag.SMEAR_NO_CLASSIFIER: (
            "White cells were counted and not named, as no classifier was at hand or allowed."
        ),
        Flag.SMEAR_NO_MONOLAYER: "No part of the slide that was read is monolayer.",
        Flag.SMEAR_NRBC: "Nucleated red cells were seen.",
        Flag.SMEAR_PLATELETS_DISAGREE: "The platelet estimate differs from the analyser by more than 25 %.",
        Flag.SMEAR_PLATELET_CLUMPS: (
            "Platelets clump or surround white cells, so no platelet number is given."
        ),
        Flag.SMEAR_POSITIVE: "The smear shows cells or changes that make it positive.",
        Flag.SMEAR_RED_SHAPES_EXPERIMENTAL: (
            "Experimental: a network that learnt from one hospital named the shapes of red cells."
        ),
        Flag.SMEAR_REVIEW_CRITERIA: "Results meet criteria for a manual review of the smear.",
        Flag.SMEAR_SCALE_FROM_RED_CELLS: (
            "The images state no scale; it was judged by taking the median red cell for 7.5 µm."
        ),
        Flag.SMEAR_SCHISTOCYTES: (
            "More schistocytes than normal, which is suspicious for thrombotic microangiopathy."
        ),
        Flag.SMEAR_SLIDE_SAMPLED: "A part of the smear was read, spread evenly over it.",
        Flag.SMEAR_SMUDGE_AS_LYMPHOCYTES: "Smudge cells were counted as lymphocytes.",
        Flag.SMEAR_SMUDGE_CELLS: "Smudge cells were seen and are not in the differential.",
        Flag.SMEAR_TOO_FEW_CELLS: "Too few white cells were classified for a differential.",
        Flag.SMEAR_UNDER_200: "The differential rests on 100 to 199 white cells; 200 are preferred.",
        Flag.SMEAR_WBC_CORRECTED: "The white-cell count was corrected for nucleated red cells.",
        Flag.STROMA_FIELD_AT_EDGE: (
            "The window of the tumour-stroma ratio has no tumour on one of its sides or more."
        ),
        Flag.STROMA_NOT_CHECKED: (
            "The assay needs stroma beside the tumour cells, and nobody measured whether there is any."
        ),
        Flag.TEST_ANOTHER_SPECIMEN: "ER of 0-10 % without internal control: test another block or specimen.",
        Flag.TRIAGE_CLEARS_NOTHING: (
            "No normal slide of the calibration had a lower risk than the abnormal ones, so nothing is "
            "cleared."
        ),
        Flag.TRIAGE_NOT_CALIBRATED: "Without a calibration no slide is cleared.",
        Flag.TRIAGE_NOT_PROVEN: "The threshold was not proven on slides of its own, so no slide is cleared.",
        Flag.TRIAGE_OTHER_SCOPE: (
            "The calibration was made for another model, preparation or scanner, so the slide is not cleared."
        ),
        Flag.TUMOUR_BY_ANNOTATION: (
            "A person outlined the tumour; cells outside that outline were not counted."
        ),
        Flag.TUMOUR_BY_MODEL: (
            "A network told tumour nuclei from other cells, one by one; nobody outlined the tumour."
        ),
        Flag.TUMOUR_NOT_SEPARATED: (
            "Tumour nuclei were not told from stroma and inflammation, so the denominator holds other cells."
        ),
        Flag.UNCERTAIN_GLANDS: (
            "Some glands fit no class well enough; they are counted apart and for no class."
        ),
    }
)


def explain_flag(flag: str) -> str:
    """Return the sentence that a flag stands for; an unknown flag is returned as it is."""
    return _TEXT[Flag(flag)] if flag in set(Flag) else flag
