"""Models of both hubs: which files are taken, where they lie, and what is asked again."""

import hashlib
import shutil
from pathlib import Path

import pytest
from hub_server import HubServer, Repository

from tusou.bundle.model_record import ModelSource
from tusou.core.errors import BadModel
from tusou.encoders.hubs.fetch import Fetcher
from tusou.encoders.hubs.local_models import read_source
from tusou.encoders.model_name import HubModel, PublishedModel

from .conftest import (
    CHECKPOINT,
    COMMIT,
    FOLDER,
    ID,
    NEEDED,
    OLD_COMMIT,
    RecordedProgress,
    make_fetcher,
)


def repository_of(names: list[str]) -> Repository:
    """Return a model with files that hold their own names."""
    return Repository({COMMIT: {name: name.encode() for name in names}})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_needed_files_of_a_model_come_with_its_commit(
    fetcher: Fetcher, progress: RecordedProgress
) -> None:
    path, source = fetcher.fetch(HubModel(ID))
    assert contents(path) == {name: FOLDER[name] for name in NEEDED}
    hub = fetcher.settings.default
    owner = {"huggingface": "OFA-Sys", "modelscope": "AI-ModelScope"}[hub]
    model_id = f"{owner}/chinese-clip-vit-base-patch16"
    assert source == ModelSource(hub=hub, id=model_id, revision=COMMIT)
    assert path == fetcher.settings.folder / hub / model_id / COMMIT
    assert progress.labels == [(f"downloading {model_id} (MB)", 4)]
    assert progress.megabytes == 3  # of 3.0002


def test_the_settings_of_sentence_transformers_are_needed_too(
    fetcher: Fetcher, hub: HubServer
) -> None:
    needed = [
        "1_Pooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
    ]
    others = ["2_Dense/model.safetensors", "onnx/model.onnx", "onnx/config.json"]
    hub.repositories["owner/sentences"] = repository_of([*needed, *others])
    path, _ = fetcher.fetch(HubModel("owner/sentences"))
    names = [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()]
    assert sorted(names) == needed


SENTENCES = ["1_Pooling/config.json", "config.json", "model.safetensors", "modules.json"]


def forget_sentences(folder: Path) -> None:
    """Leave of a download what releases left that knew nothing of sentence-transformers."""
    (folder / "modules.json").unlink()
    shutil.rmtree(folder / "1_Pooling")
    folder.with_name(f"{folder.name}.files.json").unlink()


def test_what_an_earlier_release_left_out_is_completed(fetcher: Fetcher, hub: HubServer) -> None:
    hub.repositories["owner/sentences"] = repository_of(SENTENCES)
    path, source = fetcher.fetch(HubModel("owner/sentences"))
    kept = (path / "model.safetensors").stat().st_mtime_ns
    forget_sentences(path)
    assert fetcher.fetch(HubModel("owner/sentences")) == (path, source)
    assert not (path / "modules.json").exists()
    hub.requests.clear()
    fetcher.complete(source)
    assert {name: (path / name).read_text() for name in SENTENCES} == dict(
        zip(SENTENCES, SENTENCES, strict=True)
    )
    assert (path / "model.safetensors").stat().st_mtime_ns == kept
    assert hub.paths("model.safetensors") == []
    hub.requests.clear()
    fetcher.complete(source)
    assert hub.requests == []  # that it is whole is known now


def test_a_whole_download_is_complete_without_the_hub(fetcher: Fetcher, hub: HubServer) -> None:
    _, source = fetcher.fetch(HubModel(ID))
    hub.requests.clear()
    fetcher.complete(source)
    assert hub.requests == []


def test_a_completion_that_breaks_off_is_tried_again(fetcher: Fetcher, hub: HubServer) -> None:
    hub.repositories["owner/sentences"] = repository_of(SENTENCES)
    path, source = fetcher.fetch(HubModel("owner/sentences"))
    forget_sentences(path)
    repository = hub.repositories.pop("owner/sentences")
    with pytest.raises(BadModel, match=r"could not download owner/sentences .*HTTP 404"):
        fetcher.complete(source)
    hub.repositories["owner/sentences"] = repository
    fetcher.complete(source)
    assert (path / "1_Pooling/config.json").is_file()


