"""The verb that writes a slide in other colours, and the one that shows what methods make of it."""

# Annotations are read when verbs are made, so they are not postponed here.
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .options import (
    Debug,
    Device,
    Json,
    LicensePolicy,
    Mpp,
    Workers,
    configure_logging,
    print_figures,
    print_json,
    say,
)

__all__ = ["bench_stain", "normalise"]


def normalise(  # noqa: PLR0913 -- one parameter per documented option of the command line
    slide: Path,
    method: Annotated[
        Literal["none", "reinhard", "macenko", "vahadane", "cyclegan", "distilled"],
        typer.Option(help="How colours are changed; the last two by a network, itself or its student."),
    ] = "macenko",
    out: Annotated[
        Path | None,
        typer.Option(
            help="X.ome.tiff or X.ome.zarr to write; its profile goes beside it.", show_default=False
        ),
    ] = None,
    stain_profile: Annotated[
        Path | None,
        typer.Option(help="The slide's colours from an earlier run: nothing is fitted.", show_default=False),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            help="Aim at these colours: a profile, a slide or an image; default: the published reference.",
            show_default=False,
        ),
    ] = None,
    tissue_only: Annotated[
        bool, typer.Option("--tissue-only", help="Leave all but tissue white; glass is not read.")
    ] = False,
    quality: Annotated[int, typer.Option(help="JPEG quality of an OME-TIFF.")] = 90,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="No JPEG in an OME-TIFF; OME-Zarr never has any.")
    ] = False,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(
            help="A .png to draw: fields of the slide as each method shows them.", show_default=False
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Network of cyclegan and distilled: auto, or a name.")] = "auto",
    license_policy: LicensePolicy = "research",
    device: Device = "cpu",
    mpp: Mpp = None,
    workers: Workers = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a slide in the colours of a target (H&E): fitted once per slide, the same for any tiling."""
    from ..errors import SettingsError
    from ..workflows.contact_sheet import draw_contact_sheet
    from ..workflows.normalise import NormaliseSettings, normalise_slide
    from ..workflows.runs.terminal import bar

    configure_logging(debug=debug)
    if out is None and contact_sheet is None:
        raise SettingsError("nothing to write", "Give --out X.ome.tiff, --out X.ome.zarr or --contact-sheet.")
    settings = NormaliseSettings(
        method, tissue_only, None if lossless else quality, workers, mpp, model, license_policy, device
    )
    told: dict[str, Any] = {}
    if contact_sheet is not None:
        sheet = draw_contact_sheet(
            slide, contact_sheet, mpp=mpp, target=target, model=model, policy=license_policy
        )
        told |= sheet.to_json()
        if not as_json:
            say(f"contact sheet: {contact_sheet}")
    if out is not None:
        with bar(f"normalising {slide.name}", quiet=as_json) as advance:
            done = normalise_slide(
                slide, out, settings=settings, profile=stain_profile, target=target, progress=advance
            )
        told |= done.to_json()
        if not as_json:
            say(done.to_text())
    if as_json:
        print_json(told)


def bench_stain(
    image: Annotated[
        Path | None,
        typer.Argument(help="A slide or image of H&E; default: a phantom.", show_default=False),
    ] = None,
    side: Annotated[int, typer.Option(help="Side of the field, px.")] = 2000,
    rounds: Annotated[int, typer.Option(help="Rounds per side, in turn.")] = 5,
    as_json: Json = False,
) -> None:
    """Megapixels per second of each method on two cores, beside torchstain and TIAToolbox."""
    from ..workflows.bench_stain import benchmark_stain

    print_figures(benchmark_stain(image, side=side, rounds=rounds), as_json=as_json)
