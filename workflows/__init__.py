"""One module per clinical question, the cohort runner, reports and exports."""

from .ihc.ki67 import Ki67
from .runs.cohort import run_cohort
from .runs.inputs import SlideInput, find_slides
from .runs.run_folder import slides_to_retry
from .runs.workflow import CohortRun, RunOptions, SlideOutcome
from .slides.tile_detector import choose_detector

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
