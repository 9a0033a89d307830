"""One module per clinical question, the cohort runner, reports and exports."""

from .colorectal.workflow import ColorectalGrading
from .ihc.her2 import Her2
from .ihc.hormone_receptor import EstrogenReceptor, ProgesteroneReceptor
from .ihc.ki67 import Ki67
from .ihc.pdl1 import Pdl1
from .runs.cohort import run_cohort
from .runs.inputs import SlideInput, find_slides
from .runs.run_folder import slides_to_retry
from .runs.workflow import CohortRun, RunOptions, SlideOutcome
from .slides.normalisation import Normalisation
from .slides.tile_detector import choose_detector

__all__ = [
    "CohortRun",
    "ColorectalGrading",
    "EstrogenReceptor",
    "Her2",
    "Ki67",
    "Normalisation",
    "Pdl1",
    "ProgesteroneReceptor",
    "RunOptions",
    "SlideInput",
    "SlideOutcome",
    "choose_detector",
    "find_slides",
    "run_cohort",
    "slides_to_retry",
]
