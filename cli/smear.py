"""`slidelab count smear`: blood smears from field images or slides to counts, differential and flags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .options import (
    Clean,
    Debug,
    Device,
    Json,
    LicensePolicy,
    Mpp,
    Out,
    Profile,
    Resume,
    RetryFailed,
    Scheduler,
    Workers,
    choose_scheduler,
    configure_logging,
    print_figures,
    print_json,
    say,
)

if TYPE_CHECKING:
    from ..workflows.smear.analyser import BloodFacts

__all__ = ["bench_smear", "count_app"]

count_app = typer.Typer(no_args_is_help=True, help="Count cells that lie apart from each other.")


@count_app.callback()
def _count() -> None:
    """Keep the verb: with one command alone typer would drop its name."""


Images = Annotated[
    list[str] | None,
    typer.Argument(
        help="Folders of field images, slides, globs, or a CSV list with columns path, mpp, id.",
        show_default=False,
    ),
]
CellModel = Annotated[str, typer.Option(help="auto (none where none is at hand), none, or a name.")]


@count_app.command("smear")
def count_smear(  # noqa: PLR0913 -- one parameter per documented option of the command line
    images: Images = None,
    out: Out = Path("results"),
    mpp: Mpp = None,
    wbc: Annotated[
        float | None, typer.Option(help="White cells by the analyser, 10⁹/L.", show_default=False)
    ] = None,
    nrbc: Annotated[
        int | None,
        typer.Option(help="Nucleated red cells per 100 white cells, counted by eye.", show_default=False),
    ] = None,
    counts_nrbc: Annotated[
        bool, typer.Option("--counts-nrbc", help="The analyser counts them as white cells: correct --wbc.")
    ] = False,
    rbc: Annotated[
        float | None, typer.Option(help="Red cells by the analyser, 10¹²/L.", show_default=False)
    ] = None,
    platelets: Annotated[
        float | None, typer.Option(help="Platelets by the analyser, 10⁹/L.", show_default=False)
    ] = None,
    analyser: Annotated[
        Path | None,
        typer.Option(help="CSV with a line per smear: smear, wbc, nrbc, ... (see docs).", show_default=False),
    ] = None,
    factor: Annotated[
        int | None,
        typer.Option(
            help="The laboratory's platelet factor, per µL for each platelet per oil field.",
            show_default=False,
        ),
    ] = None,
    part: Annotated[
        Literal["monolayer", "wedge"], typer.Option(help="Of the smear: which published factor.")
    ] = "monolayer",
    whole_fields: Annotated[
        bool, typer.Option("--whole-fields", help="Each image shows a whole 100x oil field.")
    ] = False,
    area: Annotated[float, typer.Option(help="Most mm2 of a slide that are read.")] = 40.0,
    model: Annotated[str, typer.Option(help="Detector: auto, or a name.")] = "auto",
    white_model: CellModel = "auto",
    red_model: CellModel = "auto",
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
    """Red cells, white cells and platelets of blood smears, five-part differential, platelet estimate."""
    from ..quantify import BloodCount
    from ..workflows import RunOptions, run_cohort, slides_to_retry
    from ..workflows.runs.terminal import describe_profile, describe_run, watch
    from ..workflows.smear.analyser import BloodFacts
    from ..workflows.smear.cohort import write_smear_cohort
    from ..workflows.smear.findings import CountSettings
    from ..workflows.smear.inputs import find_smears
    from ..workflows.smear.plan import SmearSettings
    from ..workflows.smear.readers import choose_red, choose_smear, choose_white
    from ..workflows.smear.workflow import SmearCount

    configure_logging(debug=debug)
    smears = slides_to_retry(out, mpp=mpp) if retry_failed else find_smears(images or [], mpp=mpp)
    blood = BloodCount(wbc=wbc, counts_nrbc=counts_nrbc, rbc=rbc, platelets=platelets)
    given = BloodFacts(blood, nrbc)
    reader = choose_smear(model, policy=license_policy, device=device)
    workflow = SmearCount(
        plan=SmearSettings(most_mm2=area),
        reader=reader,
        white=choose_white(white_model, policy=license_policy, device=device),
        red=choose_red(red_model, policy=license_policy, device=device),
        counting=CountSettings(factor=factor, part=part, whole_fields=whole_fields),
        blood=_blood(given, analyser, [each.slide_id for each in smears]),
    )
    options = RunOptions(
        out,
        scheduler=choose_scheduler(scheduler, runs_on_card=reader.runs_on_card),
        workers=workers,
        overwrite=not resume,
        clean=clean,
    )
    with watch(len(smears), quiet=as_json) as progress:
        run = run_cohort(workflow, smears, options=options, progress=progress)
    write_smear_cohort(run)
    if as_json:
        for outcome in run.outcomes:
            print_json(outcome.to_json(run.out))
    else:
        say(describe_run(run))
        if profile:
            say(describe_profile(run))
    raise typer.Exit(run.exit_code)


def _blood(given: BloodFacts, analyser: Path | None, names: list[str]) -> dict[str, BloodFacts]:
    """Return what is known of each sample, from the list or from the options for one smear."""
    from ..errors import SettingsError
    from ..workflows.smear.analyser import NO_BLOOD, read_analyser

    if analyser is not None:
        if given != NO_BLOOD:
            raise SettingsError("a list of the analyser's results beside single ones", "Give one of the two.")
        listed = read_analyser(analyser)
        unknown = sorted(set(listed) - set(names))
        if unknown:
            raise SettingsError(
                f"{analyser.name} names {unknown[0]!r}, which is no smear of this run",
                f"Smears are {', '.join(names[:10])}.",
            )
        return dict(listed)
    if given != NO_BLOOD and len(names) != 1:
        raise SettingsError(
            f"one set of the analyser's results for {len(names)} smears", "Give a list with --analyser."
        )
    return {"": given}


def bench_smear(
    images: Annotated[str, typer.Argument(help="A folder of field images, or a slide.")],
    mpp: Mpp = None,
    workers: Annotated[int, typer.Option(help="Worker processes, one thread each.")] = 2,
    as_json: Json = False,
) -> None:
    """Seconds per field, or per mm2 of a slide, from images to the smear's report."""
    from ..workflows.bench_smear import benchmark_smear
    from ..workflows.smear.workflow import SmearCount

    figures = benchmark_smear(images, workflow=SmearCount(), mpp=mpp, workers=workers)
    print_figures(figures, as_json=as_json)
