"""Settings of a training that stand in a TOML file: read, checked, and wrong ones named in one line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import SettingsError

__all__ = ["AtLeastOne", "Count", "Positive", "SettingsFile", "Share", "Weight"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]


class SettingsFile(BaseModel):
    """Frozen settings; every field can stand in the file, and nothing else may."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def check(cls, values: dict[str, Any], *, where: str) -> Self:
        """Build from plain values; ``where`` names them in the error.

        Raises
        ------
        SettingsError
            If a field is wrong; names the first.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"{part}: " for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise SettingsError(f"{where}: {place}{message}", "Correct this setting.") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises
        ------
        SettingsError
            If the file cannot be read or a field is wrong.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"cannot read {path}: {error}", "Give a TOML file.") from error
        return cls.check(values, where=path.name)
