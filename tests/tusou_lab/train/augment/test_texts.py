"""Random changes of queries by named policies."""

import numpy as np
import pytest
from tusou_lab.train.augment import AugmentSpec
from tusou_lab.train.augment.synonyms import SYNONYMS
from tusou_lab.train.augment.texts import TEXT_POLICIES, augment_text, split_query

from tusou.core.errors import InvalidRequest


def variants(text: str, *policies: str, count: int = 200) -> set[str]:
    rng = np.random.default_rng(1)
    return {augment_text(text, rng, policies) for _ in range(count)}


def test_the_order_of_attributes_changes_and_the_product_stays_last() -> None:
    found = variants("时尚竖条纹深蓝色饭碗", "order")
    assert len(found) > 1
    assert all(text.endswith("饭碗") and "竖条纹" in text for text in found)
    assert {"".join(sorted(text)) for text in found} == {"".join(sorted("时尚竖条纹深蓝色饭碗"))}


def test_parts_between_spaces_stay_together() -> None:
    found = variants("2023 ins风 方形 盘子", "order")
    assert len(found) == 6
    assert all(sorted(text.split()) == sorted(["2023", "ins风", "方形", "盘子"]) for text in found)


@pytest.mark.parametrize("text", ["红色的连衣裙 女 夏季", "T恤", "", "  ", "不带拉链的黑色双肩包"])
def test_some_texts_keep_their_order(text: str) -> None:
    assert {found.strip() for found in variants(text, "order")} == {text.strip()}


def test_a_refusal_keeps_all_of_its_words() -> None:
    assert variants("不带拉链的黑色双肩包", "order", "synonyms", "drop") == {"不带拉链的黑色双肩包"}


def test_synonyms_replace_whole_words() -> None:
    assert variants("黑色衬衫", "synonyms") == {"黑色衬衫", "黑色衬衣", "黑衬衫", "黑衬衣"}
    assert variants("红烧锅", "synonyms") == {"红烧锅"}
    assert all(word in SYNONYMS[other] for word, others in SYNONYMS.items() for other in others)


def test_only_descriptions_are_dropped() -> None:
    assert variants("新款 红色 碎花 连衣裙", "drop") == {
        " ".join([*(word for word, kept in zip(words, bits, strict=True) if kept), "连衣裙"])
        for words in [("新款", "红色", "碎花")]
        for bits in np.ndindex(2, 2, 2)
    }
    assert variants("手机壳 苹果", "drop") == {"手机壳 苹果"}
    assert variants("红色", "drop") == {"红色"}


def test_templates_hold_the_text() -> None:
    found = variants("红色连衣裙", "templates")
    assert len(found) == 8
    assert all("红色连衣裙" in text for text in found)


def test_the_parts_of_a_query_are_its_text() -> None:
    for text in ("高级感黄色迷彩男士t恤", "2023 时尚 ins风 方 盘子", "left handed mug", ""):
        assert split_query(text).text == text


def test_policies_by_name() -> None:
    assert AugmentSpec.parse(None, None) == AugmentSpec(("shift", "flip"), ())
    assert AugmentSpec.parse("none", "none") == AugmentSpec((), ())
    parsed = AugmentSpec.parse("cut-out, crop", "templates,order")
    assert parsed == AugmentSpec(("crop", "cut-out"), ("order", "templates"))
    assert set(parsed.augment_texts) < set(TEXT_POLICIES)
    for images, texts, name in (
        ("blur", None, "blur"),
        (None, "", "''"),
        ("none,flip", None, "none"),
    ):
        with pytest.raises(InvalidRequest, match=f"{name}.*is not one of"):
            AugmentSpec.parse(images, texts)
