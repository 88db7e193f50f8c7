"""Tokenizers of Chinese-CLIP's folders as transformers saves them: cn_clip's vocabulary or not."""

from pathlib import Path

import pytest

from tusou.core.errors import BadModel
from tusou.encoders.forms.vocabulary import check_vocabulary, vocabulary_path
from tusou.encoders.model_folder import ModelFolder

pytestmark = pytest.mark.models


def save_tokenizer(folder: Path, vocabulary: Path) -> ModelFolder:
    """Save a tokenizer with transformers, which writes `tokenizer.json` alone."""
    from transformers import BertTokenizer

    BertTokenizer(str(vocabulary)).save_pretrained(folder)
    assert not (folder / "vocab.txt").exists()
    (folder / "config.json").write_text('{"model_type": "chinese_clip"}')
    return ModelFolder(folder)


def test_the_vocabulary_of_cn_clip_is_recognised(tmp_path: Path) -> None:
    check_vocabulary(save_tokenizer(tmp_path, vocabulary_path()))


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    pieces = vocabulary_path().read_text("utf-8").replace("\n裙\n", "\n裙裙\n")
    (tmp_path / "other.txt").write_text(pieces, "utf-8")
    with pytest.raises(BadModel, match="a vocabulary of its own, of 21,128 pieces"):
        check_vocabulary(save_tokenizer(tmp_path / "m", tmp_path / "other.txt"))
