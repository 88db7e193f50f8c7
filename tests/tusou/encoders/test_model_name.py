"""Names of models, as `--model` takes them."""

from pathlib import Path

import pytest

from tusou.core.errors import InvalidRequest
from tusou.encoders import find_weights
from tusou.encoders.model_name import (
    MODELS,
    HubModel,
    OpenClipModel,
    PublishedModel,
    on_hub,
    parse_model,
)

ID = "OFA-Sys/chinese-clip-vit-base-patch16"
COMMIT = "36e679e65c2a2fead755ae21162091293ad37834"


@pytest.mark.parametrize("name", MODELS)
def test_a_published_name_may_say_its_hub(name: str) -> None:
    assert parse_model(name) == PublishedModel(name)
    assert parse_model(f"modelscope:{name}") == PublishedModel(name, "modelscope")


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (ID, HubModel(ID)),
        (f"{ID}@main", HubModel(ID, revision="main")),
        (f"{ID}@refs/pr/3", HubModel(ID, revision="refs/pr/3")),
        (f"huggingface:{ID}@{COMMIT}", HubModel(ID, "huggingface", COMMIT)),
        ("modelscope:iic/multi-modal_clip-vit-base-patch16_zh@v1.0.1",
         HubModel("iic/multi-modal_clip-vit-base-patch16_zh", "modelscope", "v1.0.1")),
    ],
)  # fmt: skip
def test_an_id_of_a_hub_may_have_a_hub_and_a_revision(text: str, model: HubModel) -> None:
    assert parse_model(text) == model
    assert str(model) == text


@pytest.mark.parametrize(
    "text",
    ["/srv/model.pt", "runs/best.pt", "./runs/best", "a/b/c", "ViT-B-32", "", "../x/y", "模型/一"],
)
def test_everything_else_is_a_path(text: str) -> None:
    assert parse_model(text) == Path(text)


@pytest.mark.parametrize("ending", [".ckpt", ".pth.tar", ".h5", ".msgpack", ".zip", ".safetensors"])
def test_a_name_that_ends_like_a_file_is_a_path(ending: str) -> None:
    assert parse_model(f"runs/best{ending}") == Path(f"runs/best{ending}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("~nouser/model.pt", "no user 'nouser' here"),
        ("open_clip:ViT-B-32@~nouser/model.pt", "no user 'nouser' here"),
        ("a" * 300, "File name too long"),
        ("a/" * 3000, "File name too long"),
    ],
)
def test_a_path_that_cannot_be_looked_up_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as raised:
        parse_model(text)
    assert len(str(raised.value)) < 300


def test_a_name_that_is_too_long_for_a_hub_is_a_path() -> None:
    text = "owner/" + "a" * 300
    assert parse_model(text) == Path(text)
    assert parse_model(f"huggingface:{text}") == Path(f"huggingface:{text}")
    with pytest.raises(InvalidRequest, match="No model"):
        find_weights(text)


def test_a_folder_that_exists_is_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ID).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse_model(ID) == Path(ID)
    assert parse_model(f"huggingface:{ID}") == HubModel(ID, "huggingface")


def test_a_name_of_open_clip_has_its_checkpoint() -> None:
    name = "open_clip:xlm-roberta-base-ViT-B-32"
    laion = "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k"
    architecture = name.removeprefix("open_clip:")
    assert parse_model(f"{name}@/w/a.pt") == OpenClipModel(architecture, Path("/w/a.pt"))
    assert parse_model(f"{name}@{laion}@main") == OpenClipModel(
        architecture, HubModel(laion, revision="main")
    )


@pytest.mark.parametrize("text", ["open_clip:ViT-B-32", "open_clip:@a.pt", "open_clip:ViT-B-32@"])
def test_a_name_of_open_clip_without_either_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="open_clip:ViT-B-32@/path/to"):
        parse_model(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ViT-B-16", "modelscope:ViT-B-16"),
        (f"{ID}@main", f"modelscope:{ID}@main"),
        (f"huggingface:{ID}", f"huggingface:{ID}"),
        (f"open_clip:ViT-B-32@{ID}", f"open_clip:ViT-B-32@modelscope:{ID}"),
        (f"open_clip:ViT-B-32@huggingface:{ID}", f"open_clip:ViT-B-32@huggingface:{ID}"),
        ("open_clip:ViT-B-32@/w/a.pt", "open_clip:ViT-B-32@/w/a.pt"),
        ("demo", "demo"),
        ("/w/a.pt", "/w/a.pt"),
    ],
)
def test_a_hub_is_for_what_is_of_a_hub_and_names_none(text: str, expected: str) -> None:
    assert on_hub(text, "modelscope") == expected
    assert on_hub(text, None) == text
