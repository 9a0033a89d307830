"""What to do about the warnings of single markers; `slidelab.quantify.explain_flag` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["MARKER_ADVICE"]

MARKER_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "ALLRED_CONVENTIONS_DIFFER": "Name the convention when comparing with other Allred scores.",
        "AREA_NOT_MEASURED": "Use another score of the report, or an outline of the tumour (--tumour).",
        "BINS_NOT_OFFICIAL": "Report the number, and take the category from the current label of the assay.",
        "BUDDING_FIELD_SMALL": "Count buds at the invasive front by eye, in a whole field.",
        "BUDDING_HOLDS_FALSE": "Look at each candidate of the marked field and count the buds by eye.",
        "BUDDING_NEAR_LIMIT": "Recount the field by eye before naming a grade.",
        "BUDDING_NOT_COUNTED": "Count buds by eye; the marked field holds most candidates, not most buds.",
        "COLORECTAL_EXPERIMENTAL": "Read them as a hint where to look, and grade by eye.",
        "CONTROLS_AS_EXPECTED": "Nothing to do.",
        "CONTROL_CHECK_NEEDED": (
            "Look at both controls and run again with --internal-control and --external-control."
        ),
        "CONTROL_FAILED": "Stain the slide again.",
        "CPS_CAPPED": "Nothing to do; the raw value stands among the scores.",
        "CUTOFF_NEEDS_MORE": "Give an outline of the tumour (--tumour), or read the slide by eye.",
        "DENSITIES_INCOMPLETE": "Stain and scan the missing slide, or report the densities alone.",
        "DEPTH_NOT_ASSESSABLE": "Look for invasion beyond the muscularis mucosae; name a depth only if seen.",
        "EDGE_CORRECTION_SKIPPED": "Read the uncorrected share as a lower limit, or assess a larger region.",
        "ER_LOW_POSITIVE": "Report percentage, intensity and the state of the controls beside the category.",
        "EXPERIMENTAL": "Look at the outlined immune cells in the fields, and confirm the score by eye.",
        "GRADE_FOR_USUAL_TYPE": "Name the subtype by eye; grade only where the subtype is graded.",
        "GRADE_NOT_MEASURED": "Grade by eye, on the least differentiated part, buds and clusters left out.",
        "GRADE_VARIES": "Look at the window with fewest glands: it decides, buds left out.",
        "HER2_DUAL_PROBE_NEEDED": "Order a dual-probe test.",
        "HER2_FEW_INTENSE_CELLS": "Look at those cells: are they invasive tumour, and is it membrane?",
        "HER2_FEW_STAINED_CELLS": "Look at those cells before calling a cancer HER2-ultralow or null.",
        "HER2_ISH_RECOUNT_FIRST": "Have a second reader count 20 cells, blinded, and give the result.",
        "HER2_ISH_TOO_FEW_CELLS": "Count more nuclei.",
        "HER2_MIXED_PATTERN": "Look at the fields: a mixed pattern is scored by eye.",
        "HER2_REFLEX_ISH": "Order in-situ hybridisation; give its result with --ish-ratio and --ish-copies.",
        "HER2_UNUSUAL_PATTERN": "Look at the growth pattern; consider in-situ hybridisation.",
        "IMMUNE_CELLS_NOT_COUNTED": "Choose a model that tells tumour from other cells, or count by eye.",
        "INDICATION_WITHDRAWN": "Check the current label before use.",
        "INTERNAL_CONTROL_ABSENT": "Rest on the external control, or stain a block with normal tissue.",
        "LITTLE_TISSUE": "Consider deeper levels or another biopsy; a negative result rules nothing out.",
        "LOW_CONFIDENCE": "Look at the outlined lesions and their probabilities before using the class.",
        "NO_CLASS_ESTABLISHED": "Look at the outlined glands; consider deeper levels or another biopsy.",
        "NO_EPITHELIUM": "Look at the overview: is there mucosa on the slide, and is it in focus?",
        "NO_REFERENCE_COHORT": "Give a fixed reference cohort, or report densities.",
        "NO_STAINED_NUCLEI": "Check that the external control is stained.",
        "NO_STROMA": "Check the outline of the tumour: it should hold the stroma inside its border.",
        "NO_TARGET": "Nothing to do if the cells are absent; otherwise check that they were found.",
        "PDL1_NO_STROMA": "Use another block: this assay cannot be read without stroma.",
        "NUCLEAR_STAIN": "Check that this is the right slide: ER, PR, Ki-67 and p53 stain nuclei.",
        "POSSIBLE_CARCINOMA": "Look at the outlined place first, for invasion; consider deeper levels.",
        "POSSIBLE_HGIN": "Look at the outlined glands: both architecture and cytology must be of high grade.",
        "POSSIBLE_LGIN": "Look at the outlined gland; a single one may be reactive or cut at a slant.",
        "POSSIBLE_SERRATED": "Look at the outlined gland: is it serrated to its base?",
        "POSSIBLE_SIGNET_RING": "Look at the marked cells: goblet cells, mucin and macrophages look alike.",
        "REFERENCE_COHORT_SMALL": "Enlarge the cohort before comparing patients.",
        "REGION_EMPTY": "Check the outline, and what was left out as pen, fold or blur.",
        "RESOLUTION_UNKNOWN": "Give the size of a pixel with --mpp.",
        "SERRATED_NOT_SUBTYPED": "Judge dysplasia and type by eye; Vienna 1 without dysplasia.",
        "SIGNET_NOT_LOOKED_FOR": "Look for signet-ring cells by eye, or run with a model that finds them.",
        "STROMA_FIELD_AT_EDGE": "Choose a window inside the invasive tumour.",
        "STROMA_NOT_CHECKED": "Look whether there is stroma beside the tumour cells.",
        "TEST_ANOTHER_SPECIMEN": "Test another block or specimen before reporting ER as negative.",
        "TUMOUR_REGION_CLIPPED": "Check that the outline belongs to this slide.",
        "TUMOUR_REGION_REPAIRED": "Look at the outline on the overview.",
        "UNCERTAIN_GLANDS": "Look at the glands without a class on the overview.",
    }
)
