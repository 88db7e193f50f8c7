"""The pooling of text towers of sentence-transformers: read, completed from the hub, or refused."""

import json
import shutil
from pathlib import Path

import pytest
from hub_server import HubServer, Repository

from tests.models.family_checks import tusou
from tests.models.tiny_towers import (
    DIM,
    join,
    save_tiny_bert,
    save_tiny_sentences,
    save_tiny_vit,
)
from tusou.core.errors import BadModel
from tusou.encoders import find_weights, resolve_encoder

pytestmark = pytest.mark.models


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_towers_of_a_hub_are_joined_as_their_folders_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The pooling of the texts lies in a folder of its own there."""
    folders = {
        "owner/text": save_tiny_sentences(tmp_path / "text"),
        "owner/image": save_tiny_vit(tmp_path / "image"),
    }
    expected = join(*folders.values(), tmp_path / "expected")
    repositories = {model_id: repository_of(folder) for model_id, folder in folders.items()}
    for variable in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):  # only the hub that is asked answers
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("TUSOU_MODELS", str(tmp_path / "models"))
    endpoint = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}[name]
    words = ("--text", "owner/text", "--image", "owner/image", "--hub", name, "--dim", str(DIM))
    with HubServer(repositories).running() as server:
        monkeypatch.setenv(endpoint, server.url)
        tusou("convert-model", *words, "--out", str(tmp_path / "joined"))
    assert find_weights(str(tmp_path / "joined")).digest == find_weights(str(expected)).digest
    config = json.loads((tmp_path / "joined/config.json").read_text())
    assert (config["text"]["pooling"], config["context_length"]) == ("mean", 16)


def test_the_pooling_that_an_earlier_release_did_not_download_is_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, image = save_tiny_sentences(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    expected = join(text, image, tmp_path / "expected")
    monkeypatch.setenv("TUSOU_MODELS", str(tmp_path / "models"))
    with HubServer({"owner/text": repository_of(text)}).running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        folder = find_weights("owner/text").path
        for name in ("modules.json", "sentence_bert_config.json", f"../{folder.name}.files.json"):
            (folder / name).unlink()
        shutil.rmtree(folder / "1_Pooling")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(BadModel, match=r"1_Pooling/config\.json.*give the folder to --text"):
            join("owner/text", image, tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
        monkeypatch.delenv("HF_HUB_OFFLINE")
        join("owner/text", image, tmp_path / "joined")
    assert find_weights(str(tmp_path / "joined")).digest == find_weights(str(expected)).digest
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # all of it is here now
    join("owner/text", image, tmp_path / "again")


@pytest.mark.parametrize("lost", ["1_Pooling", "1_Pooling and modules.json"])
def test_a_folder_that_lost_its_pooling_is_refused(tmp_path: Path, lost: str) -> None:
    text, image = save_tiny_sentences(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    shutil.rmtree(text / "1_Pooling")
    if "modules.json" in lost:
        (text / "modules.json").unlink()
    with pytest.raises(BadModel, match=r"lacks the folder of the pooling.*--pooling mean"):
        join(text, image, tmp_path / "joined")
    joined = join(text, image, tmp_path / "joined", pooling="mean")
    assert json.loads((joined / "config.json").read_text())["text"]["pooling"] == "mean"


def repository_of(folder: Path) -> Repository:
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return Repository({"a" * 40: files})


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_max_tokens": True}, None),
        ({"pooling_mode_lasttoken": True}, None),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, None),
        ({"pooling_mode": ["cls", "mean"]}, None),
        ({"pooling_mode": "weightedmean"}, None),
        ({}, None),
    ],
)
def test_a_pooling_that_tusou_does_not_do_is_refused(
    tmp_path: Path, settings: dict[str, object], pooling: str | None
) -> None:
    text = save_tiny_sentences(tmp_path / "text")
    (text / "1_Pooling/config.json").write_text(json.dumps(settings))
    image = save_tiny_vit(tmp_path / "image")
    if pooling is None:
        with pytest.raises(BadModel, match=r"1_Pooling/config\.json.*--pooling mean"):
            join(text, image, tmp_path / "joined")
    joined = join(text, image, tmp_path / "joined", pooling=None if pooling else "first")
    config = json.loads((joined / "config.json").read_text())
    assert config["text"]["pooling"] == (pooling or "first")


@pytest.mark.parametrize(
    ("kind", "is_refused"),
    [
        ("sentence_transformers.models.Normalize", False),
        ("sentence_transformers.models.Dense", True),
        ("sentence_transformers.sentence_transformer.modules.dense.Dense", True),
        ("custom.Head", True),
    ],
)
def test_a_layer_behind_the_pooling_is_not_left_out_without_a_word(
    tmp_path: Path, kind: str, *, is_refused: bool
) -> None:
    text, image = save_tiny_sentences(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    modules = json.loads((text / "modules.json").read_text())
    modules.append({"idx": 2, "name": "2", "path": "2_Last", "type": kind})
    (text / "modules.json").write_text(json.dumps(modules))
    if is_refused:
        name = kind.rpartition(".")[2]
        with pytest.raises(BadModel, match=rf"modules\.json.* {name} .*--pooling mean"):
            join(text, image, tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
    joined = join(text, image, tmp_path / "joined", pooling="mean" if is_refused else None)
    assert json.loads((joined / "config.json").read_text())["text"]["pooling"] == "mean"


def test_another_pooling_in_the_configuration_is_refused(tmp_path: Path) -> None:
    text, image = save_tiny_bert(tmp_path / "text"), save_tiny_vit(tmp_path / "image")
    path = join(text, image, tmp_path / "joined") / "config.json"
    config = json.loads(path.read_text())
    config["text"]["pooling"] = "max"
    path.write_text(json.dumps(config))
    with pytest.raises(BadModel, match="pooling of the text tower is 'max'"):
        resolve_encoder(find_weights(str(path.parent)), "text", "cpu")
