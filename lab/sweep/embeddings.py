"""Query embeddings that are kept on disk: no text is encoded twice under the same conditions.

FOLDER/<key>.npz            one file a model, template and precision; `about` says which
    about                   JSON: model's digest, template, precision
    texts                   (n, 16) uint8: BLAKE2b of each text
    vectors                 (n, d) float32 unit vectors
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lab.sweep.prompts import Prompt
from tusou.encoders import TextEncoder, Weights, load_text_encoder
from tusou.files import write_file
from tusou.progress import Nobody, Watcher
from tusou.text import fill_prompt
from tusou.types import Vectors

Load = Callable[[Weights, str, None, str], TextEncoder]

_AT_ONCE = 256


class QueryVectors:
    """Encodes texts under prompts, and remembers across runs what it has encoded."""

    def __init__(
        self,
        folder: Path,
        weights: Weights,
        *,
        watcher: Watcher | None = None,
        load: Load = load_text_encoder,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._weights, self._load = folder, weights, load
        self._watcher = watcher or Nobody()
        self._encoders: dict[str, TextEncoder] = {}
        self.encoded = 0  # texts that went through the model
        self.remembered = 0  # texts that did not have to

    def of(self, texts: Sequence[str], prompt: Prompt, precision: str) -> Vectors:
        """Give one unit row per text; of several templates, the mean made a unit again."""
        parts = [self._under(texts, template, precision) for template in prompt.templates]
        if len(parts) == 1:
            return parts[0]
        mean = np.mean(parts, axis=0)
        unit: Vectors = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def _under(self, texts: Sequence[str], template: str, precision: str) -> Vectors:
        about = json.dumps(
            {"model": self._weights.digest, "template": template, "precision": precision},
            ensure_ascii=False,
        )
        path = self._folder / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.npz"
        known = _read(path, about)
        digests = [_digest(text) for text in texts]
        missing = {d: t for d, t in zip(digests, texts, strict=True) if d not in known}
        self.remembered += len(texts) - len(missing)
        if missing:
            filled = [fill_prompt(template, text) for text in missing.values()]
            known |= zip(missing, self._encode(filled, precision), strict=True)
            _write(path, about, known)
        return np.stack([known[digest] for digest in digests])

    def _encode(self, texts: list[str], precision: str) -> Vectors:
        if precision not in self._encoders:
            self._encoders[precision] = self._load(self._weights, "auto", None, precision)
        encoder = self._encoders[precision]
        self._watcher.begin(f"encoding queries ({precision})", len(texts))
        parts = []
        for start in range(0, len(texts), _AT_ONCE):
            batch = texts[start : start + _AT_ONCE]
            parts.append(encoder.encode(encoder.prepare(batch)))
            self._watcher.advance(len(batch))
        self.encoded += len(texts)
        return np.concatenate(parts)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _read(path: Path, about: str) -> dict[bytes, Vectors]:
    """Read what is remembered; a damaged file is as good as none: it is encoded again."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            if str(kept["about"]) != about:
                return {}
            texts = [row.tobytes() for row in kept["texts"]]
            return dict(zip(texts, kept["vectors"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


def _write(path: Path, about: str, known: dict[bytes, Vectors]) -> None:
    texts = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), -1)
    held = BytesIO()
    np.savez(held, about=np.array(about), texts=texts, vectors=np.stack(list(known.values())))
    write_file(path, held.getvalue())
