"""What is known about a model: a validated card, kept as JSON beside the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from ..errors import SettingsError

__all__ = [
    "DETECTION_TASKS",
    "CardLicence",
    "CardMetric",
    "CardTraining",
    "DataLicence",
    "ModelCard",
    "ModelInput",
]

NAME_PATTERN = r"^[a-z0-9_]+-[a-z0-9_-]+\.[a-z0-9_-]+$"
"""``<task>-<arch>.<dataset>``; no path separator can slip through, as files are named after it."""

RESEARCH_ONLY = "research-only"
"""Licence of weights that learned from data whose terms allow evaluation or research alone."""

PERMISSIVE_WEIGHTS = frozenset(
    {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0"}
)
"""SPDX names that the permissive policy accepts; anything else, a typing error included, is refused."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Task = Literal[
    "cell-detection",
    "signet-ring-detection",
    "blood-cell-detection",
    "cell-classification",
    "tissue-classification",
    "stain-normalisation",
    "patch-classification",
]
DETECTION_TASKS = ("cell-detection", "signet-ring-detection", "blood-cell-detection")
"""Tasks of a `CellNetwork`. One that finds a single kind of cell has a task of its own, so that it is never
taken where all nuclei are wanted."""
Stain = Literal["H-DAB", "H&E", "Papanicolaou", "Romanowsky", "any", "unstated"]


class _CardPart(BaseModel):
    """Frozen, and no unknown field: a misspelt one must not pass for an absent one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelInput(_CardPart):
    """What the network wants to be fed."""

    channels: Literal["RGB"] = "RGB"
    """Order of the channels."""
    scaling: Text
    """How 8-bit values become numbers, such as ``1 - value/255``."""
    stride_px: int = Field(ge=1)
    """Tiles must begin on multiples of this many working pixels, or results depend on the tiling."""


class DataLicence(_CardPart):
    """One data set that the weights learned from."""

    name: Text
    licence: Text
    """The licence as its source states it."""
    source: Text
    """Where it comes from: DOI, or repository and commit."""
    use: Literal["open", "evaluation-only"]
    """Whether weights that learned from it may be used freely."""

    @model_validator(mode="after")
    def _open_means_open(self) -> Self:
        """Refuse data called open under a licence that forbids commercial use."""
        if self.use == "open" and re.search(r"\bNC\b|non-?commercial|research[- ]only", self.licence, re.I):
            raise ValueError(f"{self.name} cannot be open under {self.licence}")
        return self


class CardLicence(_CardPart):
    """Licences of the three things that a model is made of."""

    code: Text
    """SPDX name."""
    weights: Text
    """SPDX name, ``research-only`` or ``unknown``."""
    data: tuple[DataLicence, ...] = ()

    @property
    def restricting(self) -> tuple[DataLicence, ...]:
        """The data sets that forbid free use of the weights."""
        return tuple(data for data in self.data if data.use == "evaluation-only")

    @model_validator(mode="after")
    def _weights_inherit_from_data(self) -> Self:
        """Refuse a licence that gives away more than the data allow."""
        if self.restricting and self.weights != RESEARCH_ONLY:
            names = ", ".join(data.name for data in self.restricting)
            raise ValueError(f"weights trained on {names} must be {RESEARCH_ONLY}, not {self.weights}")
        return self


class CardMetric(_CardPart):
    """One measured figure and the script that measured it."""

    set: Text
    """Data set."""
    part: Text
    """Part of the set, such as ``validation``."""
    name: Text
    value: float
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval; absent where none was computed."""
    n: int = Field(ge=1)
    """How many cases (images, patients) the figure rests on."""
    script: Text
    """No metric without its script."""

    @model_validator(mode="after")
    def _interval_is_whole(self) -> Self:
        """Refuse half an interval, and one turned round."""
        if (self.low is None) != (self.high is None):
            raise ValueError("give both low and high, or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class CardTraining(_CardPart):
    """How to make the weights again."""

    script: Text
    seed: int
    config: Text | dict[str, JsonValue]
    """File in the repository, or the values themselves."""
    commit: Text
    split: Text
    """What the split keeps together: patient, slide or image."""


class ModelCard(_CardPart):
    """Everything that a user, a report and the loader must know about one set of weights.

    Stored as ``NAME.json`` beside ``NAME.safetensors``.
    """

    name: str = Field(pattern=NAME_PATTERN)
    """``<task>-<arch>.<dataset>``, lower case."""
    version: str = Field(pattern=r"^\d+(\.\d+){0,2}$")
    task: Task
    mpp: float = Field(gt=0, le=100)
    """Resolution that the network works at, um per px."""
    input: ModelInput
    classes: tuple[Text, ...]
    """Names of the outputs, in their order."""
    stain: Stain
    licence: CardLicence
    metrics: tuple[CardMetric, ...] = ()
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the weights file."""
    receptive_field_px: int = Field(ge=0)
    """How far from a pixel anything can influence it: a radius, working px."""
    intended_use: Text
    limits: tuple[Text, ...] = Field(min_length=1)
    """Known failures, a sentence each; every model has some."""
    architecture: dict[str, JsonValue]
    """What rebuilds the network before the weights are loaded into it."""
    thresholds: dict[str, float] = {}
    """Decision thresholds chosen on the tuning part."""
    training: CardTraining | None = None
    """Absent for models that were trained elsewhere."""
    source: Text | None = None
    """Where a pulled model came from: the hub reference with its commit."""
    default_rank: int = 100
    """Among models of a task and stain the lowest is the default; set from measured accuracy."""

    @property
    def research_only(self) -> bool:
        """Whether the permissive policy refuses these weights: restricted data, or no permissive licence."""
        return bool(self.licence.restricting) or self.licence.weights not in PERMISSIVE_WEIGHTS

    @model_validator(mode="after")
    def _classes_are_told_apart(self) -> Self:
        """Refuse equal class names, and none where the task has classes."""
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: two have the same name")
        if not self.classes and self.task != "stain-normalisation":
            raise ValueError(f"classes: a model for {self.task} has at least one")
        return self

    @classmethod
    def check(cls, values: Mapping[str, Any], *, where: str = "model card") -> Self:
        """Build a card from plain values.

        Parameters
        ----------
        values : mapping
            The card's fields; sub-models as mappings.
        where : str
            Named in the error, such as the file that the values come from.

        Raises
        ------
        SettingsError
            If a field is missing, unknown or wrong; names the first such field.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _translated(error, where) from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a card.

        Raises
        ------
        SettingsError
            If there is no such file, or it holds no valid card; names the first wrong field.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise SettingsError(
                f"no model card can be read at {path}", "Keep NAME.json beside NAME.safetensors."
            ) from error
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise _translated(error, str(path)) from error

    def write(self, path: Path) -> Path:
        """Write the card atomically as JSON; returns the path."""
        from ..tiling import write_json  # here, as the face of tiling takes a third of a second to load

        write_json(path, self.model_dump(mode="json"))
        return path


def _translated(error: ValidationError, where: str) -> SettingsError:
    """Turn pydantic's report into one line that names the first wrong field."""
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"])
    message = " ".join(first["msg"].removeprefix("Value error, ").split())
    given = first["input"]
    value = f" (given: {str(given)[:60]!r})" if isinstance(given, str | int | float | None) else ""
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    place = f"{where}: {field}: " if field else f"{where}: "
    return SettingsError(f"{place}{message}{value}{more}", "Correct that field of the model card.")
