"""Labelled images are read where the experts put their marks."""

import numpy as np
import pytest

from slidelab.errors import SlideNotFoundError
from slidelab.models import KI67_SETS, read_labelled

COUNTS = {"ki67-dcis-points": 20, "ki67-bcdata-sample": 19, "ki67-shidc-sample": 18, "ki67-glioma-nuclei": 4}


@pytest.mark.parametrize("set_name", KI67_SETS)
def test_every_set_is_read_with_points_inside_its_images(data_folder, set_name):
    from PIL import Image

    images = read_labelled(data_folder / "ihc", set_name)
    assert len(images) in (COUNTS[set_name], COUNTS[set_name] + 1)
    for image in images:
        with Image.open(image.path) as opened:
            width, height = opened.size
        slack = 4  # markers were set by hand on another rendering of the image
        assert ((image.x > -slack) & (image.x < width + slack)).all(), image.name
        assert ((image.y > -slack) & (image.y < height + slack)).all(), image.name
        assert len(image.x) == len(image.y) == len(image.positive)


def test_marks_lie_on_something_dark(data_folder):
    # A shifted or mirrored reading of the coordinates would put them on the background.
    from PIL import Image

    for set_name in KI67_SETS:
        darker = []
        for image in read_labelled(data_folder / "ihc", set_name):
            with Image.open(image.path) as opened:
                grey = np.asarray(opened.convert("L"), float)
            x, y = (
                np.clip(v.astype(int), 2, n - 3)
                for v, n in ((image.x, grey.shape[1]), (image.y, grey.shape[0]))
            )
            if len(x):
                darker.append(np.mean(grey[y, x]) < np.median(grey))
        assert np.mean(darker) > 0.9, set_name


def test_cases_stay_together_and_the_split_never_changes(data_folder):
    images = [image for name in KI67_SETS for image in read_labelled(data_folder / "ihc", name)]
    parts: dict[tuple[str, str], set[str]] = {}
    for image in images:
        parts.setdefault((image.set_name, image.case), set()).add(image.part)
    assert all(len(part) == 1 for part in parts.values())
    assert {image.part for image in images} == {"tuning", "validation"}
    assert next(image.part for image in images if image.name == "p1_0299_1") == "validation"


def test_points_outside_the_marked_region_are_told_apart(data_folder):
    images = read_labelled(data_folder / "ihc", "ki67-dcis-points")
    shares = [image.inside(image.x, image.y).mean() for image in images]
    assert np.mean(shares) > 0.95
    corner = np.array([4.0])
    assert not all(image.inside(corner, corner)[0] for image in images)


def test_a_missing_collection_is_named(tmp_path):
    with pytest.raises(SlideNotFoundError, match="ki67-dcis-points"):
        read_labelled(tmp_path, "ki67-dcis-points")
