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
from .assessed_region import AssessedRegion
from .average_precision import ScoredPoints, average_precision
from .calibration import (
    LEVELS,
    THRESHOLD_NAMES,
    StainedSlide,
    ThresholdFit,
    count_strengths,
    fit_controls,
    membrane_strength,
)
from .calibration_reference import ReferenceFit, ReferencePoint, fit_reference
from .clusters import largest_cluster
from .cutoffs import Cutoffs, ki67_cutoffs
from .densities import (
    FOUR_DENSITIES,
    ReferenceCohort,
    RegionCount,
    TumourRegions,
    cell_density,
    cells_in_mask,
    density_score,
    tumour_regions,
)
from .diagnostic import Accuracy, RocArea, roc_area, sensitivity_specificity
from .fields import FieldCounts, count_by_field
from .flags import Flag, explain_flag
from .her2 import (
    SPECIMENS,
    BiopsyClusters,
    Her2Call,
    Her2Counts,
    biopsy_clusters,
    breast_score,
    count_membranes,
    gastric_biopsy_score,
    gastric_levels,
    gastric_resection_score,
    her2_label,
    score_her2,
)
from .her2_cutoffs import Her2Cutoffs, her2_cutoffs
from .her2_ish import Ish, IshCall, ish_group, read_ish
from .hormone_receptor import (
    Allred,
    Control,
    Controls,
    allred,
    allred_score,
    average_intensity,
    control_flags,
    h_score,
    intensity_word,
    percent_positive,
    score_hormone_receptor,
)
from .hotspot import HOT_SPOT_COUNT, HOT_SPOT_MAX_RADIUS_UM, HotSpot, find_hot_spot
from .immune import Nearness, TilMeasure, estimator_for, nearness_scores, score_immune
from .immune_cutoffs import immune_cutoffs
from .intensity import START_BINS, IntensityBins, intensity_counts, intensity_levels
from .interval import (
    BOOTSTRAP_DRAWS,
    BOOTSTRAP_SEED,
    bootstrap_by_patient,
    bootstrap_index_interval,
    wilson_interval,
)
from .ki67 import (
    fda_high_ki67,
    hot_spot_score,
    labelling_index,
    neuroendocrine_grade,
    pooled_index,
    score_ki67,
)
from .matching import Matches, match_points
from .membrane import (
    COMPLETE_SHARE,
    MEMBRANE_CONTRAST_OD,
    SOME_SHARE,
    MembraneClass,
    MembraneJudgement,
    judge_membranes,
)
from .nearest_neighbour import Neighbours, find_neighbours
from .outline_area import fill_outlines, fill_polygons, union_area_um2
from .pdl1 import area_score, combined_positive_score, score_pdl1, tumour_proportion_score
from .pdl1_cells import CellKind, Pdl1Areas, Pdl1Evidence, count_pdl1_cells
from .pdl1_cutoffs import Pdl1Cutoff, Pdl1Cutoffs, pdl1_cutoffs
from .random_labelling import LabellingEnvelope, random_labelling
from .receptor_cutoffs import ReceptorCutoffs, receptor_cutoffs
from .rounding import round_half_up, round_to_step, show_value
from .score import Interval, Score, SlideResult, Status, worst_status
from .segmentation import (
    PanopticQuality,
    aggregated_jaccard,
    dice_of_masks,
    dice_of_objects,
    panoptic_quality,
)
from .stromal_tils import lymphocyte_area_um2, rounded_tils, stromal_tils
from .threshold import count_by_threshold, index_by_threshold, index_curve
from .weighted import mean_of_fields_index, weighted_index, weighted_standard_error

__all__ = [
    "BOOTSTRAP_DRAWS",
    "BOOTSTRAP_SEED",
    "COMPLETE_SHARE",
    "FOUR_DENSITIES",
    "HOT_SPOT_COUNT",
    "HOT_SPOT_MAX_RADIUS_UM",
    "LEVELS",
    "MEMBRANE_CONTRAST_OD",
    "SOME_SHARE",
    "SPECIMENS",
    "START_BINS",
    "THRESHOLD_NAMES",
    "Accuracy",
    "Allred",
    "AssessedRegion",
    "BiopsyClusters",
    "BlandAltman",
    "CellKind",
    "Control",
    "Controls",
    "Cutoffs",
    "FieldCounts",
    "Flag",
    "Her2Call",
    "Her2Counts",
    "Her2Cutoffs",
    "HotSpot",
    "IntensityBins",
    "Interval",
    "Ish",
    "IshCall",
    "LabellingEnvelope",
    "Matches",
    "MembraneClass",
    "MembraneJudgement",
    "Nearness",
    "Neighbours",
    "PanopticQuality",
    "Pdl1Areas",
    "Pdl1Cutoff",
    "Pdl1Cutoffs",
    "Pdl1Evidence",
    "ReceptorCutoffs",
    "ReferenceCohort",
    "ReferenceFit",
    "ReferencePoint",
    "RegionCount",
    "RocArea",
    "Score",
    "ScoredPoints",
    "SlideResult",
    "StainedSlide",
    "Status",
    "ThresholdFit",
    "TilMeasure",
    "TumourRegions",
    "aggregated_jaccard",
    "allred",
    "allred_score",
    "area_score",
    "average_intensity",
    "average_precision",
    "biopsy_clusters",
    "bland_altman",
    "bootstrap_by_patient",
    "bootstrap_index_interval",
    "breast_score",
    "cell_density",
    "cells_in_mask",
    "cohen_kappa",
    "combined_positive_score",
    "concordance",
    "confusion_table",
    "control_flags",
    "count_by_field",
    "count_by_threshold",
    "count_membranes",
    "count_pdl1_cells",
    "count_strengths",
    "density_score",
    "dice_of_masks",
    "dice_of_objects",
    "estimator_for",
    "explain_flag",
    "fda_high_ki67",
    "fill_outlines",
    "fill_polygons",
    "find_hot_spot",
    "find_neighbours",
    "fit_controls",
    "fit_reference",
    "gastric_biopsy_score",
    "gastric_levels",
    "gastric_resection_score",
    "h_score",
    "her2_cutoffs",
    "her2_label",
    "hot_spot_score",
    "immune_cutoffs",
    "index_by_threshold",
    "index_curve",
    "intensity_counts",
    "intensity_levels",
    "intensity_word",
    "intraclass_correlation",
    "ish_group",
    "judge_membranes",
    "kappa_in_words",
    "ki67_cutoffs",
    "labelling_index",
    "largest_cluster",
    "lymphocyte_area_um2",
    "match_points",
    "mean_absolute_error",
    "mean_of_fields_index",
    "membrane_strength",
    "microscope_field_mm2",
    "nearness_scores",
    "neuroendocrine_grade",
    "panoptic_quality",
    "pdl1_cutoffs",
    "percent_positive",
    "pixel_area_mm2",
    "pooled_index",
    "random_labelling",
    "read_ish",
    "receptor_cutoffs",
    "roc_area",
    "round_half_up",
    "round_to_step",
    "rounded_tils",
    "score_her2",
    "score_hormone_receptor",
    "score_immune",
    "score_ki67",
    "score_pdl1",
    "sensitivity_specificity",
    "show_value",
    "stromal_tils",
    "tumour_proportion_score",
    "tumour_regions",
    "union_area_um2",
    "weighted_index",
    "weighted_standard_error",
    "wilson_interval",
    "worst_status",
]
