"""Text embeddings that are kept on disk: no text is encoded twice under the same conditions.

FOLDER/<key>.npz            one file a model, template and precision; `about` says which
    about                   JSON: the conditions, and the version of Tusou
    texts                   (n, 16) uint8: BLAKE2b of each text
    vectors                 (n, d) float32 unit vectors
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from tusou import __version__
from tusou.cli.progress import NoProgress, Progress
from tusou.core.arrays import Vectors
from tusou.core.files import write_file

Encode = Callable[[Sequence[str]], Vectors]

_AT_ONCE = 256  # texts encoded together
_DIGEST_BYTES = 16
_AS_IT_IS = "{query}"


def conditions(model: str, template: str | None, precision: str) -> dict[str, str]:
    """Name what a text's vector depends on; no template is the template that adds nothing."""
    return {"model": model, "template": template or _AS_IT_IS, "precision": precision}


class KeptVectors:
    """Has texts encoded, and remembers across runs what was; without a folder, nothing is."""

    def __init__(self, folder: Path | None, watcher: Progress | None = None) -> None:
        self._folder, self._watcher = folder, watcher or NoProgress()
        self.encoded = 0  # texts that went through the model
        self.remembered = 0  # texts that did not have to

    def of(self, texts: Sequence[str], about: Mapping[str, str], encode: Encode) -> Vectors:
        """Give one row per text: those kept under these conditions, the others encoded now."""
        header = json.dumps({"tusou": __version__, **about}, ensure_ascii=False)
        path = self._path(header)
        known = _read(path, header) if path else {}
        digests = [_digest(text) for text in texts]
        missing = {d: t for d, t in zip(digests, texts, strict=True) if d not in known}
        self.remembered += len(texts) - len(missing)
        if missing:
            label = f"encoding queries ({about['precision']})"
            known |= zip(missing, self._encode(label, list(missing.values()), encode), strict=True)
            if path:
                _write(path, header, known)
        return np.stack([known[digest] for digest in digests])

    def _path(self, header: str) -> Path | None:
        name = f"{hashlib.sha256(header.encode()).hexdigest()[:32]}.npz"
        return self._folder / name if self._folder else None

    def _encode(self, label: str, texts: Sequence[str], encode: Encode) -> Vectors:
        self._watcher.begin(label, len(texts))
        parts = []
        for start in range(0, len(texts), _AT_ONCE):
            parts.append(encode(texts[start : start + _AT_ONCE]))
            self._watcher.advance(len(parts[-1]))
        self.encoded += len(texts)
        return np.concatenate(parts)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _read(path: Path, header: str) -> dict[bytes, Vectors]:
    """Read what is kept; a damaged file is as good as none: its texts are encoded again."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            if str(kept["about"]) != header:
                return {}
            texts = [row.tobytes() for row in kept["texts"]]
            return dict(zip(texts, kept["vectors"], strict=True))
    except Exception:  # noqa: BLE001 - zipfile and numpy have a dozen words for damage
        return {}


def _write(path: Path, header: str, known: Mapping[bytes, Vectors]) -> None:
    texts = np.frombuffer(b"".join(known), np.uint8).reshape(-1, _DIGEST_BYTES)
    held = BytesIO()
    np.savez(held, about=np.array(header), texts=texts, vectors=np.stack(list(known.values())))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, held.getvalue())
