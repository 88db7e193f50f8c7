"""The licence and the card of a model go along with what is made of it."""

import json
import shutil
from pathlib import Path

import pytest
from tusou_lab.convert_model.run import convert_model

from tests.models.tiny import write_card
from tests.models.tiny_clip import save_tiny_clip
from tests.models.tiny_multilingual import save_tiny_open_clip, save_tiny_xlm_roberta_clip
from tests.tiny_models import save_tiny_model
from tusou.encoders import find_license, find_weights
from tusou.encoders.families import find_family
from tusou.encoders.families.license import read_card_license

pytestmark = pytest.mark.models

CARD, TERMS, NOTICE = "README.md", "LICENSE.txt", "NOTICE"


def write_terms(folder: Path, name: str = "cc-by-nc-4.0") -> dict[str, bytes]:
    """Write a card and the files of a licence; return the contents of all of them."""
    write_card(folder, name)
    (folder / TERMS).write_text("You may not sell it. 不得用于商业用途。\n", encoding="utf-8")
    (folder / NOTICE).write_text("Made by its authors.\n")
    return terms_in(folder)


def terms_in(folder: Path) -> dict[str, bytes]:
    names = (CARD, TERMS, NOTICE)
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def save(model: str, out: Path) -> Path:
    """Write a model as training does."""
    from tusou_lab.train.models import open_trainable

    open_trainable(model).save(out, 0, 0)
    return out


def license_of(folder: Path) -> str | None:
    weights = find_weights(str(folder))
    record = find_family(weights).describe(weights)
    return find_license(weights) if record is None else record.license


def save_chinese_clip(folder: Path) -> Path:
    convert_model(str(save_tiny_model(folder.with_suffix(".pt"))), "transformers", folder)
    return folder


@pytest.mark.parametrize("make", [save_chinese_clip, save_tiny_clip])
def test_an_onnx_folder_has_the_card_and_the_terms(tmp_path: Path, make: object) -> None:
    from tusou_lab.convert_model.onnx_export import export_onnx

    assert callable(make)
    model = make(tmp_path / "model")
    terms = write_terms(model)
    assert len(terms) == 3
    report = export_onnx(str(model), tmp_path / "onnx")
    assert terms_in(tmp_path / "onnx") == terms
    assert report.files.keys() >= terms.keys()
    record = json.loads((tmp_path / "onnx/model.json").read_text("utf-8"))
    assert record["license"] == "cc-by-nc-4.0"


def test_an_onnx_folder_of_a_converted_checkpoint_gets_a_card_with_its_licence(
    tmp_path: Path,
) -> None:
    from tusou_lab.convert_model.onnx_export import export_onnx

    model = save_chinese_clip(tmp_path / "model")
    write_terms(model)
    checkpoint = tmp_path / "checkpoint.pt"
    convert_model(str(model), "cnclip", checkpoint)
    export_onnx(str(checkpoint), tmp_path / "onnx")
    assert read_card_license(tmp_path / "onnx") == "cc-by-nc-4.0"
    record = json.loads((tmp_path / "onnx/model.json").read_text("utf-8"))
    assert record["license"] == "cc-by-nc-4.0"


def test_an_onnx_folder_of_an_unknown_licence_has_no_card(tmp_path: Path) -> None:
    from tusou_lab.convert_model.onnx_export import export_onnx

    export_onnx(str(save_tiny_model(tmp_path / "a.pt")), tmp_path / "onnx")
    assert terms_in(tmp_path / "onnx") == {}
    record = json.loads((tmp_path / "onnx/model.json").read_text("utf-8"))
    assert record["license"] is None


def test_a_trained_folder_of_open_clip_has_the_card_and_the_terms(tmp_path: Path) -> None:
    model = save_tiny_open_clip(tmp_path / "model")
    terms = write_terms(model)
    trained = save(str(model), tmp_path / "trained")
    assert terms_in(trained) == terms
    assert license_of(trained) == "cc-by-nc-4.0"


def test_the_terms_beside_a_checkpoint_of_open_clip_go_into_its_folder(tmp_path: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    (tmp_path / "download").mkdir()
    checkpoint = tmp_path / "download/weights.safetensors"
    module = open_clip.create_model("ViT-S-32-alt", load_weights=False)
    save_file(module.state_dict(), checkpoint)
    terms = write_terms(checkpoint.parent)
    trained = save(f"open_clip:ViT-S-32-alt@{checkpoint}", tmp_path / "trained")
    assert terms_in(trained) == terms
    assert license_of(trained) == "cc-by-nc-4.0"


def test_what_configures_the_text_tower_goes_along(tmp_path: Path) -> None:
    """A trained folder that lacks it could not be opened."""
    model = save_tiny_xlm_roberta_clip(tmp_path / "model")
    path = model / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"]["hf_model_name"] = "text"
    path.write_text(json.dumps(config))
    trained = save(str(model), tmp_path / "trained")
    expected = (model / "text/config.json").read_bytes()
    assert (trained / "text/config.json").read_bytes() == expected
    shutil.rmtree(model)
    weights = find_weights(str(trained))
    assert license_of(trained) == "mit"
    assert find_family(weights).open_tokenizer(weights).vocab_size > 0
