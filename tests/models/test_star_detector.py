"""The learned detector: tiled equals untiled bit for bit, and outlines are what the network says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from slidelab.models.network_reach import measure_receptive_field
from slidelab.models.session import InferenceSession, SessionSettings
from slidelab.models.star_detector import StarDetector, StarSettings

from .test_network import SMALL, make_network

MPP = 0.5
SIDE = 528
"""No multiple of the cores below: the last tiles are as narrow as a stride."""
STRIDE = SMALL.stride


@pytest.fixture(scope="module")
def image():
    """Soft blobs on white: something for a network to answer to."""
    random = np.random.default_rng(7)
    field = gaussian_filter(random.normal(size=(SIDE, SIDE, 3)), (3, 3, 0))
    return np.clip(200 + 900 * field, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def detector(image):
    """An untrained network whose threshold is set so that it finds a few thousand things."""
    session = InferenceSession(make_network(seed=3), SessionSettings(device="cpu"))
    with session.turn():
        heat = session.run(session.upload(image[None])).heat.amax(1)
    level = float(1 / (1 + np.exp(-np.quantile(heat.numpy(), 0.7))))
    return StarDetector(
        session,
        mpp=MPP,
        settings=StarSettings(threshold=level, tumour_threshold=level, smallest_area_um2=0.0),
    )


@pytest.fixture(scope="module")
def halo(detector):
    """Receptive field and two radii, in whole strides."""
    reach = measure_receptive_field(SMALL) + 2 * detector.settings.largest_radius_um / MPP
    return int(-(-reach // STRIDE) * STRIDE)


def rows(cells):
    """Everything about cells, sorted by place."""
    columns = [cells.x, cells.y, cells.probability, cells.area_um2, cells.labels]
    columns += [cells.measurements[name] for name in sorted(cells.measurements)]
    table = np.column_stack([np.column_stack(columns), cells.outlines.reshape(len(cells), -1)])
    return table[np.lexsort((table[:, 0], table[:, 1]))]


def tiled(detector, image, *, core, halo):
    """Detect in tiles: read core and halo, keep what the core owns."""
    found = []
    for top in range(0, SIDE, core):
        for left in range(0, SIDE, core):
            y, x = max(0, top - halo), max(0, left - halo)
            bottom, right = min(SIDE, top + core + halo), min(SIDE, left + core + halo)
            densities = np.stack([image[y:bottom, x:right, 0], image[y:bottom, x:right, 1]])
            cells = detector.detect(image[y:bottom, x:right], densities.astype(np.float32) / 255)
            cells = cells.placed(x=x, y=y, scale=1.0)
            owned = (cells.x >= left) & (cells.x < left + core) & (cells.y >= top) & (cells.y < top + core)
            found.append(rows(cells.select(owned)))
    table = np.concatenate(found)
    return table[np.lexsort((table[:, 0], table[:, 1]))]


@settings(max_examples=4, deadline=None)
@given(st.sampled_from([48, 128, 192, 256, 320]))
def test_tiled_equals_untiled_bit_for_bit(detector, image, halo, core):
    whole = tiled(detector, image, core=SIDE, halo=0)
    assert len(whole) > 300
    assert np.array_equal(tiled(detector, image, core=core, halo=halo), whole)


def test_the_halo_is_needed(detector, image):
    """Guards the test above: with too small a halo the results do differ."""
    whole = tiled(detector, image, core=SIDE, halo=0)
    cut = tiled(detector, image, core=128, halo=16)
    assert cut.shape != whole.shape or not np.array_equal(cut, whole)


def test_area_is_that_of_the_outline_and_centroids_lie_on_the_grid(detector, image):
    cells = detector.detect(image)
    x, y = cells.outlines[..., 0], cells.outlines[..., 1]
    area = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1)) * MPP**2
    assert np.allclose(area, cells.area_um2, rtol=0.02, atol=0.2)
    assert np.array_equal(np.round(cells.x * 64), cells.x * 64)


def test_measurements_name_what_the_network_tells(detector, image):
    densities = np.stack([np.full(image.shape[:2], 0.25), np.full(image.shape[:2], 0.5)]).astype(np.float32)
    seconds = {}
    cells = detector.detect(image, densities, seconds=seconds)
    assert set(cells.measurements) == {
        "nucleus_probability",
        "tumour_probability",
        "positive_probability",
        "hematoxylin_od_mean",
        "dab_od_mean",
    }
    assert np.allclose(cells.measurements["dab_od_mean"], 0.5)
    assert np.allclose(cells.measurements["hematoxylin_od_mean"], 0.25)
    assert set(seconds) == {"wait", "network", "post"}
    assert cells.classes == ("Negative", "Positive")
    assert np.array_equal(cells.labels == 1, cells.measurements["positive_probability"] > 0.5)


def test_higher_thresholds_only_remove_cells(detector, image):
    stricter = StarSettings(threshold=0.9, tumour_threshold=0.9, smallest_area_um2=0.0)
    few = StarDetector(detector.session, mpp=MPP, settings=stricter).detect(image)
    many = detector.detect(image)
    assert len(few) < len(many)
    assert (few.probability >= 0.9).all()


def test_a_blank_image_has_no_cells_or_none_in_glass():
    session = InferenceSession(make_network(seed=3), SessionSettings(device="cpu"))
    strict = StarSettings(threshold=0.999, tumour_threshold=0.999)
    cells = StarDetector(session, mpp=MPP, settings=strict).detect(np.full((64, 64, 3), 255, np.uint8))
    assert len(cells) == 0
    assert cells.outlines.shape == (0, 32, 2)
