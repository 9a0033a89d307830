"""Weights on disk: safetensors and nothing else, as unpickling a stranger's file runs its code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DamagedWeightsError, MissingDependencyError, ModelNotFoundError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_tensor_file", "file_sha256", "read_tensors"]

LENGTH_BYTES = 8
"""The file begins with the length of its JSON header as a little-endian integer of this size."""
LONGEST_HEADER = 100_000_000
"""The format's own limit, bytes."""

CONVERT = (
    "Convert it where you trust its origin, with safetensors.torch.save_file(model.state_dict(), "
    "'NAME.safetensors')."
)
DOWNLOAD_AGAIN = "Delete the file and fetch the model again; if it persists, tell whoever made the card."


def check_tensor_file(path: Path) -> None:
    """Make sure that a file is a whole safetensors file, by its header alone.

    Raises
    ------
    ModelNotFoundError
        If the file is not there.
    DamagedWeightsError
        If it is of another kind, such as a pickle under a false name, or cut short.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(LENGTH_BYTES)
            length = int.from_bytes(start, "little")
            fits = len(start) == LENGTH_BYTES and length <= min(LONGEST_HEADER, size - LENGTH_BYTES)
            header = stream.read(length) if fits else b""
    except OSError as error:
        raise ModelNotFoundError(
            f"no weights can be read at {path}", "Keep NAME.safetensors beside NAME.json."
        ) from error
    end = _end_of_tensors(header)
    if end is None:
        raise DamagedWeightsError(f"{path} is no safetensors file{_kind(start)}", CONVERT)
    if LENGTH_BYTES + length + end != size:
        wanted = LENGTH_BYTES + length + end
        raise DamagedWeightsError(f"{path} has {size} bytes, its header asks for {wanted}", DOWNLOAD_AGAIN)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_tensors(path: Path, *, sha256: str) -> dict[str, Tensor]:
    """Read the tensors of a weights file.

    Parameters
    ----------
    path : Path
        A safetensors file.
    sha256 : str
        What the card promises; compared with the very bytes that are loaded, so no file can be exchanged
        between check and use.

    Raises
    ------
    DamagedWeightsError
        If the file differs from its card or is no safetensors file.
    MissingDependencyError
        If torch or safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise MissingDependencyError(
            "loading weights needs torch and safetensors", "Install them with: pip install torch safetensors"
        ) from error
    check_tensor_file(path)
    content = path.read_bytes()
    compare_sha256(path, found=hashlib.sha256(content).hexdigest(), expected=sha256)
    try:
        tensors: dict[str, Tensor] = load(content)
    except SafetensorError as error:
        raise DamagedWeightsError(f"{path} cannot be loaded: {error}", DOWNLOAD_AGAIN) from error
    return tensors


def compare_sha256(path: Path, *, found: str, expected: str) -> None:
    """Raise if the weights are not those that the card describes."""
    if found != expected:
        raise DamagedWeightsError(
            f"{path} has sha256 {found[:12]}..., its card says {expected[:12]}...", DOWNLOAD_AGAIN
        )


def _end_of_tensors(header: bytes) -> int | None:
    """Return how many bytes follow the header, or None where it is no header."""
    if not header.startswith(b"{"):
        return None
    try:
        tensors: dict[str, Any] = json.loads(header)
        ends = [int(about["data_offsets"][1]) for key, about in tensors.items() if key != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None
    return max(ends, default=0)


def _kind(start: bytes) -> str:
    """Name the usual strangers."""
    if start.startswith(b"PK"):
        return " but a zip archive, as PyTorch and TorchScript write them"
    if start.startswith(b"\x80"):
        return " but a Python pickle"
    if start.startswith(b"version "):
        return " but a Git LFS pointer"
    return ""
