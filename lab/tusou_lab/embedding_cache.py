"""Text embeddings cached on disk, so that no text is encoded twice under the same conditions.

FOLDER/<key>.npz            a file for each model, template and precision
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
from tusou.core.files import DAMAGED_FILE_ERRORS, write_file

EncodeTexts = Callable[[Sequence[str]], Vectors]

_BATCH_SIZE = 256  # texts encoded together
_DIGEST_BYTES = 16
_NO_TEMPLATE = "{query}"


def conditions(model: str, template: str | None, precision: str) -> dict[str, str]:
    """Return what the vector of a text depends on; `model` is the digest of its weights."""
    return {"model": model, "template": template or _NO_TEMPLATE, "precision": precision}


class EmbeddingCache:
    """Vectors of texts, read from the folder or encoded; without a folder nothing is saved."""

    def __init__(self, folder: Path | None, progress: Progress | None = None) -> None:
        self._folder, self._progress = folder, progress or NoProgress()
        self.encoded = 0  # texts that went through the model
        self.cached = 0  # texts whose vector was known

    def embed(self, texts: Sequence[str], about: Mapping[str, str], encode: EncodeTexts) -> Vectors:
        """Return the vectors of texts (n, d) under the conditions `about`.

        `encode` is called for the texts that are not cached yet, a batch at a time.
        """
        header = json.dumps({"tusou": __version__, **about}, ensure_ascii=False)
        name = f"{hashlib.sha256(header.encode()).hexdigest()[:32]}.npz"
        path = self._folder / name if self._folder else None
        vectors = _read(path, header) if path else {}
        digests = [
            hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest() for text in texts
        ]
        missing = {d: t for d, t in zip(digests, texts, strict=True) if d not in vectors}
        self.cached += len(texts) - len(missing)
        if missing:
            label = f"encoding queries ({about['precision']})"
            encoded = self._encode(label, list(missing.values()), encode)
            vectors |= zip(missing, encoded, strict=True)
            if path:
                _write(path, header, vectors)
        return np.stack([vectors[digest] for digest in digests])

    def _encode(self, label: str, texts: Sequence[str], encode: EncodeTexts) -> Vectors:
        self._progress.begin(label, len(texts))
        batches = []
        for start in range(0, len(texts), _BATCH_SIZE):
            batches.append(encode(texts[start : start + _BATCH_SIZE]))
            self._progress.advance(len(batches[-1]))
        self.encoded += len(texts)
        return np.concatenate(batches)


def _read(path: Path, header: str) -> dict[bytes, Vectors]:
    """Return the vectors of a file; a missing or damaged file counts as empty."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if str(arrays["about"]) != header:
                return {}
            digests = [row.tobytes() for row in arrays["texts"]]
            return dict(zip(digests, arrays["vectors"], strict=True))
    except DAMAGED_FILE_ERRORS:
        return {}


def _write(path: Path, header: str, vectors: Mapping[bytes, Vectors]) -> None:
    digests = np.frombuffer(b"".join(vectors), np.uint8).reshape(-1, _DIGEST_BYTES)
    data = BytesIO()
    np.savez(data, about=np.array(header), texts=digests, vectors=np.stack(list(vectors.values())))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, data.getvalue())
