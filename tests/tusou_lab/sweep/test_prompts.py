"""Prompt templates read from a file."""

from pathlib import Path

import pytest
from tusou_lab.sweep.prompts import (
    ENGLISH_PROMPTS,
    ENSEMBLE,
    PHOTO_PROMPTS,
    SHOP_PROMPTS,
    Prompt,
    prompts_for,
    with_ensemble,
)

from tusou.core.errors import BadDataset
from tusou.text.prompt_file import read_templates


def test_a_line_without_a_placeholder_precedes_the_query(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text(
        "\ufeff{query}\n这是一张图片，里面存在商品：\n\n买{query}的人\n{query}\n", "utf-8"
    )
    assert read_templates(path) == (
        "{query}",
        "这是一张图片，里面存在商品：{query}",
        "买{query}的人",
    )


def test_every_invalid_template_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text("好\n{query}{query}\n{query}和{query}\n", "utf-8")
    with pytest.raises(BadDataset, match=r"(?s)templates: 2\n.*txt:2: .*\n.*txt:3: "):
        read_templates(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\n", "no templates"), ("图搜".encode("gb18030"), "not UTF-8 at byte 2")],
)
def test_refuses_unusable_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "templates.txt").write_bytes(data)
    with pytest.raises(BadDataset, match=message):
        read_templates(tmp_path / "templates.txt")


def test_only_several_templates_have_an_ensemble() -> None:
    assert with_ensemble(SHOP_PROMPTS)[-1] == Prompt(ENSEMBLE, SHOP_PROMPTS)
    assert with_ensemble(("{query}",)) == (Prompt("{query}", ("{query}",)),)


CHINESE = ["碎花吊带裙", "two 连衣裙"]


def test_prompts_of_shops_are_for_the_pools_of_shops(tmp_path: Path) -> None:
    assert prompts_for(tmp_path / "MR_test_imgs.tsv", CHINESE) == SHOP_PROMPTS
    assert prompts_for(tmp_path, CHINESE) == PHOTO_PROMPTS
    assert not [prompt for prompt in PHOTO_PROMPTS if "商品" in prompt or "搜索" in prompt]
    (tmp_path / "MR_valid_imgs.tsv").touch()
    assert prompts_for(tmp_path, CHINESE) == SHOP_PROMPTS
    english = ["A dog runs in the snow .", "Two men on bikes", "nike"]
    assert prompts_for(tmp_path, english) == ENGLISH_PROMPTS
