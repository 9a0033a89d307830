"""Folders of tiny models with sound cards, and registries over them alone, for tests."""

import hashlib
import json

import numpy as np

from slidelab.models.card import ModelCard
from slidelab.models.registry import Registry

CLOSED = {"name": "DCIS", "licence": "none stated", "source": "repository@1a2b", "use": "evaluation-only"}
WSINFER = {
    "spec_version": "1.0",
    "architecture": "resnet34.tv_in1k",
    "num_classes": 2,
    "class_names": ["other", "tumour"],
    "patch_size_pixels": 175,
    "spacing_um_px": 0.5,
    "transform": [
        {"name": "Resize", "arguments": {"size": 224}},
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": [0.7, 0.6, 0.7], "std": [0.2, 0.2, 0.2]}},
    ],
}


def tensor_bytes(value=1.0):
    """Return a tiny safetensors file of one tensor, written by hand from the format's description."""
    data = np.full((2, 2), value, "<f4").tobytes()
    header = json.dumps(
        {"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, len(data)]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + data


def card_of(name, content, **changes):
    """Return a sound card for a file's content."""
    values = {
        "name": name,
        "version": "1",
        "task": "cell-detection",
        "mpp": 0.5,
        "input": {"scaling": "1 - value/255", "stride_px": 4},
        "classes": ["Positive", "Negative"],
        "stain": "H-DAB",
        "licence": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "sha256": hashlib.sha256(content).hexdigest(),
        "receptive_field_px": 96,
        "intended_use": "Tests.",
        "limits": ["Knows nothing."],
        "architecture": {},
    }
    return ModelCard.check(values | changes)


def add(folder, name, *, value=1.0, content=None, **changes):
    """Put a model into a folder and return its card."""
    content = tensor_bytes(value) if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(content)
    card = card_of(name, content, **changes)
    card.write(folder / f"{name}.json")
    return card


def add_wsinfer(folder, **changes):
    """Put a WSInfer model into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(WSINFER | changes))
    (folder / "model.safetensors").write_bytes(tensor_bytes())


def research(**changes):
    """Return the licence of weights that saw evaluation-only data."""
    return {"licence": {"code": "Apache-2.0", "weights": "research-only", "data": [CLOSED]}, **changes}


def registry(*folders, policy="research", **options):
    """Return a registry over test folders alone."""
    first, *others = folders
    return Registry(folders=others, policy=policy, packaged=first, **options)
