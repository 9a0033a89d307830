"""Models are found, verified and refused by licence; nothing that could run code is loaded."""

import hashlib
import os
import pickle

import numpy as np
import pytest

from slidelab.errors import DamagedWeightsError, ModelNotFoundError, ModelRefusedError, SettingsError
from slidelab.models.registry import Registry, user_model_folder

from .model_folders import add, add_wsinfer, registry, research, tensor_bytes


def test_models_of_all_folders_are_found_and_verified(tmp_path):
    add(tmp_path / "a", "nuclei-fast.open")
    add(tmp_path / "b", "nuclei-slow.open", value=2.0)
    shelf = registry(tmp_path / "a", tmp_path / "b")
    assert shelf.names() == ("nuclei-fast.open", "nuclei-slow.open")
    entry = shelf.find("nuclei-slow.open")
    assert entry.weights == tmp_path / "b" / "nuclei-slow.open.safetensors"
    assert entry.card.sha256 == hashlib.sha256(tensor_bytes(2.0)).hexdigest()


def test_weights_are_loaded_as_they_were_saved(tmp_path):
    add(tmp_path, "nuclei-fast.open", value=3.5)
    shelf = registry(tmp_path)
    tensors = shelf.load_tensors(shelf.find("nuclei-fast.open"))
    assert set(tensors) == {"weight"}
    np.testing.assert_array_equal(tensors["weight"].numpy(), np.full((2, 2), 3.5, np.float32))


def test_weights_written_by_the_library_pass_the_check(tmp_path):
    import torch
    from safetensors.torch import save

    content = save({"a": torch.zeros(3), "b": torch.ones(2, 5, dtype=torch.bfloat16)}, {"format": "pt"})
    add(tmp_path, "nuclei-fast.open", content=content)
    assert registry(tmp_path).find("nuclei-fast.open")


def test_weights_exchanged_after_the_check_are_not_loaded(tmp_path):
    add(tmp_path, "nuclei-fast.open")
    shelf = registry(tmp_path)
    entry = shelf.find("nuclei-fast.open")
    entry.weights.write_bytes(tensor_bytes(9.0))
    with pytest.raises(DamagedWeightsError, match="sha256"):
        shelf.load_tensors(entry)


def test_an_unknown_name_gets_the_nearest_ones(tmp_path):
    add(tmp_path, "nuclei-fast.ihc-open")
    with pytest.raises(ModelNotFoundError, match=r"nuclei-fast\.ihc") as caught:
        registry(tmp_path).find("nuclei-fast.ihc")
    assert "nuclei-fast.ihc-open" in caught.value.advice


def test_weights_other_than_the_cards_are_refused(tmp_path):
    add(tmp_path, "nuclei-fast.open")
    (tmp_path / "nuclei-fast.open.safetensors").write_bytes(tensor_bytes(2.0))
    with pytest.raises(DamagedWeightsError, match="sha256"):
        registry(tmp_path).find("nuclei-fast.open")


def test_weights_are_verified_again_when_the_file_changes(tmp_path):
    add(tmp_path, "nuclei-fast.open")
    shelf = registry(tmp_path)
    weights = shelf.find("nuclei-fast.open").weights
    weights.write_bytes(tensor_bytes(2.0))
    os.utime(weights, ns=(1, 1))  # clocks of file systems are too coarse to tell two writes in a row apart
    with pytest.raises(DamagedWeightsError, match="sha256"):
        shelf.find("nuclei-fast.open")


def test_weights_are_hashed_once_while_the_file_stays(tmp_path, monkeypatch):
    from slidelab.models import registry as module

    add(tmp_path, "nuclei-fast.open")
    hashed = []

    def digest(path):
        hashed.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(module, "file_sha256", digest)
    shelf = registry(tmp_path)
    for _ in range(3):
        shelf.find("nuclei-fast.open")
    assert len(hashed) == 1


