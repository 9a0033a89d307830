"""Patch classifiers of the WSInfer zoo: their ``config.json`` read as a model card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, JsonValue, ValidationError, model_validator

from ..errors import ModelRefusedError, SettingsError
from .card import ModelCard
from .tensor_file import CONVERT

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "read_wsinfer", "wsinfer_name"]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


class _Transform(BaseModel):
    """One step of preprocessing."""

    name: str
    arguments: dict[str, JsonValue] | None = None


class _WsinferConfig(BaseModel):
    """The format's version 1.0; unknown keys are others' business."""

    spec_version: str = Field(pattern=r"^1\.\d+$")
    architecture: str = Field(min_length=1)
    num_classes: int = Field(ge=1)
    class_names: tuple[str, ...]
    patch_size_pixels: int = Field(ge=1)
    spacing_um_px: float = Field(gt=0)
    transform: tuple[_Transform, ...]

    @model_validator(mode="after")
    def _every_class_has_a_name(self) -> Self:
        """Refuse a list of names of the wrong length."""
        if len(self.class_names) != self.num_classes:
            raise ValueError(f"{len(self.class_names)} class_names for num_classes {self.num_classes}")
        return self


def read_wsinfer(config: Path, *, origin: str, sha256: str) -> ModelCard:
    """Read a WSInfer configuration as a card.

    The format states no licence, stain or accuracy: the card is research-only and says so.

    Parameters
    ----------
    config : Path
        The ``config.json``.
    origin : str
        Name of the folder or repository that holds it; becomes part of the card's name.
    sha256 : str
        Of the weights beside it, 64 hexadecimal digits.

    Raises
    ------
    SettingsError
        If the configuration is not valid, named by its first wrong field.
    """
    content = _read_config(config)
    steps = tuple(content.transform)
    values = {
        "name": wsinfer_name(content.architecture, origin=origin),
        "version": "1",
        "task": "patch-classification",
        "mpp": content.spacing_um_px,
        "input": {
            "scaling": " > ".join(step.name for step in steps) or "none",
            "stride_px": content.patch_size_pixels,
        },
        "classes": content.class_names,
        "stain": "unstated",
        "licence": {"code": "unknown", "weights": "unknown"},
        "sha256": sha256,
        "receptive_field_px": -(-content.patch_size_pixels // 2),
        "intended_use": "Research: patch classification as the WSInfer zoo describes this model.",
        "limits": ("Not measured by slidelab.", "Licence and stain are not stated by the configuration."),
        "architecture": {
            "library": "timm",
            "name": content.architecture,
            "num_classes": content.num_classes,
            "patch_size_px": content.patch_size_pixels,
            "transform": [{"name": step.name, "arguments": step.arguments or {}} for step in steps],
        },
    }
    return ModelCard.check(values, where=str(config))


def wsinfer_name(architecture: str, *, origin: str) -> str:
    """Return the card's name: architecture and origin with all but letters, digits, - and _ replaced."""
    return f"patch-{_slug(architecture)}.{_slug(origin)}"


def refuse_torchscript(folder: Path) -> None:
    """Raise where a WSInfer folder holds TorchScript in place of safetensors."""
    script = next((path for path in sorted(folder.glob("*.pt")) if path.is_file()), None)
    if script is not None and not (folder / WEIGHTS_FILE).is_file():
        raise ModelRefusedError(f"{script} is TorchScript, which can run any code when loaded", CONVERT)


def _read_config(config: Path) -> _WsinferConfig:
    """Read and validate the configuration."""
    advice = "Compare it with the WSInfer zoo's model configuration, version 1.0."
    try:
        return _WsinferConfig.model_validate_json(config.read_bytes())
    except OSError as error:
        raise SettingsError(f"cannot read {config}", advice) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = " ".join(first["msg"].removeprefix("Value error, ").split())
        raise SettingsError(f"{config}: {field + ': ' if field else ''}{message}", advice) from error


def _slug(text: str) -> str:
    """Return text in the letters of a card's name."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-") or "unnamed"
