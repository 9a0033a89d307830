"""Everything that a slide's report says, as values; the writers add nothing but words and layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..slides.outline import Circle

if TYPE_CHECKING:
    from ...quantify import SlideResult
    from ...stain import StainProfile
    from ...tiling import TissueMask
    from ..slides.maps import FieldMap
    from ..slides.normalisation import NormalisationFacts
    from .charts import StainHistogram, ThresholdCurve

__all__ = [
    "CategoryScale",
    "ClassCount",
    "DetectorFacts",
    "FieldPicture",
    "MarkerWords",
    "MethodFacts",
    "Provenance",
    "ReportContent",
    "ReportPictures",
    "ResolutionFacts",
    "SlideFacts",
]


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """Which file was read. No label, no path: a report may leave the house."""

    slide_id: str
    """Name of the slide in the run."""
    file_name: str
    """Name of the file, without folders."""
    vendor: str
    """Scanner format, such as ``aperio``."""
    width: int
    """Level-0 px."""
    height: int
    """Level-0 px."""
    fingerprint: str
    """Digest of the file's content."""


@dataclass(frozen=True, slots=True)
class ResolutionFacts:
    """How large a pixel is, and who says so."""

    x: float
    """um per level-0 px."""
    y: float
    """um per level-0 px."""
    source: str
    """Where it was read, such as ``openslide.mpp-x``, or ``user``."""
    is_override: bool
    """Whether the user set it against or in place of the file."""
    working_mpp: float
    """um per px at which nuclei were sought."""
    problems: tuple[str, ...] = ()
    """What speaks against it, one line each."""


@dataclass(frozen=True, slots=True)
class DetectorFacts:
    """What found the nuclei."""

    name: str
    """Name of the detector."""
    version: str
    """Its version."""
    licence: str = ""
    """Licence of its weights, where it has weights."""
    sha256: str = ""
    """Digest of its weights, where it has weights."""


@dataclass(frozen=True, slots=True)
class MarkerWords:
    """What the report of a marker calls things."""

    noun: str = "nuclei"
    """What is counted."""
    positive: str = "positive"
    """What the numerator of the headline is, as in "12 positive of 80 nuclei"."""
    density: str = "DAB, mean OD of nucleus"
    """What the threshold is held against: axis of the charts."""
    index: str = "Positive nuclei, %"
    """What the curve and the map show: axis of the charts."""
    evidence: str = ""
    """What the headline rests on, with {part} and {whole}, such as "{part} cells in {whole} um2"; empty: it
    is a share of the cells."""
    map: str = ""
    """Axis of the map where it shows positive cells per mm2; empty: it shows their share."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Counted cells of one class."""

    name: str
    """Of the class."""
    color: str
    """Of its outlines in the pictures, #rrggbb."""
    count: int
    """Cells."""


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """What the methods paragraph needs beyond the rest of the content."""

    tissue_method: str
    """Name and version of the tissue finder."""
    positive_od: float | None
    """Mean DAB density from which a nucleus is positive, OD (base 10); None: the network's class decided."""
    positive_od_source: str = "default"
    """Who set it: ``default``, ``user`` or a method's name."""
    hot_spot_nuclei: int | None = None
    """Nuclei per hot-spot window; None where no hot spot is reported."""
    hot_spot_radius_um: float | None = None
    """Largest radius of such a window, um."""
    field_seed: int | None = None
    """Seed by which the fields of view of the report were drawn."""
    limits: tuple[str, ...] = ()
    """Known limits of the method, a sentence each."""
    tumour_threshold: float | None = None
    """Probability of tumour from which a nucleus counts, fitted to the slide; None: all count."""
    judged: str = ""
    """How cells were judged, as a sentence without its full stop; empty: by the two fields above."""
    scored: str = ""
    """What the headline is, as the end of "The ... "; empty: the percentage of positive counted nuclei."""
    region: str = ""
    """Whose outline of the tumour counts, as a sentence; empty where there is none."""


@dataclass(frozen=True, slots=True)
class CategoryScale:
    """The cut-offs behind the category, for the bar beside the headline."""

    title: str
    """Whose cut-offs, and for whom."""
    source: str
    """Reference."""
    bands: tuple[tuple[str, float | None], ...]
    """Name and upper end in the score's unit, from low to high; the last has no end."""
    note: str = ""
    """One line that must stand beside it."""


@dataclass(frozen=True, slots=True)
class FieldPicture:
    """A field of view, bare and outlined side by side."""

    data: bytes
    """JPEG or PNG file, from `draw_crop_pair`."""
    x_mm: float
    """Its centre, mm from the slide's left edge."""
    y_mm: float
    """mm from the upper edge."""
    side_um: float
    """Side of the field, um."""
    positive: int
    """Positive nuclei in it."""
    counted: int
    """Positive and negative nuclei in it."""


@dataclass(frozen=True, slots=True)
class ReportPictures:
    """Photographs of a report; charts are drawn from the numbers."""

    overview: bytes | None = None
    """PNG file, from `draw_overview`."""
    hot_spot: FieldPicture | None = None
    """The hot spot."""
    fields: tuple[FieldPicture, ...] = ()
    """Fields drawn at random, four to six."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made the result; no times and no machine names, so that a resumed run gives the same report."""

    slidelab: str
    """Version."""
    git: str
    """Commit, or ``release``."""
    settings: Mapping[str, Any]
    """Every setting that shapes the numbers, plain JSON values, nested as in the settings file."""
    seam_density: float | None = None
    """Density of nuclei at tile borders relative to the whole tissue; 1 = no seam, None = unknown."""
    software: Mapping[str, str] = field(default_factory=dict)
    """Versions of packages that may change a number."""


@dataclass(frozen=True)
class ReportContent:
    """All that ``report.json``, ``report.html`` and ``report.pdf`` say of one slide."""

    slide: SlideFacts
    result: SlideResult
    resolution: ResolutionFacts
    stain: StainProfile
    detector: DetectorFacts
    methods: MethodFacts
    provenance: Provenance
    excluded_mm2: Mapping[str, float] = field(default_factory=dict)
    """Tissue area left out, by the same reasons as ``result.excluded``, mm2."""
    scale: CategoryScale | None = None
    """Cut-offs of the headline's category."""
    hot_spot: Circle | None = None
    """Where the hot spot lies, level-0 px."""
    curve: ThresholdCurve | None = None
    """Sensitivity of the headline to the positivity threshold."""
    histogram: StainHistogram | None = None
    """DAB densities of the counted nuclei."""
    fields: FieldMap | None = None
    """Counts per field, for the map."""
    tissue: TissueMask | None = None
    """Silhouette of that map."""
    pictures: ReportPictures = field(default_factory=ReportPictures)
    words: MarkerWords = field(default_factory=MarkerWords)
    """What things are called."""
    classes: tuple[ClassCount, ...] = ()
    """Counted cells by class."""
    counted: tuple[int, int] | None = None
    """Positive and all counted cells, where the headline is no share of cells."""
    advice: tuple[str, ...] = ()
    """What the rule of the marker asks to do next, a sentence each; stands right below the headline."""
    normalised: NormalisationFacts | None = None
    """What became of a normalisation of the pixels that the network saw; None: nothing was asked for."""