class Bomb:
    """Leaves a trace when unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_a_pickle_under_a_false_name_is_refused_unopened(tmp_path):
    trace = tmp_path / "trace"
    add(tmp_path / "models", "nuclei-fast.open", content=pickle.dumps(Bomb(trace)))
    with pytest.raises(DamagedWeightsError, match="pickle"):
        registry(tmp_path / "models").find("nuclei-fast.open")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"", "no safetensors"),
        (b"abc", "no safetensors"),
        ((2**40).to_bytes(8, "little") + b"{}", "no safetensors"),
        ((2).to_bytes(8, "little") + b"[]", "no safetensors"),
        ((50_000).to_bytes(8, "little") + b'{"a":' + b"[" * 49_995, "no safetensors"),
        (tensor_bytes()[:-1], "bytes, its header asks for"),
        (tensor_bytes() + b"x", "bytes, its header asks for"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
    ],
)
def test_what_is_no_whole_tensor_file_is_refused(tmp_path, content, what):
    add(tmp_path, "nuclei-fast.open", content=content)
    with pytest.raises(DamagedWeightsError, match=what):
        registry(tmp_path).find("nuclei-fast.open")


def test_one_broken_card_hides_no_other(tmp_path):
    add(tmp_path, "nuclei-fast.open")
    add(tmp_path, "nuclei-renamed.open")
    (tmp_path / "nuclei-renamed.open.json").rename(tmp_path / "nuclei-other.open.json")
    (tmp_path / "nuclei-bad.open.json").write_text("{")
    (tmp_path / "training-log.json").write_text("{}")
    shelf = registry(tmp_path)
    assert [card.name for card in shelf.cards()] == ["nuclei-fast.open"]
    assert {item.name for item in shelf.broken()} == {
        "nuclei-bad.open",
        "nuclei-other.open",
        "nuclei-renamed.open",
    }
    with pytest.raises(SettingsError, match="nuclei-bad"):
        shelf.find("nuclei-bad.open")


def test_a_card_without_weights_is_broken(tmp_path):
    add(tmp_path, "nuclei-fast.open")
    (tmp_path / "nuclei-fast.open.safetensors").unlink()
    shelf = registry(tmp_path)
    assert shelf.cards() == ()
    with pytest.raises(ModelNotFoundError, match="no weights"):
        shelf.find("nuclei-fast.open")


def test_a_taken_name_is_reported_and_the_first_model_stays(tmp_path):
    add(tmp_path / "a", "nuclei-fast.open", value=1.0)
    add(tmp_path / "b", "nuclei-fast.open", value=2.0)
    shelf = registry(tmp_path / "a", tmp_path / "b")
    assert shelf.find("nuclei-fast.open").weights.parent == tmp_path / "a"
    (item,) = shelf.broken()
    assert "other weights under the name" in str(item.error)


def test_the_same_weights_twice_are_no_conflict(tmp_path):
    add(tmp_path / "a", "nuclei-fast.open")
    add(tmp_path / "b", "nuclei-fast.open")
    assert registry(tmp_path / "a", tmp_path / "b").broken() == ()


def test_permissive_refuses_research_weights_and_names_cause_and_alternative(tmp_path):
    add(tmp_path, "nuclei-fast.research", **research(default_rank=1))
    add(tmp_path, "nuclei-fast.open", value=2.0, default_rank=5)
    add(tmp_path, "nuclei-fast.he", value=3.0, default_rank=2, stain="H&E")
    assert registry(tmp_path).find("nuclei-fast.research")
    with pytest.raises(ModelRefusedError) as caught:
        registry(tmp_path, policy="permissive").find("nuclei-fast.research")
    assert "permissive" in str(caught.value)
    assert "DCIS (none stated)" in str(caught.value)
    assert "nuclei-fast.open" in caught.value.advice
    assert "nuclei-fast.he" not in caught.value.advice


def test_without_an_alternative_the_refusal_says_so(tmp_path):
    add(tmp_path, "nuclei-fast.research", **research())
    with pytest.raises(ModelRefusedError) as caught:
        registry(tmp_path, policy="permissive").find("nuclei-fast.research")
    assert "No permissive cell-detection" in caught.value.advice


def test_the_default_is_the_best_that_the_policy_allows(tmp_path):
    add(tmp_path, "nuclei-fast.research", **research(default_rank=1))
    add(tmp_path, "nuclei-fast.open", value=2.0, default_rank=5)
    add(tmp_path, "nuclei-slow.open", value=3.0)
    kind = {"task": "cell-detection", "stain": "H-DAB"}
    assert registry(tmp_path).default(**kind).card.name == "nuclei-fast.research"
    permissive = registry(tmp_path, policy="permissive")
    assert permissive.default(**kind).card.name == "nuclei-fast.open"
    assert [card.name for card in permissive.ranked(**kind)] == ["nuclei-fast.open", "nuclei-slow.open"]
    with pytest.raises(ModelNotFoundError, match="H&E"):
        permissive.default(task="cell-detection", stain="H&E")


def test_no_default_is_taken_against_the_policy(tmp_path):
    add(tmp_path, "nuclei-fast.research", **research())
    with pytest.raises(ModelRefusedError):
        registry(tmp_path, policy="permissive").default(task="cell-detection", stain="H-DAB")


def test_an_unknown_policy_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="policy 'open'"):
        Registry(policy="open")
    with pytest.raises(SettingsError, match="no model folder"):
        Registry(folders=[tmp_path / "nowhere"])


def test_the_users_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIDELAB_MODELS", str(tmp_path))
    assert user_model_folder() == tmp_path
    add(tmp_path, "nuclei-mine.open")
    assert "nuclei-mine.open" in Registry().names()


def test_packaged_weights_are_sound_and_fully_described():
    shelf = Registry(folders=[])
    assert shelf.broken() == ()
    for card in shelf.cards():
        assert shelf.find(card.name)
        assert card.metrics, card.name
        assert card.training, card.name
        assert card.licence.data or "phantom" in card.training.split, card.name


def test_a_wsinfer_model_becomes_a_research_only_patch_classifier(tmp_path):
    add_wsinfer(tmp_path / "Breast Tumour v2")
    shelf = registry(tmp_path)
    (name,) = shelf.names()
    assert name == "patch-resnet34-tv_in1k.breast-tumour-v2"
    card = shelf.find(name).card
    assert (card.task, card.mpp, card.classes) == ("patch-classification", 0.5, ("other", "tumour"))
    assert card.receptive_field_px == 88
    assert card.research_only
    assert [step["name"] for step in card.architecture["transform"]] == ["Resize", "ToTensor", "Normalize"]
    with pytest.raises(ModelRefusedError, match="unknown"):
        registry(tmp_path, policy="permissive").find(name)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"num_classes": 3}, "class_names"),
        ({"spacing_um_px": -1}, "spacing_um_px"),
        ({"spec_version": "2.0"}, "spec_version"),
        ({"transform": None}, "transform"),
    ],
)
def test_a_wrong_wsinfer_configuration_is_reported_by_field(tmp_path, changes, field):
    add_wsinfer(tmp_path, **changes)
    (item,) = registry(tmp_path).broken()
    assert field in str(item.error)
    assert "\n" not in str(item.error)


def test_torchscript_is_refused_with_the_advice_to_convert(tmp_path):
    add_wsinfer(tmp_path / "lymph")
    (tmp_path / "lymph" / "model.safetensors").rename(tmp_path / "lymph" / "torchscript_model.pt")
    shelf = registry(tmp_path)
    assert shelf.names() == ()
    with pytest.raises(ModelRefusedError, match="TorchScript") as caught:
        shelf.find("lymph")
    assert "Convert" in caught.value.advice
