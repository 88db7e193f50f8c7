"""Writes a tokenizer in forms that other programs read: `vocab.txt` and `tokenizer.json`."""

import json
from pathlib import Path
from typing import Any

from tusou.core.errors import BadModel
from tusou.encoders import Weights
from tusou.encoders.base import CONTEXT
from tusou.encoders.families import find_family
from tusou.encoders.fast_tokenizer import FastTokenizer
from tusou.encoders.tokenizer import ClipTokenizer

_LINES, _JSON = "vocab.txt", "tokenizer.json"


def write_vocabulary(weights: Weights, folder: Path) -> dict[str, Any]:
    """Write a model's tokenizer; return its record. BadModel if it has no such form."""
    family = find_family(weights)
    tokenizer, record = family.open_tokenizer(weights), family.describe(weights)
    if isinstance(tokenizer, FastTokenizer) and record is not None:
        (folder / _JSON).write_text(tokenizer.to_json(), encoding="utf-8")
        return {
            "kind": record.tokenizer,
            "tokenizers": _JSON,
            "context": tokenizer.context,
            "lower_case": record.lower_case,
            "cleaned_as_openai": tokenizer.is_cleaning,  # with ftfy and html.unescape
            "padding": 0,
            "first_id": tokenizer.first_id,  # to add to each id of the library: 0 is padding
        }
    if not isinstance(tokenizer, ClipTokenizer):
        raise BadModel(f"{weights.name} has a tokenizer that is not exported")
    vocabulary = tokenizer.vocabulary
    (folder / _LINES).write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    text = json.dumps(_wordpiece(vocabulary), ensure_ascii=False, separators=(",", ":"))
    (folder / _JSON).write_text(text, encoding="utf-8")
    return {
        "kind": "BERT WordPiece",
        "vocabulary": _LINES,
        "tokenizers": _JSON,  # of the library of that name
        "context": CONTEXT,
        "lower_case": True,
        "replace": {"“": '"', "”": '"'},
        "padding": 0,
        "first_id": 0,
        "unknown": vocabulary["[UNK]"],
        "first": vocabulary["[CLS]"],
        "last": vocabulary["[SEP]"],
    }


def _wordpiece(vocabulary: dict[str, int]) -> dict[str, Any]:
    """Return the tokenizer in the format of the library `tokenizers`, as of its version 0.13."""
    first, text, last, other = (
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 0}},
    )
    return {
        "version": "1.0",
        "truncation": {
            "max_length": CONTEXT,
            "strategy": "LongestFirst",
            "stride": 0,
            "direction": "Right",
        },
        "padding": {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": vocabulary["[PAD]"],
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                *(
                    {"type": "Replace", "pattern": {"String": curly}, "content": '"'}
                    for curly in "“”"
                ),
                {
                    "type": "BertNormalizer",
                    "clean_text": True,
                    "handle_chinese_chars": True,
                    "strip_accents": True,
                    "lowercase": True,
                },
            ],
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, text, last],
            "pair": [first, text, last, other, last],
            "special_tokens": {
                mark: {"id": mark, "ids": [vocabulary[mark]], "tokens": [mark]}
                for mark in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 200,
            "vocab": vocabulary,
        },
    }
