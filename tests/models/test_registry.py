"""Models are found, verified, refused by licence and fetched; nothing that could run code is loaded."""

import hashlib
import json
import os
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from slidelab.errors import DamagedWeightsError, ModelNotFoundError, ModelRefusedError, SettingsError
from slidelab.models.card import ModelCard
from slidelab.models.hub import Hub, HubReference
from slidelab.models.registry import Registry, user_model_folder

CLOSED = {"name": "DCIS", "licence": "none stated", "source": "repository@1a2b", "use": "evaluation-only"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WSINFER = {
    "spec_version": "1.0",
    "architecture": "resnet34.tv_in1k",
    "num_classes": 2,
    "class_names": ["other", "tumour"],
    "patch_size_pixels": 175,
    "spacing_um_px": 0.5,
    "transform": [
        {"name": "Resize", "arguments": {"size": 224}},
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": [0.7, 0.6, 0.7], "std": [0.2, 0.2, 0.2]}},
    ],
}


def tensor_bytes(value=1.0):
    """Return a tiny safetensors file of one tensor, written by hand from the format's description."""
    data = np.full((2, 2), value, "<f4").tobytes()
    header = json.dumps(
        {"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, len(data)]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + data


def card_of(name, content, **changes):
    """Return a sound card for a file's content."""
    values = {
        "name": name,
        "version": "1",
        "task": "cell-detection",
        "mpp": 0.5,
        "input": {"scaling": "1 - value/255", "stride_px": 4},
        "classes": ["Positive", "Negative"],
        "stain": "H-DAB",
        "licence": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "sha256": hashlib.sha256(content).hexdigest(),
        "receptive_field_px": 96,
        "intended_use": "Tests.",
        "limits": ["Knows nothing."],
        "architecture": {},
    }
    return ModelCard.check(values | changes)


def add(folder, name, *, value=1.0, content=None, **changes):
    """Put a model into a folder and return its card."""
    content = tensor_bytes(value) if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(content)
    card = card_of(name, content, **changes)
    card.write(folder / f"{name}.json")
    return card


def add_wsinfer(folder, **changes):
    """Put a WSInfer model into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(WSINFER | changes))
    (folder / "model.safetensors").write_bytes(tensor_bytes())


def research(**changes):
    """Return the licence of weights that saw evaluation-only data."""
    return {"licence": {"code": "Apache-2.0", "weights": "research-only", "data": [CLOSED]}, **changes}


def registry(*folders, policy="research", **options):
    """Return a registry over test folders alone."""
    first, *others = folders
    return Registry(folders=others, policy=policy, packaged=first, **options)


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


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf://lab/models@v1.0/nuclei-fast.open", ("lab/models", "v1.0", "nuclei-fast.open")),
        (f"hf://lab/models@{COMMIT}/ihc/nuclei-fast.open", ("lab/models", COMMIT, "ihc/nuclei-fast.open")),
        ("hf://lab/models@v1.0", ("lab/models", "v1.0", "")),
    ],
)
def test_a_pinned_reference_is_read_and_written(text, parts):
    reference = HubReference.parse(text)
    assert (reference.repository, reference.revision, reference.name) == parts
    assert str(reference) == text


@pytest.mark.parametrize("text", ["hf://lab/models/a-b.c", "hf://lab/models", "hf://lab/models@main/a-b.c"])
def test_a_reference_without_a_revision_is_refused(text):
    with pytest.raises(SettingsError, match="pins no revision"):
        HubReference.parse(text)


@pytest.mark.parametrize(
    "text", ["hf://lab", "https://x/y@v1/z", "hf://lab/models@v1/../../etc", "hf://../x@v1/y"]
)
def test_another_kind_of_address_is_refused(text):
    with pytest.raises(SettingsError, match="no address"):
        HubReference.parse(text)


class Mirror:
    """A hub on this machine: files by path, under one commit that also has a tag."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.commit = COMMIT
        self.asked: list[str] = []

    def answer(self, path):
        """Return status, headers and body for ``/org/repository/resolve/revision/file``."""
        self.asked.append(path)
        parts = path.strip("/").split("/")
        if len(parts) < 5 or parts[:3] != ["lab", "models", "resolve"]:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if parts[3] not in ("v1.0", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        body = self.files.get("/".join(parts[4:]))
        about = {"X-Repo-Commit": self.commit}
        if body is None:
            return 404, about | {"X-Error-Code": "EntryNotFound"}, b""
        return 200, about | {"ETag": f'"{hashlib.sha256(body).hexdigest()}"'}, body


@pytest.fixture
def mirror(monkeypatch):
    content = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = content.answer(self.path)
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield content
        server.shutdown()
        thread.join()


@pytest.fixture
def hub(tmp_path):
    return Hub(cache=tmp_path / "hub-cache")


def serve(mirror, name="nuclei-fast.open", *, content=None, **changes):
    """Put a model on the mirror."""
    content = tensor_bytes() if content is None else content
    card = card_of(name, tensor_bytes(), **changes)
    mirror.files[f"{name}.json"] = card.model_dump_json().encode()
    mirror.files[f"{name}.safetensors"] = content
    return card


@pytest.fixture
def empty(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_a_hub_model_is_pulled_and_found_by_name_afterwards(mirror, hub, empty, tmp_path):
    card = serve(mirror)
    mine = tmp_path / "mine"
    entry = registry(empty, hub=hub).pull("hf://lab/models@v1.0/nuclei-fast.open", into=mine)
    assert entry.weights.read_bytes() == tensor_bytes()
    assert entry.card.source == f"hf://lab/models@{COMMIT}/nuclei-fast.open"
    found = registry(empty, mine).find("nuclei-fast.open").card
    assert found.model_copy(update={"source": None}) == card
    assert sorted(path.name for path in mine.iterdir()) == [
        "nuclei-fast.open.json",
        "nuclei-fast.open.safetensors",
    ]


def test_a_hub_model_once_fetched_is_used_offline(mirror, hub, empty, monkeypatch):
    serve(mirror)
    reference = f"hf://lab/models@{COMMIT}/nuclei-fast.open"
    shelf = registry(empty, hub=hub)
    shelf.find(reference)
    asked = len(mirror.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert registry(empty, hub=hub).find(reference).weights.read_bytes() == tensor_bytes()
    assert len(mirror.asked) == asked


def test_offline_is_said_clearly_and_nothing_is_asked(mirror, hub, empty, monkeypatch):
    serve(mirror)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFoundError, match=r"offline .*HF_HUB_OFFLINE") as caught:
        registry(empty, hub=hub).find("hf://lab/models@v1.0/nuclei-fast.open")
    assert "SLIDELAB_MODELS" in caught.value.advice
    assert mirror.asked == []


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("hf://lab/nothing@v1.0/nuclei-fast.open", "no such repository"),
        ("hf://lab/models@v9/nuclei-fast.open", "no such revision"),
        ("hf://lab/models@v1.0/nuclei-fast.closed", r"holds no nuclei-fast\.closed\.json"),
    ],
)
def test_what_the_hub_does_not_have_is_said(mirror, hub, empty, reference, what):
    serve(mirror)
    with pytest.raises(ModelNotFoundError, match=what):
        registry(empty, hub=hub).find(reference)


def test_a_hub_that_does_not_answer_is_said(hub, empty, monkeypatch):
    from huggingface_hub import file_download

    def refuse(*arguments, **options):
        raise ConnectionRefusedError("connection refused")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(file_download, "get_hf_file_metadata", refuse)
    with pytest.raises(ModelNotFoundError, match=r"cannot be reached.*connection refused"):
        registry(empty, hub=hub).find("hf://lab/models@v1.0/nuclei-fast.open")


def test_a_hub_model_with_other_weights_is_not_landed(mirror, hub, empty, tmp_path):
    serve(mirror, content=tensor_bytes(7.0))
    with pytest.raises(DamagedWeightsError, match="sha256"):
        registry(empty, hub=hub).pull("hf://lab/models@v1.0/nuclei-fast.open", into=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_pulled_pickle_is_not_landed(mirror, hub, empty, tmp_path):
    serve(mirror, content=pickle.dumps({"weight": 1}))
    with pytest.raises(DamagedWeightsError, match="pickle"):
        registry(empty, hub=hub).pull("hf://lab/models@v1.0/nuclei-fast.open", into=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_folder_that_cannot_be_written_is_named(mirror, hub, empty, tmp_path):
    serve(mirror)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match=r"cannot write to .*file"):
        registry(empty, hub=hub).pull(
            "hf://lab/models@v1.0/nuclei-fast.open", into=tmp_path / "file" / "mine"
        )


def test_a_mirror_with_another_commit_is_refused(mirror, hub, empty):
    serve(mirror)
    mirror.commit = "f" * 40
    with pytest.raises(DamagedWeightsError, match="answered with commit fff"):
        registry(empty, hub=hub).find(f"hf://lab/models@{COMMIT}/nuclei-fast.open")


def test_the_policy_holds_for_the_hub_too(mirror, hub, empty, tmp_path):
    serve(mirror, **research())
    with pytest.raises(ModelRefusedError, match="DCIS"):
        registry(empty, hub=hub, policy="permissive").pull(
            "hf://lab/models@v1.0/nuclei-fast.open", into=tmp_path / "mine"
        )
    assert not (tmp_path / "mine").exists()


def test_pulling_replaces_damaged_weights_and_no_others(mirror, hub, empty, tmp_path):
    serve(mirror)
    mine = tmp_path / "mine"
    shelf = registry(empty, hub=hub)
    shelf.pull("hf://lab/models@v1.0/nuclei-fast.open", into=mine)
    (mine / "nuclei-fast.open.safetensors").write_bytes(tensor_bytes()[:-3])
    shelf.pull("hf://lab/models@v1.0/nuclei-fast.open", into=mine)
    assert registry(mine).find("nuclei-fast.open")
    add(mine, "nuclei-fast.open", value=5.0)
    with pytest.raises(SettingsError, match="other weights"):
        shelf.pull("hf://lab/models@v1.0/nuclei-fast.open", into=mine)
    assert (mine / "nuclei-fast.open.safetensors").read_bytes() == tensor_bytes(5.0)


def test_a_wsinfer_repository_is_pulled_as_a_card_with_its_hash(mirror, hub, empty, tmp_path):
    mirror.files |= {"config.json": json.dumps(WSINFER).encode(), "model.safetensors": tensor_bytes()}
    mine = tmp_path / "mine"
    entry = registry(empty, hub=hub).pull("hf://lab/models@v1.0", into=mine)
    assert entry.card.name == "patch-resnet34-tv_in1k.models"
    assert registry(mine).names() == (entry.card.name,)


def test_a_wsinfer_repository_with_torchscript_alone_is_refused(mirror, hub, empty):
    mirror.files |= {"config.json": json.dumps(WSINFER).encode(), "torchscript_model.pt": b"PK"}
    with pytest.raises(ModelNotFoundError, match="TorchScript is not loaded"):
        registry(empty, hub=hub).find("hf://lab/models@v1.0")
