"""Texts in another language than the model's are pointed out, single brand names are not."""

import pytest

from tusou.text.script import common_language, hint_at_language, is_without_chinese


def test_a_text_without_chinese() -> None:
    assert is_without_chinese("A dog runs.")
    assert not is_without_chinese("iPhone 手机壳")
    assert not is_without_chinese("2024")


def test_only_a_majority_is_pointed_out() -> None:
    assert hint_at_language(["A dog", "A cat", "红裙"]) == (
        "warning: 2 of 3 texts have no Chinese character, but the model reads Chinese; give "
        "Chinese captions, or a model for the language of the texts."
    )
    assert hint_at_language(["iPhone", "红裙"]) is None
    assert hint_at_language([]) is None


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
