"""One module per clinical question, the cohort runner, reports and exports."""

from .cohort import run_cohort
from .inputs import SlideInput, find_slides
from .ki67 import Ki67
from .run_folder import slides_to_retry
from .tile_detector import choose_detector
from .workflow import CohortRun, RunOptions, SlideOutcome

__all__ = [
    "CohortRun",
    "Ki67",
    "RunOptions",
    "SlideInput",
    "SlideOutcome",
    "choose_detector",
    "find_slides",
    "run_cohort",
    "slides_to_retry",
]
