"""The tissue network: shapes, how an image's class is pooled, and how far it looks."""

import pytest
import torch

from slidelab.errors import SettingsError
from slidelab.models.tissue_classes import COLORECTAL_CLASSES
from slidelab.models.tissue_network import TissueNetwork, TissueOutput, TissueSettings, pool_classes
from slidelab.models.tissue_reach import measure_tissue_reach

SMALL = TissueSettings(widths=(16, 16, 16), class_width=16)


def test_maps_come_at_strides_16_and_4():
    output = TissueNetwork(SMALL).eval()(torch.rand(2, 3, 96, 64))
    assert output.classes.shape == (2, len(COLORECTAL_CLASSES), 6, 4)
    assert output.glands.shape == (2, 1, 24, 16)


def test_classes_stand_in_the_order_of_their_grade():
    assert COLORECTAL_CLASSES == (
        "normal",
        "polyp",
        "serrated",
        "low_grade_in",
        "high_grade_in",
        "adenocarcinoma",
    )


def test_an_image_is_judged_where_its_glands_are():
    classes = torch.zeros(1, 2, 2, 2)
    classes[0, :, 0, 0] = torch.tensor([6.0, -2.0])
    glands = torch.full((1, 1, 8, 8), -50.0)
    glands[..., :4, :4] = 50.0
    pooled = pool_classes(TissueOutput(classes, glands), floor=0.1)
    # weights 1.1 and three times 0.1
    assert pooled[0].tolist() == pytest.approx([6 * 1.1 / 1.4, -2 * 1.1 / 1.4])


def test_an_image_without_glands_is_judged_by_its_mean():
    classes = torch.arange(8.0).reshape(1, 2, 2, 2)
    pooled = pool_classes(TissueOutput(classes, torch.full((1, 1, 8, 8), -200.0)), floor=0.1)
    assert pooled[0].tolist() == pytest.approx([1.5, 5.5])


def test_classes_do_not_teach_where_glands_are():
    classes = torch.rand(1, 2, 2, 2, requires_grad=True)
    glands = torch.rand(1, 1, 8, 8, requires_grad=True)
    pool_classes(TissueOutput(classes, glands), floor=0.1).sum().backward()
    assert classes.grad is not None
    assert glands.grad is None


def test_reach_does_not_depend_on_widths():
    assert measure_tissue_reach(SMALL) == measure_tissue_reach(TissueSettings())


def test_more_stages_look_farther():
    fewer = TissueSettings(encoder_stages=4)
    assert measure_tissue_reach(fewer) < measure_tissue_reach(TissueSettings())


def test_a_network_that_looks_at_the_whole_image_is_refused():
    with pytest.raises(SettingsError, match="and farther"):
        measure_tissue_reach(TissueSettings(encoder="efficientnet_b0"))


def test_settings_that_cannot_be_built_are_refused():
    with pytest.raises(ValueError, match="stride 16"):
        TissueNetwork(TissueSettings(encoder_stages=3))
    with pytest.raises(ValueError, match="multiples of 16"):
        TissueNetwork(TissueSettings(class_width=40))