def test_what_is_here_is_not_asked_for(fetcher: Fetcher, hub: HubServer) -> None:
    first = fetcher.fetch(HubModel(ID))
    hub.requests.clear()
    assert fetcher.fetch(HubModel(ID)) == first
    assert fetcher.fetch(HubModel(ID, revision=COMMIT)) == first
    assert hub.requests == []


def test_a_branch_is_asked_for_anew(fetcher: Fetcher, hub: HubServer) -> None:
    first, _ = fetcher.fetch(HubModel(ID))
    (repository,) = {id(each): each for each in hub.repositories.values()}.values()
    moved = "a" * 40
    repository.commits = {moved: {**FOLDER, "config.json": b"{}"}, **repository.commits}
    assert fetcher.fetch(HubModel(ID))[0] == first
    branch = {"huggingface": "main", "modelscope": "master"}[fetcher.settings.default]
    second, source = fetcher.fetch(HubModel(ID, revision=branch))
    assert source.revision == moved
    assert (second / "config.json").read_bytes() == b"{}"
    assert fetcher.fetch(HubModel(ID))[0] == second  # the branch stands for the model
    assert fetcher.fetch(HubModel(ID, revision=COMMIT))[0] == first


def test_an_older_commit_stays_beside_the_current_one(fetcher: Fetcher, hub: HubServer) -> None:
    current, _ = fetcher.fetch(HubModel(ID))
    old, source = fetcher.fetch(HubModel(ID, revision=OLD_COMMIT))
    assert source.revision == OLD_COMMIT
    assert (old / "pytorch_model.bin").read_bytes() == b"old tensors"
    assert fetcher.fetch(HubModel(ID))[0] == current


def test_the_other_hub_is_asked_where_the_name_says_so(
    hub: HubServer, tmp_path: Path, progress: RecordedProgress
) -> None:
    fetcher = make_fetcher(hub, tmp_path, progress)
    _, source = fetcher.fetch(HubModel(ID, "modelscope"))
    assert source.hub == "modelscope"
    assert hub.paths("/api/models/") == []


