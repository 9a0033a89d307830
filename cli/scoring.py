"""Verbs of the command line that score slides: one function per marker, the shared options once."""

# Annotations are read when verbs are made, so they are not postponed here.
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .options import (
    Clean,
    Debug,
    Device,
    Json,
    LicensePolicy,
    Model,
    Mpp,
    Normalise,
    Out,
    Profile,
    Resume,
    RetryFailed,
    Scheduler,
    Slides,
    StainProfileFile,
    Tumour,
    Workers,
    choose_normalisation,
    choose_scheduler,
    configure_logging,
    run_slides,
)

if TYPE_CHECKING:
    from ..quantify import IntensityBins

__all__ = ["score_app", "score_ki67"]

Builder = Callable[..., Any]
"""Makes a workflow from what all markers share."""

score_app = typer.Typer(no_args_is_help=True, help="Score immunohistochemistry slides.")

Thresholds = Annotated[
    str | None,
    typer.Option(
        help="DAB densities of weak, moderate and strong stain, OD, such as 0.2,0.4,0.6.",
        show_default=False,
    ),
]
ControlSeen = Annotated[
    Literal["not-stated", "as-expected", "failed", "absent"],
    typer.Option(help="What a person saw of the control."),
]


def scoring_verb(name: str) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a verb of ``slidelab score`` from a function of the marker's own options.

    The function takes its options as keywords and returns what makes the workflow: a callable that is given
    what all markers share (``detector``, ``tumour``, ``lab``, ``normalise``). Slides, folders, models and
    scheduling come from `_score`, so that every marker has them under the same names.
    """

    def decorate(build: Callable[..., Builder]) -> Callable[..., None]:
        own = inspect.signature(build).parameters
        shared = dict(inspect.signature(_score).parameters)
        del shared["build"]
        first = shared.pop("slides")
        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for each in (first, *own.values(), *shared.values())
        ]
        signature = inspect.Signature(parameters)

        def verb(**given: Any) -> None:
            bound = signature.bind(**given)
            bound.apply_defaults()
            chosen = {key: bound.arguments.pop(key) for key in own}
            _score(build=build(**chosen), **bound.arguments)

        verb.__name__, verb.__doc__ = build.__name__, build.__doc__
        verb.__annotations__ = {each.name: each.annotation for each in parameters}
        verb.__signature__ = signature  # type: ignore[attr-defined]
        return score_app.command(name)(verb)

    return decorate


def _score(  # noqa: PLR0913 -- one parameter per documented option of the command line
    *,
    build: Builder,
    slides: Slides = None,
    out: Out = Path("results"),
    mpp: Mpp = None,
    tumour: Tumour = None,
    lab: Annotated[
        Path | None,
        typer.Option(help="A laboratory's thresholds, from slidelab calibrate.", show_default=False),
    ] = None,
    model: Model = "auto",
    normalise: Normalise = "none",
    stain_profile: StainProfileFile = None,
    license_policy: LicensePolicy = "research",
    device: Device = "auto",
    workers: Workers = 0,
    scheduler: Scheduler = "auto",
    resume: Resume = True,
    retry_failed: RetryFailed = False,
    clean: Clean = False,
    profile: Profile = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a marker's workflow over slides."""
    from ..workflows import RunOptions, choose_detector
    from ..workflows.lab_profile import LabProfile

    configure_logging(debug=debug)
    detector = choose_detector(model, stain="H-DAB", policy=license_policy, device=device)
    options = RunOptions(
        out,
        scheduler=choose_scheduler(scheduler, runs_on_card=detector.runs_on_card),
        workers=workers,
        overwrite=not resume,
        clean=clean,
    )
    workflow = build(
        detector=detector,
        tumour=tumour,
        lab=None if lab is None else LabProfile.read(lab),
        normalise=choose_normalisation(normalise, stain_profile, policy=license_policy),
    )
    run_slides(
        workflow,
        slides,
        options=options,
        mpp=mpp,
        retry_failed=retry_failed,
        as_json=as_json,
        profile=profile,
    )


