"""How far a network looks is measured, not believed."""

import pytest
import torch
from torch import nn

from slidelab.errors import SettingsError
from slidelab.models.network import CellNetwork, NetworkSettings
from slidelab.models.network_reach import measure_receptive_field

TINY = NetworkSettings(
    encoder_options={"channels": [8, 8, 8, 8], "stem_width": 8}, widths=(8, 8, 8), hidden=16
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def positive(settings):
    """A network whose every path counts: positive weights, and means where it takes maxima."""
    torch.manual_seed(0)
    network = CellNetwork(settings).eval().double()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    for values in network.parameters():
        values.data = (torch.rand_like(values) + 0.5) / values[0].numel()
    return network


def test_the_reach_is_where_gradients_end():
    network, farthest = positive(TINY), 0
    pixels = torch.ones(1, 3, 512, 512, dtype=torch.float64, requires_grad=True)
    output = network(pixels)
    for row in range(128, 136):
        read = network.read(output.features, torch.tensor([[0, row, row]]))
        value = output.heat[0, :, row, row].sum() + read[0].sum() + read[1].sum()
        (gradient,) = torch.autograd.grad(value, pixels, retain_graph=True)
        for axis in (1, 2):
            seen = torch.nonzero(gradient[0].abs().sum((0, axis)) > 0)[:, 0]
            farthest = max(farthest, 2 * row + 1 - int(seen.min()), int(seen.max()) - 2 * row)
    assert measure_receptive_field(TINY) == farthest


def test_pixels_beyond_the_reach_change_nothing_and_one_nearer_does():
    reach = measure_receptive_field(TINY)
    network = positive(TINY)
    before = torch.ones(1, 3, 512, 512, dtype=torch.float64)
    changed = []
    for row in range(256, 272):
        after = before.clone()
        after[:, :, row] += 1.0
        with torch.inference_mode():
            difference = (network(after).heat - network(before).heat).abs().sum((0, 1, 3))
        rows = torch.nonzero(difference)[:, 0]
        changed.append(max(row - 2 * int(rows.min()), 2 * int(rows.max()) + 1 - row))
    assert max(changed) == reach


def test_the_default_network_looks_as_far_as_is_documented():
    assert measure_receptive_field(NetworkSettings()) == 82


def test_a_network_that_sees_everything_is_refused():
    options = {**TINY.encoder_options, "block_args": {"attn_layer": "se"}}
    with pytest.raises(SettingsError, match="sees"):
        measure_receptive_field(NetworkSettings(encoder_options=options, widths=(8, 8, 8), hidden=16))
