"""Tokenizers of CLIP and BERT: the ids of their libraries, and what their vocabularies lack."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models.tiny_clip import CLIP_CONTEXT, clip_vocabulary, save_clip_vocabulary
from tusou.core.errors import BadModel
from tusou.encoders.families.preprocessing import tokenizer_digest
from tusou.encoders.fast_tokenizer import FastTokenizer
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.tokenizer_files import (
    clean_as_openai,
    open_openai_tokenizer,
    open_tokenizer,
)

pytestmark = pytest.mark.models

TEXTS = [
    "a red dress",
    "DOGs  running,\tdon't stop 123!",
    "",
    "红色碎花吊带裙",
    "遥控车 toy",
    "🐶 ñandú  café",
    "a red dress beside a white car " * 20,
    "red <|endoftext|> dog",
    "&lt;b&gt; &amp;amp; “quoted” ﬁne",
]


def folder_of(path: Path) -> ModelFolder:
    (path / "config.json").write_text("{}")
    return ModelFolder(path)


def test_clip_has_the_ids_of_transformers(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    save_clip_vocabulary(tmp_path / "published")
    vocabulary, merges = clip_vocabulary()
    library = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_CONTEXT)
    library.save_pretrained(tmp_path / "saved")
    for name in ("published", "saved"):  # vocab.json and merges.txt, or tokenizer.json
        tokenizer = FastTokenizer(open_tokenizer(folder_of(tmp_path / name)), CLIP_CONTEXT)
        tokens = tokenizer.prepare(TEXTS)
        for text, row, truncated in zip(TEXTS, tokens.ids, tokens.truncated, strict=True):
            expected = library(text, truncation=True)["input_ids"]
            np.testing.assert_array_equal(row[row != 0] - 1, expected)
            assert truncated == (len(library(text)["input_ids"]) > CLIP_CONTEXT)
        assert tokenizer.vocab_size == len(vocabulary) + 1


def test_openai_has_the_ids_of_open_clip() -> None:
    import open_clip

    texts = [
        *(text for text in TEXTS if "<|" not in text),  # open_clip spells the marks in another way
        "it's the dogs' 3rd\n\n&nbsp;ride – naïve “ﬂuﬀy” £5",
        "ＨＥＬＬＯ ½ ①",
        "a\u0301",
    ]
    expected = open_clip.get_tokenizer("ViT-B-32")(texts).numpy()
    tokenizer = FastTokenizer(open_openai_tokenizer(), 77, clean=clean_as_openai())
    tokens = tokenizer.prepare(texts)
    assert tokenizer.vocab_size == 49408 + 1
    width = tokens.ids.shape[1]
    np.testing.assert_array_equal(tokens.ids, np.where(expected, expected + 1, 0)[:, :width])
    assert not expected[:, width:].any()


def test_bert_has_the_ids_of_transformers(tmp_path: Path) -> None:
    from transformers import BertTokenizer

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "dress", "##es", "红", "车", ","]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    library = BertTokenizer.from_pretrained(tmp_path, model_max_length=8)
    texts = ["Red dresses,红车", "红色", "red " * 20, ""]
    tokenizer = FastTokenizer(open_tokenizer(folder_of(tmp_path)), 8, first_id=0)
    tokens = tokenizer.prepare(texts)
    expected = library(texts, padding=True, truncation=True, return_tensors="np")["input_ids"]
    np.testing.assert_array_equal(tokens.ids, expected)
    assert tokens.truncated == (False, False, True, False)
    assert tokenizer.unknown_share(texts) == [0, 0.5, 0, 0]
    library.save_pretrained(tmp_path)  # with tokenizer.json
    again = FastTokenizer(open_tokenizer(folder_of(tmp_path)), 8, first_id=0)
    np.testing.assert_array_equal(again.prepare(texts).ids, expected)


def test_bytes_that_are_part_of_a_character_are_unknown(tmp_path: Path) -> None:
    save_clip_vocabulary(tmp_path)
    tokenizer = FastTokenizer(open_tokenizer(folder_of(tmp_path)), CLIP_CONTEXT)
    texts = ["red dress", "红色", "车", "red 红", "", "xyz é"]
    # Neither of é's two bytes is a character; the three bytes of 红 stand beside one word.
    assert tokenizer.unknown_share(texts) == [0, 1, 0, 0.75, 0, 0.4]


def test_a_text_ends_at_the_first_mark_of_its_end(tmp_path: Path) -> None:
    save_clip_vocabulary(tmp_path)
    opened = open_tokenizer(folder_of(tmp_path))
    tokenizer = FastTokenizer(opened, CLIP_CONTEXT, ends_once=True)
    spelled, plain = tokenizer.prepare(["red <|endoftext|> dog", "red"]).ids
    np.testing.assert_array_equal(spelled, plain)


def test_any_string_is_accepted(tmp_path: Path) -> None:
    save_clip_vocabulary(tmp_path)
    tokenizer = FastTokenizer(open_tokenizer(folder_of(tmp_path)), CLIP_CONTEXT)
    ids = tokenizer.prepare(["a\ud800b", "a\N{REPLACEMENT CHARACTER}b", "\0"]).ids
    np.testing.assert_array_equal(ids[0], ids[1])
    assert tokenizer.prepare([]).ids.shape == (0, 0)


def test_the_length_in_the_file_is_not_kept(tmp_path: Path) -> None:
    save_clip_vocabulary(tmp_path / "published")
    opened = open_tokenizer(folder_of(tmp_path / "published"))
    opened.enable_truncation(4)
    opened.enable_padding(length=9)
    (tmp_path / "saved").mkdir()
    opened.save(str(tmp_path / "saved" / "tokenizer.json"))
    tokenizer = FastTokenizer(open_tokenizer(folder_of(tmp_path / "saved")), CLIP_CONTEXT)
    assert tokenizer.prepare(["a b c d e"]).ids.shape == (1, 7)


def test_refuses_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"has no tokenizer: it needs tokenizer\.json"):
        open_tokenizer(folder_of(tmp_path))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(BadModel, match="cannot be read"):
        open_tokenizer(folder_of(tmp_path))


def test_the_digest_changes_with_the_vocabulary(tmp_path: Path) -> None:
    save_clip_vocabulary(tmp_path)
    folder = folder_of(tmp_path)
    before = tokenizer_digest(folder)
    (tmp_path / "README.md").write_text("Words.")
    assert tokenizer_digest(folder) == before
    with (tmp_path / "merges.txt").open("a") as file:
        file.write("a b\n")
    assert tokenizer_digest(folder) != before
