"""Opens the tokenizer of a model folder, or OpenAI CLIP's, with the library `tokenizers`."""

import gzip
import html
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tusou.core.errors import BadModel, MissingDependency
from tusou.core.files import sha256_of
from tusou.core.lazy_import import extras_named
from tusou.encoders.fast_tokenizer import BYTE_OF, WORD_END
from tusou.encoders.model_folder import ModelFolder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EXTRA = "models"

# The vocabulary of OpenAI's CLIP, which open_clip carries along, and the digest of that file.
_BPE_FILE = "bpe_simple_vocab_16e6.txt.gz"
BPE_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
_BPE_MERGES = 49152 - 256 - 2  # the lines after the first that the vocabulary is made of

CLIP_START, CLIP_END = "<|startoftext|>", "<|endoftext|>"
_CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

# The files of tokenizers, of all kinds; those that are there decide what a tokenizer does.
# Digests are of the files in this order.
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)


def open_tokenizer(folder: ModelFolder) -> "Tokenizer":
    """Open the tokenizer of a model folder: `tokenizer.json`, or CLIP's or BERT's vocabulary.

    Raises BadModel if there is none or it is damaged, and MissingDependency without the library.
    """
    names = {path.name for path in tokenizer_files(folder.path)}
    if "tokenizer.json" in names:
        return open_tokenizer_file(folder.path)
    if {"vocab.json", "merges.txt"} <= names:
        return _build(folder.path.name, lambda: _open_clip(folder))
    if "vocab.txt" in names:
        return _build(folder.path.name, lambda: _open_bert(folder))
    raise BadModel(
        f"{folder.path.name} has no tokenizer: it needs tokenizer.json, or vocab.json and "
        "merges.txt, or vocab.txt, as its publisher has them"
    )


def open_tokenizer_file(folder: Path) -> "Tokenizer":
    """Open the `tokenizer.json` of a folder; BadModel, MissingDependency."""
    with extras_named(EXTRA):
        from tokenizers import Tokenizer  # noqa: PLC0415 - an extra
    return _build(folder.name, lambda: Tokenizer.from_file(str(folder / "tokenizer.json")))


def _build(name: str, build: "Callable[[], Tokenizer]") -> "Tokenizer":
    """Return what `build` does; BadModel, which names the folder, for files that are damaged."""
    with extras_named(EXTRA):
        import tokenizers  # noqa: F401, PLC0415 - an extra, whose absence is not a fault of the files
    try:
        return build()
    except Exception as error:  # the library raises plain Exception, whatever is wrong
        raise BadModel(f"the tokenizer of {name} cannot be read: {error}") from error


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files that the folder's tokenizer is made of."""
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]


def open_openai_tokenizer() -> "Tokenizer":
    """Open the tokenizer of OpenAI's CLIP, whose vocabulary open_clip brings; texts: `clean`."""
    with extras_named(EXTRA):
        spec = find_spec("open_clip")
        if spec is None or not spec.submodule_search_locations:
            raise MissingDependency(
                f"CLIP's vocabulary comes with the package 'open_clip': install tusou[{EXTRA}]"
            )
    path = Path(spec.submodule_search_locations[0], _BPE_FILE)
    if sha256_of(path) != BPE_SHA256:
        raise BadModel(f"{path} is not the vocabulary that CLIP was published with")
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : _BPE_MERGES + 1]
    merges = [(first, second) for first, second in map(str.split, lines)]
    single = [*BYTE_OF, *(f"{character}{WORD_END}" for character in BYTE_OF)]
    pieces = [*single, *map("".join, merges), CLIP_START, CLIP_END]
    return _build_clip({piece: number for number, piece in enumerate(pieces)}, merges)


def _open_clip(folder: ModelFolder) -> "Tokenizer":
    lines = (folder.path / "merges.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#version"))
    return _build_clip(folder.read_json("vocab.json"), [(first, second) for first, second in pairs])


def _build_clip(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> "Tokenizer":
    """Return the tokenizer that transformers makes of CLIP's vocabulary."""
    from tokenizers import (  # noqa: PLC0415 - an extra
        AddedToken,
        Regex,
        Tokenizer,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    model = models.BPE(
        vocabulary, merges, unk_token=CLIP_END, end_of_word_suffix=WORD_END, fuse_unk=False
    )
    tokenizer = Tokenizer(model)
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), spaces, normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    marks = [AddedToken(mark, special=True, normalized=False) for mark in (CLIP_START, CLIP_END)]
    tokenizer.add_special_tokens(marks)
    start, end = ((mark, vocabulary[mark]) for mark in (CLIP_START, CLIP_END))
    tokenizer.post_processor = processors.RobertaProcessing(
        end, start, trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def _open_bert(folder: ModelFolder) -> "Tokenizer":
    """Return the tokenizer that transformers makes of BERT's `vocab.txt`."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer  # noqa: PLC0415 - an extra

    names = {path.name for path in tokenizer_files(folder.path)}
    config = folder.read_json("tokenizer_config.json") if "tokenizer_config.json" in names else {}
    tokenizer = BertWordPieceTokenizer(
        str(folder.path / "vocab.txt"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=config.get("do_lower_case", True),
    )
    return Tokenizer.from_str(tokenizer.to_str())


def clean_as_openai(*, lower: bool = True) -> Callable[[str], str]:
    """Return the clean-up that OpenAI's CLIP and open_clip do: broken encodings, HTML, spaces.

    open_clip does all but the lower case for the tokenizers of transformers.
    """
    with extras_named(EXTRA):
        import ftfy  # noqa: PLC0415 - an extra

    def clean(text: str) -> str:
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
        text = " ".join(text.split())
        return text.lower() if lower else text

    return clean
