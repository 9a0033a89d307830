"""The classes that single cells and small groups are told apart by."""

from __future__ import annotations

__all__ = [
    "CERVICAL_CLASSES",
    "CERVICAL_LESIONS",
    "HERLEV_CLASSES",
    "RBC_CLASSES",
    "SQUAMOUS_ORDER",
    "WBC_CLASSES",
]

CERVICAL_CLASSES = (
    "NILM",
    "ASC-US",
    "LSIL",
    "ASC-H",
    "HSIL",
    "SCC",
    "AGC",
    "Trichomonas",
    "Candida",
    "Flora",
    "Herpes",
    "Actinomyces",
)
"""In the order of the network's outputs; the Bethesda codes, then what is found in negative smears."""

CERVICAL_LESIONS = ("ASC-US", "LSIL", "ASC-H", "HSIL", "SCC", "AGC")
"""What makes a smear abnormal."""

SQUAMOUS_ORDER = ("NILM", "ASC-US", "LSIL", "ASC-H", "HSIL", "SCC")
"""The squamous line by severity, least first (ranks of the Bethesda terms)."""

HERLEV_CLASSES = (
    "normal superficial",
    "normal intermediate",
    "normal columnar",
    "light dysplasia",
    "moderate dysplasia",
    "severe dysplasia",
    "carcinoma in situ",
)
"""The seven classes of the Herlev collection; the first three are normal."""

WBC_CLASSES = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
"""The five-part differential."""

RBC_CLASSES = (
    "normal",
    "macrocyte",
    "microcyte",
    "spherocyte",
    "target cell",
    "stomatocyte",
    "ovalocyte",
    "teardrop",
    "burr cell",
    "schistocyte",
    "uncategorised",
    "hypochromia",
    "elliptocyte",
)
"""Shapes of red cells, numbered as in the Chula collection."""
