"""What to do about the warnings of cervical cytology and blood smears."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CYTOLOGY_ADVICE"]

CYTOLOGY_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "CERVICAL_ADEQUACY_UNKNOWN": (
            "Measure adequacy, or judge it by eye, before calling the slide negative."
        ),
        "CERVICAL_AGE_UNKNOWN": "Look up the age.",
        "CERVICAL_BORDERLINE_CELLS": "Nothing to do; the report may name it.",
        "CERVICAL_CALLS_UNEXPLAINED": "Look at those cells in the gallery: one real cell changes the result.",
        "CERVICAL_CELLS_NEAR_MINIMUM": "Estimate the cells of a few fields by eye.",
        "CERVICAL_CELLS_NOT_COUNTED": (
            "Give the preparation and the resolution, or judge the cellularity by eye."
        ),
        "CERVICAL_ENDOMETRIAL_CELLS": "Correlate with menstrual history, bleeding and hormones.",
        "CERVICAL_FEW_FIELDS": "Count 10 fields or more along a diameter through the centre.",
        "CERVICAL_LOWER_COUNT_ACCEPTED": "Check that the reason holds for this patient.",
        "CERVICAL_NILM_WITHHELD": (
            "Look at those cells in the gallery; never report the slide as negative unread."
        ),
        "CERVICAL_NO_TRANSFORMATION_ZONE": "Name it in the report.",
        "CERVICAL_OBSCURED": "Repeat the specimen, unless abnormal cells are found by eye.",
        "CERVICAL_OBSCURED_NOT_MEASURED": "Look over the slide for obscured areas.",
        "CERVICAL_PARTLY_OBSCURED": "Name it in the report.",
        "CERVICAL_REJECTED": "Ask for another specimen.",
        "CERVICAL_SATISFACTORY_BY_FINDING": "Nothing to do; the report names both.",
        "CERVICAL_SCANT_CELLS": "Repeat the specimen, or state why fewer cells are accepted.",
        "CERVICAL_ZONE_NOT_ASSESSED": "Look for 10 such cells.",
        "CYTOLOGY_LIKE_A_SECTION": (
            "Check that this is a cytology slide: on sections neither calls nor counts mean anything."
        ),
        "CYTOLOGY_REFERENCE_ASSUMED": "Trust sizes less; they depend on fixation and preparation.",
        "SMEAR_ANALYSER_PREFERRED": "Take the analyser's figure where there is one.",
        "SMEAR_CLUMPS_NOT_LOOKED_FOR": "Look at the feathered edge of the smear.",
        "SMEAR_CRITERIA_UNCHECKED": "Give the analyser's results; what is missing is not known to be normal.",
        "SMEAR_FACTOR_NOT_CALIBRATED": "Compare about 30 smears with the analyser and give the factor.",
        "SMEAR_FEW_FIELDS": "Count more fields.",
        "SMEAR_FEW_LEUCOCYTES": "Read the intervals; a buffy-coat smear gives more cells.",
        "SMEAR_FIELDS_UNREADABLE": "Look at the list of failures, and photograph or copy them again.",
        "SMEAR_FIVE_CLASSES_ONLY": (
            "Look through the gallery for cells that belong to none of the five classes."
        ),
        "SMEAR_MANY_UNCLASSIFIED": (
            "Look at the unclassified cells in the gallery first; they may be abnormal."
        ),
        "SMEAR_NOT_MONOLAYER": (
            "Choose fields where red cells just touch; counts and shapes elsewhere are wrong."
        ),
        "SMEAR_NO_CLASSIFIER": (
            "Name one with --white-model, or allow research models with --license-policy research."
        ),
        "SMEAR_NO_MONOLAYER": "Look at the overview; make a thinner smear, or photograph fields by hand.",
        "SMEAR_NRBC": "Check whether the analyser counts them as white cells.",
        "SMEAR_PLATELETS_DISAGREE": (
            "Look for clumps, satellitism, giant platelets and fragments of red cells."
        ),
        "SMEAR_PLATELET_CLUMPS": "Repeat the count with citrate.",
        "SMEAR_POSITIVE": "Have it read; the criteria are listed among the scores.",
        "SMEAR_RED_SHAPES_EXPERIMENTAL": "Take these shares as a hint where to look, never as a result.",
        "SMEAR_REVIEW_CRITERIA": "Review the smear; the criteria are listed among the scores.",
        "SMEAR_SCALE_FROM_RED_CELLS": (
            "State um per pixel with --mpp. Counts hold; sizes do not tell large from small red cells here."
        ),
        "SMEAR_SCHISTOCYTES": "Confirm by eye at once, and look at platelets and haemolysis.",
        "SMEAR_SLIDE_SAMPLED": "Enough for a differential; raise --area to read more.",
        "SMEAR_SMUDGE_AS_LYMPHOCYTES": "Only meant for chronic lymphocytic leukaemia: check that it holds.",
        "SMEAR_SMUDGE_CELLS": "Many of them: make a smear with albumin.",
        "SMEAR_TOO_FEW_CELLS": (
            "Give more fields of the monolayer: 100 white cells are needed, 200 are better."
        ),
        "SMEAR_UNDER_200": "Read the intervals.",
        "SMEAR_WBC_CORRECTED": "Check that the analyser does count them as white cells.",
        "TRIAGE_CLEARS_NOTHING": "Calibrate with more slides, or a better model.",
        "TRIAGE_NOT_CALIBRATED": "Calibrate on slides of this laboratory with known diagnoses.",
        "TRIAGE_NOT_PROVEN": "Give more abnormal slides: 59 without a miss prove a sensitivity of 95 %.",
        "TRIAGE_OTHER_SCOPE": "Calibrate for this one.",
    }
)
