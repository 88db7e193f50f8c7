"""The folder of a student: its record, its model and golden texts, verified when it is opened."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tusou.core.arrays import Vectors
from tusou.core.errors import BadModel, InvalidRequest
from tusou.core.files import sha256_of, write_file
from tusou.core.lazy_import import LazyImport
from tusou.encoders import TextEncoder, find_weights, load_text_encoder
from tusou.encoders.base import Tokenizer
from tusou.encoders.student.record import (
    CHECKPOINT,
    FORMAT,
    GOLDEN,
    RECORD,
    TABLE,
    StudentFile,
    StudentRecord,
)
from tusou.encoders.student.table import TableEncoder, TokenTable

_TOKENIZER = LazyImport("tusou.encoders.tokenizer:ClipTokenizer")  # imports cn_clip
_MAX_RECORD = 2**20  # bytes
_AGAIN = "distil the student again"


@dataclass(frozen=True, slots=True)
class Student:
    """A student on this machine, whose files have the digests of its record."""

    path: Path
    record: StudentRecord
    sha256: str  # of `student.json`, which holds the digests of the other files

    @property
    def name(self) -> str:
        """A name for people, such as `demo-student-small`."""
        return f"{self.record.teacher.name}-student-{self.record.size}"

    @property
    def label(self) -> str:
        """The name with the first digits of the digest, to tell students of one size apart."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def golden(self) -> tuple[list[str], Vectors]:
        """Texts and their vectors by this student, (n, d), to check it at every start; BadModel."""
        path = self.path / GOLDEN
        arrays = _load_arrays(path, ("texts", "vectors"))
        try:
            texts: list[str] = json.loads(arrays["texts"].tobytes())
        except ValueError:
            texts = []
        vectors = arrays["vectors"].astype(np.float32)
        if not texts or vectors.shape != (len(texts), self.record.teacher.dim):
            raise BadModel(f"{path} holds no golden texts; {_AGAIN}")
        return texts, vectors

    def open_encoder(self, device: str, precision: str, backend: str) -> TextEncoder:
        """Load the encoder; BadModel. A table needs no device, precision or backend."""
        dim = self.record.teacher.dim
        encoder: TextEncoder
        if self.record.size == "table":
            encoder = TableEncoder(read_table(self.path / TABLE), open_tokenizer())
        else:
            weights = find_weights(str((self.path / CHECKPOINT).resolve()))
            # One for each model of an ensemble, of which a student is none.
            precision, backend = ("auto" if "," in each else each for each in (precision, backend))
            encoder = load_text_encoder(weights, device, None, precision, backend)
        if encoder.dim != dim:
            raise BadModel(f"{self.path} has vectors of {encoder.dim} numbers, not {dim}; {_AGAIN}")
        return encoder


def open_student(path: Path) -> Student:
    """Open and verify a student; InvalidRequest for another folder, BadModel for a damaged one."""
    file = path / RECORD
    try:
        data = file.read_bytes() if file.stat().st_size <= _MAX_RECORD else b""
        digest = sha256_of(file)
    except OSError:
        raise InvalidRequest(
            f"{path} is not a student: it has no {RECORD}; make one with `tusou distil`"
        ) from None
    record = _parse_record(data, file)
    if record.retention is None:
        raise BadModel(f"{path} was not finished; {_AGAIN}")
    check_files(path, record)
    return Student(path, record, digest)


def check_files(path: Path, record: StudentRecord) -> None:
    """Raise BadModel unless every file of a student is as its record says."""
    model = TABLE if record.size == "table" else CHECKPOINT
    if set(record.files) != {model, GOLDEN}:
        raise BadModel(f"{path / RECORD}: wrong value at files; {_AGAIN}")
    for name, file in record.files.items():
        try:
            same = (path / name).stat().st_size == file.size
            same = same and sha256_of(path / name) == file.sha256
        except OSError:
            same = False
        if not same:
            raise BadModel(f"{path / name} is missing or has changed; copy the folder again")


def write_record(path: Path, record: StudentRecord) -> Student:
    """Write `student.json` with the digests of the files that are there, and return the student."""
    model = TABLE if record.size == "table" else CHECKPOINT
    files = {
        name: StudentFile(size=(path / name).stat().st_size, sha256=sha256_of(path / name))
        for name in (model, GOLDEN)
    }
    record = record.model_copy(update={"files": files})
    write_file(path / RECORD, (record.model_dump_json(indent=2) + "\n").encode())
    return Student(path, record, sha256_of(path / RECORD))


def write_golden(path: Path, texts: Sequence[str], vectors: Vectors) -> None:
    """Write golden texts and their vectors, (n, d), into a student's folder."""
    encoded = np.frombuffer(json.dumps(list(texts), ensure_ascii=False).encode(), np.uint8)
    arrays: dict[str, npt.NDArray[Any]] = {
        "texts": encoded,
        "vectors": np.ascontiguousarray(vectors),
    }
    write_file(path / GOLDEN, save(arrays))


def write_table(path: Path, table: TokenTable) -> None:
    """Write a table into a student's folder."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "tokens": table.tokens,
        "pairs": table.pairs,
        "rows": table.rows,
        "bias": table.bias,
        "exponent": np.array([table.exponent]),
    }
    write_file(path / TABLE, save(arrays))


def read_table(path: Path) -> TokenTable:
    """Read a table; BadModel for a file that holds none."""
    arrays = _load_arrays(path, TokenTable.names)
    exponent = float(arrays["exponent"].ravel()[0]) if arrays["exponent"].size else np.nan
    return TokenTable(
        arrays["tokens"].astype(np.int64),
        arrays["pairs"].astype(np.int64),
        arrays["rows"].astype(np.float16),
        arrays["bias"].astype(np.float32),
        exponent,
    )


def open_tokenizer() -> Tokenizer:
    """Open the tokenizer of all students: Chinese-CLIP's."""
    return cast("Callable[[], Tokenizer]", _TOKENIZER.load())()


def _parse_record(data: bytes, path: Path) -> StudentRecord:
    try:
        number = json.loads(data)["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadModel(f"{path} cannot be read; {_AGAIN}") from None
    if number != FORMAT:
        raise BadModel(f"{path} has format {number}, this Tusou reads {FORMAT}; {_AGAIN}")
    try:
        return StudentRecord.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadModel(f"{path}: wrong value at {where or 'the top'}; {_AGAIN}") from None


def _load_arrays(path: Path, names: Sequence[str]) -> Mapping[str, Any]:
    try:
        arrays: dict[str, Any] = load(path.read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise BadModel(f"{path} cannot be read: {error}; {_AGAIN}") from None
    if missing := [name for name in names if name not in arrays]:
        raise BadModel(f"{path} has no array {missing[0]}; {_AGAIN}")
    return arrays
