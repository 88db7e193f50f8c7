"""The vocabulary of a Chinese-CLIP folder, which has to be cn_clip's."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import cast

from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.model_folder import ModelFolder

_CN_CLIP = LazyImport("cn_clip:__path__")
_VOCABULARY, _TOKENIZER, _SETTINGS = "vocab.txt", "tokenizer.json", "tokenizer_config.json"


def check_vocabulary(folder: ModelFolder) -> None:
    """Raise BadModel if a folder's tokenizer would give a text other tokens than cn_clip's."""
    if _SETTINGS in folder and folder.read_json(_SETTINGS).get("do_lower_case", True) is not True:
        raise BadModel(f"{folder.path.name} keeps capitals in texts; Chinese-CLIP does not")
    pieces = _read_pieces(folder)
    if pieces is not None and pieces != cn_clip_pieces():
        raise BadModel(
            f"{folder.path.name} has a vocabulary of its own, of {len(pieces):,} pieces: Tusou "
            "encodes texts with Chinese-CLIP's alone"
        )


@cache
def cn_clip_pieces() -> tuple[str, ...]:
    """Return the pieces of cn_clip's vocabulary in the order of their ids."""
    return _lines(vocabulary_path().read_bytes())


def vocabulary_path() -> Path:
    """Return the path of cn_clip's `vocab.txt`; MissingDependency without the package."""
    return Path(cast("list[str]", _CN_CLIP.load())[0], "clip", _VOCABULARY)


def vocabulary_digest() -> str:
    """Return the SHA-256 of cn_clip's `vocab.txt`, in hex."""
    return sha256(vocabulary_path().read_bytes()).hexdigest()


def _read_pieces(folder: ModelFolder) -> tuple[str, ...] | None:
    if _VOCABULARY in folder:
        return _lines(folder.read_bytes(_VOCABULARY))
    if _TOKENIZER not in folder:
        return None
    model = folder.read_json(_TOKENIZER).get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict) or not all(type(i) is int for i in vocabulary.values()):
        raise BadModel(f"{folder.path.name} has a {_TOKENIZER} that lists no pieces")
    return tuple(sorted(vocabulary, key=vocabulary.__getitem__))


def _lines(data: bytes) -> tuple[str, ...]:
    # Two pieces have a separator of lines, U+2028, which BERT's own reader strips as well.
    lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    return tuple(line.strip() for line in lines)
