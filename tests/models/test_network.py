"""The network: what goes in, what comes out, and that nothing depends on the company."""

import numpy as np
import pytest
import torch

from slidelab.errors import SettingsError
from slidelab.models.network import CellNetwork, NetworkSettings, to_input
from slidelab.models.session import InferenceSession, SessionSettings, choose_device

SMALL = NetworkSettings(
    encoder_options={"channels": [16, 16, 32, 32], "stem_width": 16}, widths=(16, 16, 32), hidden=32
)


def make_network(settings=SMALL, seed=1):
    """A network with the statistics of a little training, so that batch norms do something."""
    torch.manual_seed(seed)
    network = CellNetwork(settings)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(4, 3, 64, 64))
    return network.eval()


def pixels(seed, height, width, count=1):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_white_is_zero_and_black_is_one():
    image = torch.tensor([[[[255, 255, 255], [0, 0, 0]]]], dtype=torch.uint8)
    assert to_input(image).tolist() == [[[[0.0, 1.0]], [[0.0, 1.0]], [[0.0, 1.0]]]]


def test_input_is_not_changed_by_the_conversion():
    image = torch.from_numpy(pixels(1, 16, 16))
    before = image.clone()
    to_input(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize("finest", [0, 1])
def test_heat_maps_come_at_stride_2_whatever_the_decoder_ends_at(finest):
    widths = (16, 16, 16, 32)[finest:]
    settings = NetworkSettings(encoder_options=SMALL.encoder_options, widths=widths, finest=finest, hidden=32)
    output = make_network(settings)(torch.rand(2, 3, 96, 64))
    assert output.heat.shape == (2, 2, 48, 32)
    radii, classes = make_network(settings).read(output.features, torch.tensor([[0, 5, 6], [1, 47, 31]]))
    assert radii.shape == (2, 32)
    assert classes.shape == (2, 2)
    assert (radii > 0).all()


def test_folding_batch_norms_changes_nothing_but_rounding():
    network, image = make_network(), pixels(2, 64, 96)
    with torch.inference_mode():
        before = network(to_input(torch.from_numpy(image))).heat
    session = InferenceSession(network, SessionSettings(device="cpu"))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in session.network.modules())
    with session.turn():
        after = session.run(session.upload(image)).heat
    assert torch.allclose(before, after, atol=1e-5)


def test_outputs_are_the_same_for_any_batch_split():
    session = InferenceSession(make_network(), SessionSettings(device="cpu"))
    images = pixels(3, 64, 64, count=5)
    with session.turn():
        whole = session.run(session.upload(images)).heat
        for split in ([1, 4], [2, 3], [1, 1, 1, 1, 1]):
            parts = np.split(images, np.cumsum(split)[:-1])
            assert torch.equal(torch.cat([session.run(session.upload(part)).heat for part in parts]), whole)


def test_a_nucleus_is_read_the_same_whichever_others_are_read_with_it():
    session = InferenceSession(make_network(), SessionSettings(device="cpu"))
    random = np.random.default_rng(4)
    places = torch.from_numpy(np.column_stack([np.zeros(700, int), random.integers(0, 128, (700, 2))]))
    with session.turn():
        features = session.run(session.upload(pixels(4, 256, 256))).features
        radii, classes = session.read(features, places)
        for count in (1, 2, 3, 17, 255, 256, 257, 600):
            rows = torch.from_numpy(random.choice(700, count, replace=False))
            some_radii, some_classes = session.read(features, places[rows])
            assert torch.equal(some_radii, radii[rows])
            assert torch.equal(some_classes, classes[rows])


def test_no_nuclei_give_empty_tables_of_the_right_width():
    session = InferenceSession(make_network(), SessionSettings(device="cpu"))
    with session.turn():
        features = session.run(session.upload(pixels(5, 64, 64))).features
        radii, classes = session.read(features, torch.empty((0, 3), dtype=torch.long))
    assert radii.shape == (0, 32)
    assert classes.shape == (0, 2)


def test_a_device_that_is_not_there_is_a_clear_error():
    with pytest.raises(SettingsError, match="no device 'tpu9'"):
        choose_device("tpu9")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="no device 'cuda'"):
            choose_device("cuda")
        assert choose_device("auto").type in ("cpu", "mps")


def test_outputs_do_not_depend_on_the_number_of_threads():
    session = InferenceSession(make_network(), SessionSettings(device="cpu"))
    image, threads = pixels(6, 272, 144), torch.get_num_threads()
    grid = np.random.default_rng(6).integers(0, (136, 72), (300, 2))
    places = torch.from_numpy(np.column_stack([np.zeros(300, int), grid]))
    try:
        runs = []
        for count in (1, 2, 3, 4, 7):
            torch.set_num_threads(count)
            with session.turn():
                output = session.run(session.upload(image))
                runs.append((output.heat, *session.read(output.features, places)))
    finally:
        torch.set_num_threads(threads)
    for run in runs:
        assert all(torch.equal(one, first) for one, first in zip(run, runs[0], strict=True))
