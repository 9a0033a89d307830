"""Label images and masks give their nuclei, whatever numbers stand in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slidelab.errors import InvalidTableError
from slidelab.models.annotated import read_annotation

from .annotation_files import places, put


def blobs() -> np.ndarray:
    """Three nuclei with gaps in their numbers; two of them touch."""
    labels = np.zeros((12, 16), np.uint16)
    labels[1:4, 1:5] = 300
    labels[1:4, 5:8] = 7
    labels[6:11, 9:12] = 41
    labels[6, 9] = 0
    return labels


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("a.png", np.uint8),
        ("a.png", np.uint16),
        ("a.tif", np.uint16),
        ("a.tiff", np.uint32),
        ("b.tif", np.float32),
    ],
)
def test_label_images_are_read_whatever_their_numbers(tmp_path: Path, name: str, dtype: type) -> None:
    labels = np.where(blobs() == 300, 200, blobs()).astype(dtype)
    if name.endswith("png"):
        Image.fromarray(labels).save(tmp_path / name)
    else:
        import tifffile

        tifffile.imwrite(tmp_path / name, labels)
    read = read_annotation(tmp_path / name, image_size=(16, 12))
    # by rising number: 7, 41, 200
    assert np.allclose(places(read)[0], (6.5, 2.5))
    assert np.allclose(places(read)[2], (3.0, 2.5))
    expected = np.searchsorted([0, 7, 41, 200], labels)
    assert np.array_equal(read.rasterise(16, 12), expected)


@pytest.mark.parametrize("inside", [1, 255])
def test_a_mask_without_numbers_is_parted_and_touching_nuclei_merge(tmp_path: Path, inside: int) -> None:
    Image.fromarray(((blobs() > 0) * inside).astype(np.uint8)).save(tmp_path / "mask.png")
    read = read_annotation(tmp_path / "mask.png")
    assert len(read) == 2
    assert np.allclose(places(read)[0], (4.5, 2.5))


def test_masks_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(blobs()).save(tmp_path / "whole.png")
    put(tmp_path / "cut.png", (tmp_path / "whole.png").read_bytes()[:60])
    put(tmp_path / "text.tif", "no image")
    for name in ("colour.png", "cut.png", "text.tif"):
        with pytest.raises(InvalidTableError, match=name):
            read_annotation(tmp_path / name)
    with pytest.raises(InvalidTableError, match="16 x 12"):
        read_annotation(tmp_path / "whole.png", image_size=(12, 16))
