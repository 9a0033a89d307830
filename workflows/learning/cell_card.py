"""What goes out of a training of a cell classifier: temperature, reject rule, weights and card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.labelled.cytology_cells import LabelledCell
from ...models.labelled.cytology_sets import CELL_SETS
from ...tiling import atomic_file
from ..runs.provenance import git_commit
from .cell_accuracy import best_temperature, crops_of_cells, reject_threshold

if TYPE_CHECKING:
    from ...models.card import ModelCard
    from ...models.training.cells.config import CellsConfig

__all__ = ["publish_cells"]

OPEN_WEIGHTS, RESEARCH_WEIGHTS = "Apache-2.0", "research-only"
INTENDED = {
    "Papanicolaou": "Naming cells and groups of cervical smears, for research; not for diagnosis.",
    "Romanowsky": "Naming cells of blood smears, for research; not for diagnosis.",
}


def publish_cells(
    weights: Path,
    cells: Mapping[str, Sequence[LabelledCell]],
    *,
    config: CellsConfig,
    folder: Path,
    device: str = "auto",
) -> Path:
    """Choose temperature and reject rule on tuning cells, and write weights and card.

    Weights are stored in half precision, and everything is chosen and measured with these.

    Parameters
    ----------
    weights : Path
        Of a training.
    cells : mapping
        What it was trained from, by part: training, tuning, validation.
    config : CellsConfig
        How.
    folder : Path
        Receives both files.
    device : str
        Where the network runs while the thresholds are chosen.

    Returns
    -------
    Path
        ``NAME.json``, without metrics: add them with `attach_metrics`.
    """
    from ...models.tensor_file import file_sha256

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{config.name}.safetensors"
    _write_half(weights, target)
    start = _card(cells, config, sha256=file_sha256(target), thresholds={"views": float(config.views)})
    chosen = _thresholds(start, target, cells, config=config, device=device)
    card = _card(cells, config, sha256=start.sha256, thresholds=chosen)
    return card.write(folder / f"{config.name}.json")


def _write_half(source: Path, target: Path) -> None:
    """Copy weights in half precision; what belongs to batch norms, vectors all, stays as it is."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        for name, tensor in load_file(source).items()
    }
    with atomic_file(target) as temporary:
        save_file(tensors, temporary)


def _thresholds(
    card: ModelCard,
    weights: Path,
    cells: Mapping[str, Sequence[LabelledCell]],
    *,
    config: CellsConfig,
    device: str,
) -> dict[str, float]:
    """Return the fields of `CellThresholds`."""
    from ...models.cell_classifier import calibrated, load_cell_classifier

    classifier = load_cell_classifier(card, weights, device=device)
    known = [
        cell
        for cell in cells["tuning"] or cells["training"]
        if len(config.classes_of(getattr(cell, config.labels))) == 1 and not cell.assumed
    ]
    named = [config.classes_of(getattr(cell, config.labels))[0] for cell in known]
    truth = np.array([config.classes.index(name) for name in named], np.intp)
    logits = classifier.logits(crops_of_cells(classifier, known))
    temperature = best_temperature(logits, truth)
    return {
        "temperature": temperature,
        "reject_below": reject_threshold(calibrated(logits, temperature), truth),
        "views": float(config.views),
    }


def _card(
    cells: Mapping[str, Sequence[LabelledCell]],
    config: CellsConfig,
    *,
    sha256: str,
    thresholds: Mapping[str, float],
) -> ModelCard:
    """Return the card of weights."""
    from ...models.card import ModelCard
    from ...models.cell_classifier import CELL_TASK

    settings = config.network_settings()
    return ModelCard.check(
        {
            "name": config.name,
            "version": "1",
            "task": CELL_TASK,
            "mpp": config.mpp,
            "input": {"scaling": "1 - value/255", "stride_px": settings.stride},
            "classes": settings.classes,
            "stain": config.stain,
            "licence": _licence(cells),
            "sha256": sha256,
            "receptive_field_px": settings.side // 2,
            "intended_use": INTENDED[config.stain],
            "limits": _limits(cells, config),
            "architecture": json.loads(json.dumps(asdict(settings))),
            "thresholds": dict(thresholds),
            "training": {
                "script": "slidelab train cells",
                "seed": config.seed,
                "config": config.model_dump(mode="json"),
                "commit": git_commit(),
                "split": "by photograph or field where these are known, else by picture: "
                + ", ".join(f"{len(members)} {part}" for part, members in cells.items()),
            },
        },
        where=config.name,
    )


def _licence(cells: Mapping[str, Sequence[LabelledCell]]) -> dict[str, Any]:
    """Return the licence block: what the terms of the images allow."""
    used = [one for part in ("training", "tuning") for one in cells.get(part, ())]
    data = []
    for name in dict.fromkeys(one.set_name for one in used):
        known = CELL_SETS.get(name)
        data.append(
            {
                "name": name,
                "licence": known.licence if known else "not stated",
                "source": known.source if known else "not stated",
                "use": "open" if known and known.is_open else "evaluation-only",
            }
        )
    is_open = all(one["use"] == "open" for one in data)
    return {"code": "Apache-2.0", "weights": OPEN_WEIGHTS if is_open else RESEARCH_WEIGHTS, "data": data}


def _limits(cells: Mapping[str, Sequence[LabelledCell]], config: CellsConfig) -> list[str]:
    """Return what the cells leave unknown, a sentence each."""
    learnt = cells["training"]
    sets = list(dict.fromkeys(one.set_name for one in learnt))
    limits = [
        f"Learnt from {len(learnt)} cells of {len(sets)} collections: other laboratories may differ.",
        "Patients and slides are not stated by the collections: figures may be hopeful.",
        "Probabilities hold for classes as frequent as in the tuning part; on a slide most cells are normal.",
    ]
    if not all(one.scale_stated for one in learnt):
        limits.append("The scale of some images is not stated; it was judged from cells of known size.")
    if any(one.assumed for one in learnt):
        limits.append("Most of its normal cells of liquid-based slides were only assumed to be normal.")
    missing = [name for name in config.classes if not any(_may_be(one, name, config) for one in learnt)]
    if missing:
        limits.append(f"No cell of these classes was learnt from: {', '.join(missing)}.")
    return limits


def _may_be(cell: LabelledCell, name: str, config: CellsConfig) -> bool:
    """Tell whether a cell was learnt as one of a class alone."""
    return config.classes_of(getattr(cell, config.labels)) == (name,)