def test_a_published_checkpoint_is_one_file_with_its_source(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    target = tmp_path / "clip" / "clip_cn_vit-b-16.pt"
    fetcher.fetch_published(PublishedModel("ViT-B-16"), target)
    assert target.read_bytes() == CHECKPOINT
    digest = hashlib.sha256(CHECKPOINT).hexdigest()
    source = read_source(target, digest)
    assert source is not None
    assert (source.hub, source.revision) == (fetcher.settings.default, COMMIT)
    assert read_source(target, "0" * 64) is None  # the file was replaced since


def test_the_commit_that_a_bundle_names_is_taken_unless_another_hub_is_chosen(
    hub: HubServer, tmp_path: Path, progress: RecordedProgress
) -> None:
    source = ModelSource(hub="modelscope", id=ID, revision=OLD_COMMIT)
    fetcher = make_fetcher(hub, tmp_path, progress)
    fetcher.fetch_published(PublishedModel("ViT-B-16"), tmp_path / "a.pt", source)
    assert hub.paths(f"Revision={OLD_COMMIT}") != []
    for number, model in enumerate((PublishedModel("ViT-B-16", "huggingface"), None)):
        hub.requests.clear()
        fetcher = make_fetcher(hub, tmp_path, progress, TUSOU_HUB="" if model else "huggingface")
        target = tmp_path / f"{number}.pt"
        fetcher.fetch_published(model or PublishedModel("ViT-B-16"), target, source)
        assert hub.paths(f"/api/models/{ID}/revision/main") != []
        assert hub.paths(OLD_COMMIT) == hub.paths("/api/v1/models/") == []


SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
BESIDE = ["config.json", "special_tokens_map.json", "spiece.model", "tokenizer.json"]


@pytest.mark.parametrize(
    ("needed", "others"),
    [
        (["config.json", "model.safetensors"], ["pytorch_model.bin", "clip_cn_rn50.pt"]),
        (["config.json", *SHARDS, "model.safetensors.index.json"], ["pytorch_model.bin"]),
        (
            [
                "config.json",
                "pytorch_model-00001-of-00001.bin",
                "pytorch_model.bin.index.json",
            ],
            ["tf_model.h5", "flax_model.msgpack"],
        ),
        (
            [*BESIDE, "model.safetensors", "modeling_x.py", "LICENSE"],
            ["model.onnx", "training_args.bin", "trainer_state.json", "optimizer.pt"],
        ),
        (
            ["open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json"],
            ["open_clip_pytorch_model.bin", "epoch_1.pt"],
        ),
        (
            ["config.json", "open_clip_config.json", "open_clip_pytorch_model.bin"],
            ["epoch_1.pt"],
        ),
    ],
)
def test_a_folder_is_taken_in_its_best_form(
    fetcher: Fetcher, hub: HubServer, needed: list[str], others: list[str]
) -> None:
    hub.repositories["a/b"] = repository_of([*others, *needed])
    path, _ = fetcher.fetch(HubModel("a/b"))
    assert contents(path).keys() == set(needed)


@pytest.mark.parametrize(
    ("files", "checkpoint"),
    [
        (["README.md", "clip_cn_rn50.pt", "clip_cn_rn50.pth.tar"], "clip_cn_rn50.pt"),
        (["configuration.json", "pytorch_model.bin", "vocab.txt"], "pytorch_model.bin"),
        (["config.json", "best.pt"], "best.pt"),
    ],
)
def test_a_model_that_is_a_checkpoint_is_its_path(
    fetcher: Fetcher, hub: HubServer, files: list[str], checkpoint: str
) -> None:
    hub.repositories["a/b"] = repository_of(files)
    path, _ = fetcher.fetch(HubModel("a/b"))
    assert path.name == checkpoint
    assert path.read_bytes() == checkpoint.encode()
    assert fetcher.fetch(HubModel("a/b"))[0] == path


def test_the_checkpoint_of_open_clip_lies_apart(fetcher: Fetcher, hub: HubServer) -> None:
    files = ["config.json", "open_clip_config.json", "open_clip_pytorch_model.bin"]
    hub.repositories["laion/x"] = repository_of([*files, "model.safetensors"])
    path, source = fetcher.fetch(HubModel("laion/x"), "open_clip")
    assert path.name == "open_clip_pytorch_model.bin"
    assert source.revision == COMMIT
    assert sorted(contents(path.parent)) == files
    folder, _ = fetcher.fetch(HubModel("laion/x"))
    assert sorted(contents(folder)) == ["config.json", "model.safetensors", "open_clip_config.json"]


def test_a_model_without_tensors_is_refused(fetcher: Fetcher, hub: HubServer) -> None:
    hub.repositories["a/b"] = Repository({COMMIT: {"config.json": b"{}", "model.onnx": b"x"}})
    with pytest.raises(BadModel, match="has no tensors in a form that Tusou reads"):
        fetcher.fetch(HubModel("a/b"))


def test_a_token_goes_to_the_hub_and_not_to_its_storage(
    hub: HubServer, tmp_path: Path, progress: RecordedProgress
) -> None:
    hub.token = "hf_秘".encode().hex()
    for name in ("huggingface", "modelscope"):
        tokens = {"HF_TOKEN": hub.token, "MODELSCOPE_API_TOKEN": hub.token}
        fetcher = make_fetcher(hub, tmp_path, progress, TUSOU_HUB=name, **tokens)
        hub.requests.clear()
        fetcher.fetch(HubModel(ID))
        for path, _, credentials in hub.requests:
            assert (credentials is None) == path.startswith("/storage/"), path
        assert hub.paths("/storage/") != []


def test_a_private_model_is_refused_without_a_token(fetcher: Fetcher, hub: HubServer) -> None:
    hub.token = "hf_secret"
    with pytest.raises(BadModel, match=r"refuses access \(HTTP 401\).*HF_TOKEN") as raised:
        fetcher.fetch(HubModel(ID))
    assert "hf_secret" not in str(raised.value)


def test_a_model_that_the_hub_does_not_have_is_named(fetcher: Fetcher) -> None:
    with pytest.raises(BadModel, match=r"download nobody/nothing .*HTTP 404"):
        fetcher.fetch(HubModel("nobody/nothing"))
    left = fetcher.settings.folder.glob("*/nobody/nothing/*")
    assert [path.name for path in left] == [".lock"]
