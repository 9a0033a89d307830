"""Models are fetched from a hub by pinned references, verified and refused as those of folders."""

import hashlib
import json
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from slidelab.errors import DamagedWeightsError, ModelNotFoundError, ModelRefusedError, SettingsError
from slidelab.models.hub import Hub, HubReference

from .model_folders import WSINFER, add, card_of, registry, research, tensor_bytes

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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
