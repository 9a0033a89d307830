"""The verbs that train networks from labelled images: one verb per kind of network, all alike to use."""

# Annotations are read when verbs are made, so they are not postponed here.
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Debug, Device, Json, configure_logging, print_json, say

__all__ = ["train_app"]

train_app = typer.Typer(no_args_is_help=True, help="Train networks from labelled images.")

Data = Annotated[Path, typer.Option(help="Folder of the known sets of labelled images.")]
Config = Annotated[str, typer.Option(help="A .toml file, or the name of a configuration of slidelab.")]
Out = Annotated[Path, typer.Option(help="Model folder; run again to go on.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Throw an earlier run away.")]

MODELS = Path("models")


@train_app.command("detector")
def train_detector(
    data: Annotated[Path, typer.Option(help="Folder of the known collections, or a CSV manifest.")],
    config: Config,
    out: Out = MODELS,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a cell detector: card and weights in --out, progress in --out/training."""
    from ..workflows.learning.train import find_config, train_detector_model

    configure_logging(debug=debug)
    settings = find_config(config)
    use = ""
    if settings.task == "cell-detection":
        verb = "score ki67" if settings.stain == "H-DAB" else "measure immune"
        use = f"slidelab {verb} SLIDES --model {settings.name}"
    _train(
        train_detector_model,
        settings,
        {"data": data, "folder": out, "device": device, "overwrite": overwrite},
        use=use,
        as_json=as_json,
    )


@train_app.command("tissue")
def train_tissue(
    data: Data,
    config: Config,
    out: Out = MODELS,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network that grades tissue: card and weights in --out, progress in --out/training."""
    from ..workflows.learning.train_tissue import find_tissue_config, train_tissue_model

    configure_logging(debug=debug)
    _train(
        train_tissue_model,
        find_tissue_config(config),
        {"data": data, "folder": out, "device": device, "overwrite": overwrite},
        as_json=as_json,
    )


@train_app.command("cells")
def train_cells(
    data: Data,
    config: Config,
    out: Out = MODELS,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a classifier of single cells: card and weights in --out, progress in --out/training."""
    from ..workflows.learning.train_cells import find_cells_config, train_cell_model

    configure_logging(debug=debug)
    _train(
        train_cell_model,
        find_cells_config(config),
        {"data": data, "folder": out, "device": device, "overwrite": overwrite},
        as_json=as_json,
    )


@train_app.command("stain")
def train_stain(  # noqa: PLR0913 -- one parameter per documented option of the command line
    data: Annotated[Path, typer.Option(help="Folder of the known sets of H&E images, each a site.")],
    config: Config,
    out: Out = MODELS,
    plain: Annotated[
        bool, typer.Option("--plain", help="A plain CycleGAN, which is not told the stains, for comparison.")
    ] = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network that gives H&E another look: card and weights in --out, progress in --out/training."""
    from ..workflows.learning.train_stain import find_stain_config, train_stain_model

    configure_logging(debug=debug)
    settings = find_stain_config(config, plain=plain)
    _train(
        train_stain_model,
        settings,
        {"data": data, "folder": out, "device": device, "overwrite": overwrite},
        use=f"slidelab normalise SLIDE --method cyclegan --model {settings.name} --out X.ome.tiff",
        as_json=as_json,
    )


def _train(train: Any, settings: Any, options: dict[str, Any], *, as_json: bool, use: str = "") -> None:
    """Run a training with its bar and say where the model is and how it is used."""
    from ..workflows.runs.terminal import training_bar

    with training_bar(settings.steps, quiet=as_json) as report:
        card = train(settings, **options, report=report)
    if as_json:
        print_json({"card": str(card), "weights": str(card.with_suffix(".safetensors"))})
        return
    say(f"model: {card}")
    if use:
        say(f"use it with: SLIDELAB_MODELS={options['folder']} {use}")
