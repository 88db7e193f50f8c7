"""The vectors of a split by a teacher: a frozen model that another one learns from."""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from tusou.cli.progress import NoProgress, Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import BadDataset, InvalidRequest
from tusou.core.files import write_file
from tusou.encoders import find_weights
from tusou.encoders.training_prompt import training_prompt
from tusou_lab.train.data import SplitEncoder, TrainingSplit
from tusou_lab.train.models import ARCHITECTURE, TrainableModel, open_trainable
from tusou_lab.train.prompted import PromptedTokenizer
from tusou_lab.train.split_vectors import encode_images, encode_texts

# Loads the split that is trained on, with the transform and the tokenizer of another model.
LoadSplit: TypeAlias = Callable[[SplitEncoder, Progress], TrainingSplit]
_BATCH = 1024


class TeacherVectors:
    """The unit vectors of a split's images and texts, mapped from the cache, and their scale."""

    def __init__(self, images: Vectors, texts: Vectors, scale: float) -> None:
        self._images, self._texts = images, texts
        self.dim = int(images.shape[1])
        self.scale = scale  # of a cosine of the teacher

    @classmethod
    def load(
        cls,
        model: str,
        split: TrainingSplit,
        load_split: LoadSplit,
        cache: Path,
        device: torch.device,
        progress: Progress,
    ) -> Self:
        """Read the vectors from the folder `cache`, or encode the split with the teacher first.

        Images are encoded as they are, without augmentation, and texts in the prompt that the
        teacher was trained with, if any. The key is a digest of the model's files, of the prompt
        and of the data. Raises InvalidRequest for a model that was not trained, and the errors of
        `open_trainable`.
        """
        digest = teacher_digest(model)
        prompt = training_prompt(find_weights(model).path, digest) or ""
        identity = f"{digest} {split.record.sha256} {prompt}".rstrip()
        key = blake2b(identity.encode(), digest_size=12).hexdigest()
        arrays = [cache / f"teacher-{key}-{part}.npy" for part in ("images", "texts")]
        index = cache / f"teacher-{key}.json"
        if not index.exists():
            cache.mkdir(parents=True, exist_ok=True)
            teacher = _open(model)
            own = _load_same(split, teacher, prompt, load_split, progress)
            _encode(teacher, own, arrays, device, progress)
            # Written last: it marks the arrays as complete.
            write_file(index, json.dumps({"scale": teacher.scale}).encode())
        images, texts = (np.load(path, mmap_mode="r") for path in arrays)
        return cls(images, texts, float(json.loads(index.read_bytes())["scale"]))

    def of_images(self, positions: Tensor) -> Tensor:
        """Return the vectors (n, d) of images by their positions, on the device of these."""
        return _rows(self._images, positions)

    def of_texts(self, positions: Tensor) -> Tensor:
        """Return the vectors (n, d) of queries likewise."""
        return _rows(self._texts, positions)


def teacher_digest(model: str) -> str:
    """Return the SHA-256 of a teacher's files; InvalidRequest if it has no trained weights."""
    if model.endswith(ARCHITECTURE):
        raise InvalidRequest(
            f"--teacher {model} is an architecture with random weights, which teaches nothing: "
            "give a trained model"
        )
    return find_weights(model).digest


def _open(model: str) -> TrainableModel:
    teacher = open_trainable(model)
    if teacher.traits.fresh:
        raise InvalidRequest(
            f"--teacher {model} was put together from two towers and has not been trained since: "
            "train it before you use it as a teacher"
        )
    return teacher


def _load_same(
    split: TrainingSplit,
    teacher: TrainableModel,
    prompt: str,
    load_split: LoadSplit,
    progress: Progress,
) -> TrainingSplit:
    tokenize = PromptedTokenizer(teacher.tokenize, prompt)
    encoder = SplitEncoder(teacher.traits.transform, tokenize)
    own = load_split(encoder, _WithoutNotices(progress))
    if own.record.sha256 != split.record.sha256:
        raise BadDataset(
            f"{split.record.source} was changed while it was read: run the command again"
        )
    return own


def _encode(
    teacher: TrainableModel,
    split: TrainingSplit,
    arrays: list[Path],
    device: torch.device,
    progress: Progress,
) -> None:
    teacher.network.to(device)
    encoders: tuple[Callable[[NDArray[np.int64]], Tensor], ...] = (
        lambda rows: encode_images(teacher, split.pixels, rows, device),
        lambda rows: encode_texts(teacher, split.tokens[rows], device),
    )
    counts = (len(split.pixels), len(split.texts))
    progress.begin("encoding train with the teacher", sum(counts))
    for path, encode, count in zip(arrays, encoders, counts, strict=True):
        stored: Vectors | None = None
        for start in range(0, count, _BATCH):
            rows = np.arange(start, min(start + _BATCH, count))
            vectors = encode(rows).cpu().numpy()
            if stored is None:
                stored = open_memmap(path, "w+", np.float32, (count, vectors.shape[1]))
            stored[rows] = vectors
            progress.advance(len(rows))
        del stored  # written to the file


def _rows(vectors: Vectors, positions: Tensor) -> Tensor:
    rows = np.array(vectors[positions.cpu().numpy()])
    return torch.from_numpy(rows).to(positions.device)


class _WithoutNotices(NoProgress):
    """Progress without the warnings about a split, which its first loading has printed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._progress.begin(label, total, done)

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._progress.advance(steps, note)
