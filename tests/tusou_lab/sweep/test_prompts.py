"""Templates are read a line each, and wrong ones are named."""

from pathlib import Path

import pytest
from tusou_lab.sweep.prompts import ENSEMBLE, PUBLISHED, Prompt, read_templates, with_ensemble

from tusou.core.errors import BadDataset


def test_a_line_without_a_place_stands_before_the_query(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text(
        "\ufeff{query}\n这是一张图片，里面存在商品：\n\n买{query}的人\n{query}\n", "utf-8"
    )
    assert read_templates(path) == (
        "{query}",
        "这是一张图片，里面存在商品：{query}",
        "买{query}的人",
    )


def test_wrong_templates_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text("好\n{query}{query}\n{query}和{query}\n", "utf-8")
    with pytest.raises(BadDataset, match=r"(?s)templates: 2\n.*txt:2: .*\n.*txt:3: "):
        read_templates(path)


@pytest.mark.parametrize(
    ("data", "said"), [(b"\n", "no templates"), ("图搜".encode("gb18030"), "not UTF-8 at byte 2")]
)
def test_refuses(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "templates.txt").write_bytes(data)
    with pytest.raises(BadDataset, match=said):
        read_templates(tmp_path / "templates.txt")


def test_several_templates_have_a_mean_and_one_has_none() -> None:
    assert with_ensemble(PUBLISHED)[-1] == Prompt(ENSEMBLE, PUBLISHED)
    assert with_ensemble(("{query}",)) == (Prompt("{query}", ("{query}",)),)
