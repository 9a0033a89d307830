"""Losses punish what is wrong, and nothing that is unknown."""

import pytest
import torch

from slidelab.models.training.losses import centre_loss, class_loss, outline_loss


def heat_with_a_peak():
    wanted = torch.zeros(1, 1, 8, 8)
    wanted[0, 0, 3, 4] = 1.0
    wanted[0, 0, 3, 5] = 0.7
    return wanted


def test_a_right_heat_map_costs_almost_nothing_and_a_wrong_one_much():
    wanted = heat_with_a_peak()
    right = torch.where(wanted >= 1, 8.0, -8.0)
    weight = torch.ones_like(wanted)
    assert centre_loss(right, wanted, weight) < 0.01
    assert centre_loss(-right, wanted, weight) > 10 * centre_loss(torch.zeros_like(right), wanted, weight) > 0


def test_beside_a_peak_heat_is_forgiven_in_part():
    wanted, weight = heat_with_a_peak(), torch.ones(1, 1, 8, 8)
    base = torch.where(wanted >= 1, 8.0, -8.0)
    beside, far = base.clone(), base.clone()
    beside[0, 0, 3, 5] = 3.0
    far[0, 0, 0, 0] = 3.0
    assert centre_loss(beside, wanted, weight) < 0.1 * centre_loss(far, wanted, weight)


def test_where_nothing_is_known_heat_costs_nothing():
    logits = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    weight = torch.zeros(2, 2, 8, 8)
    weight[0, 0] = 1.0
    centre_loss(logits, torch.zeros(2, 2, 8, 8), weight).backward()
    assert logits.grad is not None
    assert bool((logits.grad[weight == 0] == 0).all())
    assert bool((logits.grad[weight == 1] != 0).all())


def test_extreme_logits_stay_finite():
    wanted = heat_with_a_peak()
    logits = torch.full_like(wanted, 90.0, requires_grad=True)
    loss = centre_loss(logits, wanted, torch.ones_like(wanted)) + centre_loss(
        -logits, wanted, torch.ones_like(wanted)
    )
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_the_outline_loss_is_minus_the_log_of_the_overlap():
    wanted, weight = torch.full((3, 32), 8.0), torch.ones(3, 32)
    assert outline_loss(wanted, wanted, weight).item() == 0
    half = outline_loss(wanted * 0.5**0.5, wanted, weight).item()
    assert half == pytest.approx(0.693, abs=0.005)
    assert outline_loss(wanted * 2**0.5, wanted, weight).item() == pytest.approx(half, abs=0.005)


def test_unknown_rays_and_nuclei_with_few_known_ones_do_not_count():
    radii = torch.full((2, 32), 5.0, requires_grad=True)
    weight = torch.ones(2, 32)
    weight[0, 20:] = 0
    weight[1, 10:] = 0
    outline_loss(radii, torch.full((2, 32), 8.0), weight).backward()
    assert radii.grad is not None
    assert bool((radii.grad[0, :20] < 0).all())
    assert bool((radii.grad[0, 20:] == 0).all())
    assert bool((radii.grad[1] == 0).all())


def test_a_batch_without_outlines_or_classes_still_has_a_gradient_path():
    radii, logits = torch.ones(0, 32, requires_grad=True), torch.randn(4, 2, requires_grad=True)
    loss = outline_loss(radii, torch.ones(0, 32), torch.ones(0, 32)) + class_loss(
        logits, torch.full((4,), -1)
    )
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_network_without_classes_has_no_class_loss():
    assert class_loss(torch.empty(4, 0), torch.zeros(4, dtype=torch.int64)).item() == 0


def test_unknown_classes_do_not_count():
    logits = torch.zeros(3, 2, requires_grad=True)
    class_loss(logits, torch.tensor([1, -1, 0])).backward()
    assert logits.grad is not None
    assert not logits.grad[1].any()
    assert logits.grad[0, 1] < 0 < logits.grad[0, 0]
