"""What goes out of a training of a stain generator: weights and card."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.labelled import COLLECTIONS
from ...models.labelled.colorectal import COLORECTAL_SETS
from ...tiling import atomic_file
from ..runs.provenance import git_commit

if TYPE_CHECKING:
    from ...models.training.stain.config import StainConfig
    from ...models.training.stain.samples import SiteField

__all__ = ["publish_generator"]

WORKING_MPP = 0.5
"""Resolution in the middle of those that crops are drawn at, um per px; nothing is resampled to it."""
PLAIN_RANK = 900
"""A plain generator is never the default."""
INTENDED = "Giving H&E slides of different laboratories one look, for research; not for diagnosis."


def publish_generator(
    weights: Path, fields: Sequence[SiteField], *, config: StainConfig, folder: Path
) -> Path:
    """Write weights and card of a trained generator.

    Parameters
    ----------
    weights : Path
        Of a training.
    fields : sequence of SiteField
        What it was trained from.
    config : StainConfig
        How.
    folder : Path
        Receives both files.

    Returns
    -------
    Path
        ``NAME.json``, without metrics: ``scripts/accuracy_stain.py --ship`` adds them.
    """
    from ...models.card import ModelCard
    from ...models.tensor_file import file_sha256

    settings = config.network_settings()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{config.name}.safetensors"
    with atomic_file(target) as temporary:
        shutil.copyfile(weights, temporary)
    counts = Counter(one.site for one in fields)
    card = ModelCard.check(
        {
            "name": config.name,
            "version": "1",
            "task": "stain-normalisation",
            "mpp": WORKING_MPP,
            "input": {"scaling": "-log10(value/white)", "stride_px": 1},
            "classes": (),
            "stain": "H&E",
            "licence": licence_of(config.sites),
            "sha256": file_sha256(target),
            "receptive_field_px": settings.reach,
            "intended_use": INTENDED,
            "limits": _limits(config, counts),
            "architecture": json.loads(json.dumps(asdict(settings))),
            "training": {
                "script": "slidelab train stain" + ("" if config.guided else " --plain"),
                "seed": config.seed,
                "config": config.model_dump(mode="json"),
                "commit": git_commit(),
                "split": "training parts, by patient where patients are known: "
                + ", ".join(f"{counts[site]} of {site}" for site in config.sites),
            },
            "default_rank": 100 if config.guided else PLAIN_RANK,
        },
        where=config.name,
    )
    return card.write(folder / f"{config.name}.json")


def licence_of(sites: Sequence[str]) -> dict[str, Any]:
    """Return the licence block: what the terms of the images allow."""
    data = []
    for name in sites:
        known = COLLECTIONS.get(name) or COLORECTAL_SETS.get(name)
        data.append(
            {
                "name": name,
                "licence": known.licence if known else "not stated",
                "source": known.source if known else "not stated",
                "use": "open" if known and known.is_open else "evaluation-only",
            }
        )
    is_open = all(one["use"] == "open" for one in data)
    return {"code": "Apache-2.0", "weights": "Apache-2.0" if is_open else "research-only", "data": data}


def _limits(config: StainConfig, counts: Counter[str]) -> list[str]:
    """Return what the images leave unknown, a sentence each."""
    limits = [
        f"Learnt from {sum(counts.values())} fields of {len(counts)} collections: other scanners may differ.",
        "Each field's look was fitted to that field alone; a slide's look rests on more.",
        "For H&E: slides with DAB or other dyes are left as they are.",
        "It may change what a colour means: never measure stain on its pixels.",
    ]
    if config.guided:
        limits.append(
            "The critic saw no image of the reference look: it was learnt from looks of real fields."
        )
    else:
        limits.append(f"It knows one target, the look of {config.plain_target}.")
    return limits