@scoring_verb("ki67")
def score_ki67(
    *,
    positive_od: Annotated[
        float | None,
        typer.Option(
            help="Least mean DAB density of a positive nucleus, OD (base 10); default: the network decides.",
            show_default=False,
        ),
    ] = None,
) -> Builder:
    """Ki-67 labelling index with interval, hot spot, cells and a report for each slide."""
    from ..workflows import Ki67

    return lambda **shared: Ki67(positive_od=positive_od, **shared)


@scoring_verb("er")
def score_er(
    *,
    thresholds: Thresholds = None,
    internal_control: ControlSeen = "not-stated",
    external_control: ControlSeen = "not-stated",
) -> Builder:
    """Oestrogen receptor: percent, intensity, H-score, Allred and the ASCO/CAP category."""
    from ..quantify import Controls
    from ..workflows import EstrogenReceptor

    controls = Controls(_control(internal_control), _control(external_control))
    return lambda **shared: EstrogenReceptor(bins=_bins(thresholds), controls=controls, **shared)


@scoring_verb("pr")
def score_pr(
    *,
    thresholds: Thresholds = None,
    internal_control: ControlSeen = "not-stated",
    external_control: ControlSeen = "not-stated",
) -> Builder:
    """Progesterone receptor: percent, intensity, H-score, Allred and the ASCO/CAP category."""
    from ..quantify import Controls
    from ..workflows import ProgesteroneReceptor

    controls = Controls(_control(internal_control), _control(external_control))
    return lambda **shared: ProgesteroneReceptor(bins=_bins(thresholds), controls=controls, **shared)


@scoring_verb("her2")
def score_her2(
    *,
    thresholds: Thresholds = None,
    specimen: Annotated[
        Literal["breast", "gastric-resection", "gastric-biopsy"], typer.Option(help="Which rules hold.")
    ] = "breast",
    ish_ratio: Annotated[
        float | None, typer.Option(help="ISH: HER2/CEP17, dual probe.", show_default=False)
    ] = None,
    ish_copies: Annotated[
        float | None, typer.Option(help="ISH: HER2 copies per cell.", show_default=False)
    ] = None,
    ish_cells: Annotated[int, typer.Option(help="ISH: cells counted.")] = 20,
) -> Builder:
    """HER2: membrane completeness and intensity cell by cell, 0 to 3+, low and ultralow, ISH advice."""
    from ..errors import SettingsError
    from ..quantify import Ish
    from ..workflows import Her2

    if ish_copies is None and ish_ratio is not None:
        raise SettingsError("an ISH ratio without copies per cell", "Give --ish-copies too.")
    ish = None if ish_copies is None else Ish(copies=ish_copies, ratio=ish_ratio, cells=ish_cells)
    kind: Any = specimen.replace("-", " ")
    return lambda **shared: Her2(bins=_bins(thresholds), specimen=kind, ish=ish, **shared)


@scoring_verb("pdl1")
def score_pdl1(
    *,
    assay: Annotated[Literal["22C3", "28-8", "SP142", "SP263"], typer.Option(help="Antibody and platform.")],
    indication: Annotated[
        str | None, typer.Option(help="Tumour, such as nsclc or tnbc.", show_default=False)
    ] = None,
    thresholds: Thresholds = None,
) -> Builder:
    """PD-L1: TPS, CPS and area scores, with the cut-off of assay and tumour."""
    from ..workflows import Pdl1

    return lambda **shared: Pdl1(assay=assay, indication=indication, bins=_bins(thresholds), **shared)


def _bins(text: str | None) -> "IntensityBins | None":
    """Read three densities."""
    if text is None:
        return None
    from ..errors import SettingsError
    from ..quantify import IntensityBins

    try:
        weak, moderate, strong = (float(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(f"thresholds {text!r}", "Give three densities, such as 0.2,0.4,0.6.") from error
    return IntensityBins(weak, moderate, strong)


def _control(name: str) -> Any:
    """Return what was seen of a control, from the word on the command line."""
    from ..quantify import Control

    return Control("not as expected" if name == "failed" else name.replace("-", " "))
