"""Eight turns of an image: each comes back to where it was, and their mean does not depend on how it lay."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from slidelab.models.session import InferenceSession, SessionSettings
from slidelab.models.star_detector import StarDetector, StarSettings
from slidelab.models.turned_views import (
    VIEWS,
    turn_back_maps,
    turn_back_radii,
    turn_pixels,
    turn_places,
)

from .test_network import make_network
from .test_star_detector import rows

SHAPE = (96, 160)


@pytest.fixture(scope="module")
def image():
    """Noise in soft patches."""
    coarse = np.random.default_rng(5).integers(60, 256, (SHAPE[0] // 8, SHAPE[1] // 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


@pytest.fixture(scope="module")
def detector(image):
    """An untrained network that finds many things, looking from all sides."""
    session = InferenceSession(make_network(seed=3), SessionSettings(device="cpu"))
    with session.turn():
        heat = session.run(session.upload(image[None])).heat.amax(1)
    level = float(1 / (1 + np.exp(-np.quantile(heat.numpy(), 0.3))))
    settings = StarSettings(
        threshold=level, tumour_threshold=level, smallest_area_um2=0.0, cover=0.0, views=VIEWS
    )
    return StarDetector(session, mpp=0.5, settings=settings)


@pytest.mark.parametrize("number", range(VIEWS))
def test_maps_come_back_and_places_follow(number):
    maps = torch.arange(2 * 5 * 7).reshape(1, 2, 5, 7).float()
    turned = turn_pixels(maps.permute(0, 2, 3, 1), number).permute(0, 3, 1, 2)
    assert torch.equal(turn_back_maps(turned, number), maps)
    places = torch.tensor([[0, row, column] for row in range(5) for column in range(7)])
    image, row, column = turn_places(places, number, height=5, width=7).unbind(1)
    assert torch.equal(turned[image, :, row, column], maps[0].flatten(1).T)


@pytest.mark.parametrize("number", range(VIEWS))
def test_radii_come_back_to_their_directions(number):
    """The distance from a place to a mark, read along the ray that points at it in the turned image."""
    side, rays = 33, 32
    pixels = torch.zeros(1, side, side, 1)
    pixels[0, 16, 26] = 1.0  # 10 px to the right of the middle: ray 0
    _, row, column, _ = torch.nonzero(turn_pixels(pixels, number))[0]
    angle = np.arctan2(float(row) - 16, float(column) - 16) % (2 * np.pi)
    radii = torch.zeros(1, rays)
    radii[0, round(angle / (2 * np.pi) * rays) % rays] = 10.0
    assert turn_back_radii(radii, number)[0].argmax() == 0
    up = torch.zeros(1, side, side, 1)
    up[0, 6, 16] = 1.0  # 10 px above the middle: ray 24, as rows count downwards
    _, row, column, _ = torch.nonzero(turn_pixels(up, number))[0]
    angle = np.arctan2(float(row) - 16, float(column) - 16) % (2 * np.pi)
    radii = torch.zeros(1, rays)
    radii[0, round(angle / (2 * np.pi) * rays) % rays] = 10.0
    assert turn_back_radii(radii, number)[0].argmax() == 24


def test_a_mirrored_image_has_mirrored_cells(detector, image):
    cells = rows(detector.detect(image))
    mirrored = detector.detect(image[:, ::-1].copy())
    back = replace(
        mirrored,
        x=SHAPE[1] - mirrored.x,
        outlines=np.stack([SHAPE[1] - mirrored.outlines[..., 0], mirrored.outlines[..., 1]], -1),
    )
    assert len(cells) > 30
    assert len(back) == len(cells)
    assert np.allclose(rows(back)[:, :2], cells[:, :2], atol=0.05)


def test_one_view_alone_depends_on_how_the_image_lies(detector, image):
    """Guards the test above."""
    single = StarDetector(detector.session, mpp=0.5, settings=replace(detector.settings, views=1))
    cells, mirrored = single.detect(image), single.detect(image[:, ::-1].copy())
    assert len(cells) != len(mirrored) or not np.allclose(
        np.sort(cells.x), np.sort(SHAPE[1] - mirrored.x), atol=0.05
    )
