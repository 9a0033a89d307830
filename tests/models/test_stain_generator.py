"""The stain generator: tiled as whole, glass stays white, and it begins with the exchange of stains."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from slidelab.errors import DamagedWeightsError, SettingsError
from slidelab.models.card import ModelCard
from slidelab.models.registry import PACKAGED
from slidelab.models.stain_generator import GeneratorSettings, StainGenerator
from slidelab.models.stain_loading import GeneratorFile
from slidelab.models.stain_session import StainSession
from slidelab.models.stain_transfer import transfer_stains
from slidelab.stain import REFERENCE, StainProfile, ToneTransfer, look_numbers

WHITE = (242.0, 240.0, 244.0)
SOURCE = StainProfile(
    WHITE, (0.60, 0.72, 0.35), (0.20, 0.84, 0.50), source="macenko", strengths=(0.6, 0.5), middles=(0.3, 0.5)
)


def generator(**changes):
    """A generator whose every layer does something."""
    torch.manual_seed(3)
    made = StainGenerator(GeneratorSettings(**changes))
    torch.nn.init.normal_(made.head.weight, std=0.3)
    return made


def session(made, **changes):
    looks = {"source": look_numbers(SOURCE), "target": look_numbers(REFERENCE)}
    return StainSession(made, white=WHITE, device="cpu", **(looks | changes))


@pytest.fixture(scope="module")
def image():
    """Patches of all colours, and noise."""
    random = np.random.default_rng(5)
    patches = np.kron(random.integers(40, 250, (30, 40, 3)), np.ones((20, 15, 1)))
    return np.clip(patches + random.normal(0, 8, patches.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("changes", [{}, {"guided": False}, {"width": 32, "dilations": (1, 2, 4, 2)}])
def test_tiles_with_a_halo_are_the_whole_bit_for_bit(image, changes):
    made = generator(**changes)
    ready, halo = session(made), made.settings.reach
    whole = ready.recolour(image)
    for top, left, height, width in ((0, 0, 64, 64), (3, 7, 17, 300), (555, 501, 45, 99), (200, 301, 1, 1)):
        above, before = min(top, halo), min(left, halo)
        wide = image[top - above : top + height + halo, left - before : left + width + halo]
        tile = ready.recolour(wide)[above : above + height, before : before + width]
        assert np.array_equal(tile, whole[top : top + height, left : left + width])


def test_pixels_do_not_depend_on_the_number_of_threads(image):
    ready, threads = session(generator()), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        several = ready.recolour(image)
        torch.set_num_threads(1)
        assert np.array_equal(ready.recolour(image), several)
    finally:
        torch.set_num_threads(threads)


def test_what_lies_further_than_the_reach_does_not_matter_and_what_lies_at_it_does(image):
    made = generator()
    ready, reach = session(made), made.settings.reach
    whole = ready.recolour(image)
    changed = image.copy()
    changed[300, 300] = (90, 20, 130)
    rows, columns = np.nonzero((ready.recolour(changed) != whole).any(-1))
    assert max(np.abs(rows - 300).max(), np.abs(columns - 300).max()) == reach


@pytest.mark.parametrize("guided", [True, False])
def test_glass_stays_white_whatever_the_network_says(guided):
    made = generator(guided=guided)
    torch.nn.init.constant_(made.head.bias, 5.0)
    glass = np.full((40, 40, 3), (242, 240, 244), np.uint8)
    assert (session(made).recolour(glass) == 255).all()
    lighter = np.full((40, 40, 3), 255, np.uint8)
    assert (session(made).recolour(lighter) == 255).all()


def test_black_and_colours_beyond_all_stain_give_numbers(image):
    for colour in ((0, 0, 0), (0, 255, 0), (255, 0, 255)):
        field = np.full((30, 30, 3), colour, np.uint8)
        assert session(generator()).recolour(field).dtype == np.uint8


def test_an_untrained_generator_is_the_exchange_of_stains_alone(image):
    made = StainGenerator(GeneratorSettings())
    transfer = ToneTransfer(SOURCE)
    density = -np.log10(np.maximum(image.reshape(-1, 3), 1) / np.array(WHITE)).clip(None, None)
    shown = transfer.density(np.maximum(density, 0.0))
    exact = 255.0 * 10.0 ** -np.maximum(shown, 0.0)
    assert np.abs(session(made).recolour(image).reshape(-1, 3) - exact).max() < 0.52


def test_equal_looks_change_nothing_and_the_way_back_is_the_inverse():
    density = torch.rand(1, 3, 20, 20, dtype=torch.float64)
    one, other = (torch.tensor(look_numbers(profile))[None] for profile in (SOURCE, REFERENCE))
    same, _ = transfer_stains(density, one, one)
    assert torch.allclose(same, density, atol=1e-12)
    there, _ = transfer_stains(density, one, other)
    back, _ = transfer_stains(there, other, one)
    assert torch.allclose(back, density, atol=1e-9)


def test_the_shipped_generator_is_open_small_and_sound():
    file = GeneratorFile.find(policy="permissive")
    card = ModelCard.read(PACKAGED / f"{file.name}.json")
    assert file.name.endswith("-open")
    assert file.weights.stat().st_size < 3_000_000
    assert card.receptive_field_px == file.load().settings.reach
    assert GeneratorFile.find(file.reference) == file
    assert {one.use for one in card.licence.data} == {"open"}


def test_weights_of_another_generator_are_refused(tmp_path):
    name = GeneratorFile.find().name
    with pytest.raises(DamagedWeightsError, match="not the one"):
        GeneratorFile.find(f"{name}@0123456789abcdef")
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    file = GeneratorFile("a", tmp_path / "a.safetensors", "0" * 64, GeneratorSettings())
    with pytest.raises(DamagedWeightsError):
        file.load()


def test_a_model_for_something_else_is_refused():
    with pytest.raises(SettingsError, match="model for cell-detection"):
        GeneratorFile.find("nuclei-fast.he-open")


@pytest.mark.parametrize("changes", [{"width": 20}, {"dilations": (0,)}, {"limit": 2.0}])
def test_what_cannot_be_built_is_refused(changes):
    with pytest.raises(ValueError, match=r"width|dilations|limit"):
        GeneratorSettings(**changes)
