"""Where a training begins: its configuration, by name or file, and the folder that it works in."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...errors import SettingsError

if TYPE_CHECKING:
    from ...models.training.settings_file import SettingsFile

__all__ = ["open_workspace", "read_configuration"]

Settings = TypeVar("Settings", bound="SettingsFile")


def read_configuration(name: str, kind: type[Settings], *, own: Sequence[str]) -> Settings:
    """Read the settings of a training: a TOML file, or one of slidelab's own by name.

    Parameters
    ----------
    name : str
        File or name.
    kind : type
        What the settings are of.
    own : sequence of str
        Patterns of slidelab's own files of that kind; those of other networks lie beside them.

    Raises
    ------
    SettingsError
        If there is no such file and no such name, or the settings are wrong.
    """
    from ...models.training.config import CONFIGS

    path = Path(name)
    if path.suffix != ".toml":
        names = sorted(each.stem for pattern in own for each in CONFIGS.glob(pattern))
        if name not in names:
            raise SettingsError(
                f"no training configuration {name!r}", f"Give a .toml file or one of: {', '.join(names)}."
            )
        path = CONFIGS / f"{name}.toml"
    return kind.read(path)


def open_workspace(folder: Path, name: str, *, overwrite: bool) -> Path:
    """Return where a training keeps checkpoint and log; ``overwrite`` forgets an earlier one."""
    workspace = folder / "training" / name
    if overwrite and workspace.is_dir():
        shutil.rmtree(workspace)
    return workspace
