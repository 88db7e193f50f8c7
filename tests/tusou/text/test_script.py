"""The script of texts, and the language of a collection."""

import pytest

from tusou.text.script import common_language, is_without_chinese


def test_a_text_without_chinese() -> None:
    assert is_without_chinese("A dog runs.")
    assert not is_without_chinese("iPhone 手机壳")
    assert not is_without_chinese("2024")


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["碎花吊带裙", "nike 跑鞋", "nike"], "Chinese"),
        (["A dog runs .", "Two men on a bike .", "nike"], "English"),
        (["赤いワンピース", "黒い犬が走っている"], "other"),
        (["Ein Hund rennt durch den Schnee"], "other"),
        ([], "other"),
    ],
)
def test_the_language_of_most_texts(texts: list[str], language: str) -> None:
    assert common_language(texts) == language
