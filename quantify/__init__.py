"""Pure arithmetic from cells and maps to scores."""

from __future__ import annotations

from .agreement import (
    BlandAltman,
    bland_altman,
    cohen_kappa,
    concordance,
    confusion_table,
    intraclass_correlation,
    kappa_in_words,
    mean_absolute_error,
)
from .area import microscope_field_mm2, pixel_area_mm2
from .average_precision import ScoredPoints, average_precision
from .cutoffs import Cutoffs, ki67_cutoffs
from .diagnostic import Accuracy, RocArea, roc_area, sensitivity_specificity
from .fields import FieldCounts, count_by_field
from .flags import Flag, explain_flag
from .hotspot import HOT_SPOT_COUNT, HOT_SPOT_MAX_RADIUS_UM, HotSpot, find_hot_spot
from .interval import bootstrap_by_patient, bootstrap_index_interval, wilson_interval
from .ki67 import (
    fda_high_ki67,
    hot_spot_score,
    labelling_index,
    neuroendocrine_grade,
    pooled_index,
    score_ki67,
)
from .matching import Matches, match_points
from .rounding import round_half_up, round_to_step, show_value
from .score import Interval, Score, SlideResult, Status, worst_status
from .segmentation import (
    PanopticQuality,
    aggregated_jaccard,
    dice_of_masks,
    dice_of_objects,
    panoptic_quality,
)
from .threshold import count_by_threshold, index_by_threshold, index_curve
from .weighted import mean_of_fields_index, weighted_index, weighted_standard_error

__all__ = [
    "HOT_SPOT_COUNT",
    "HOT_SPOT_MAX_RADIUS_UM",
    "Accuracy",
    "BlandAltman",
    "Cutoffs",
    "FieldCounts",
    "Flag",
    "HotSpot",
    "Interval",
    "Matches",
    "PanopticQuality",
    "RocArea",
    "Score",
    "ScoredPoints",
    "SlideResult",
    "Status",
    "aggregated_jaccard",
    "average_precision",
    "bland_altman",
    "bootstrap_by_patient",
    "bootstrap_index_interval",
    "cohen_kappa",
    "concordance",
    "confusion_table",
    "count_by_field",
    "count_by_threshold",
    "dice_of_masks",
    "dice_of_objects",
    "explain_flag",
    "fda_high_ki67",
    "find_hot_spot",
    "hot_spot_score",
    "index_by_threshold",
    "index_curve",
    "intraclass_correlation",
    "kappa_in_words",
    "ki67_cutoffs",
    "labelling_index",
    "match_points",
    "mean_absolute_error",
    "mean_of_fields_index",
    "microscope_field_mm2",
    "neuroendocrine_grade",
    "panoptic_quality",
    "pixel_area_mm2",
    "pooled_index",
    "roc_area",
    "round_half_up",
    "round_to_step",
    "score_ki67",
    "sensitivity_specificity",
    "show_value",
    "weighted_index",
    "weighted_standard_error",
    "wilson_interval",
    "worst_status",
]
