"""Reads the tensors of model folders in torch, each when it is used."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open
from torch import Tensor

from tusou.core.errors import BadModel
from tusou.encoders.checkpoint import TENSORS, read_stored_tensors
from tusou.encoders.forms.alt_clip_names import alt_clip_names
from tusou.encoders.forms.clip_names import openai_names
from tusou.encoders.forms.dual_encoder_names import dual_text_names
from tusou.encoders.forms.layouts import Layouts
from tusou.encoders.forms.open_clip_names import open_clip_names
from tusou.encoders.forms.transformers_names import cn_clip_names
from tusou.encoders.model_folder import SAFETENSORS, ModelFolder
from tusou.encoders.open_file import OpenFile

_Read: TypeAlias = Callable[[], Tensor]


class LazyTensors(Mapping[str, Tensor]):
    """Tensors by name, read or computed when they are asked for: a tower needs only its own."""

    def __init__(self, readers: Mapping[str, _Read]) -> None:
        self._readers = readers

    def __getitem__(self, name: str) -> Tensor:
        return self._readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def read_folder(folder: ModelFolder) -> LazyTensors:
    """Return all tensors of a folder by the library's names; BadModel if a file is damaged."""
    readers: dict[str, _Read] = {}
    for file in folder.open_tensor_files():
        file.check_unchanged()
        readers |= _safetensors(file) if file.path.suffix == SAFETENSORS else _pickled(file)
    return LazyTensors(readers)


def read_chinese_clip(folder: ModelFolder) -> LazyTensors:
    """Return all tensors of a folder of transformers' Chinese-CLIP by cn_clip's names."""
    return LazyTensors(cn_clip_names(_readers(folder), _LAZY))


def read_clip(folder: ModelFolder) -> LazyTensors:
    """Return all tensors of a folder of transformers' CLIP by OpenAI's names."""
    return LazyTensors(openai_names(_readers(folder), _LAZY))


def read_alt_clip(folder: ModelFolder) -> LazyTensors:
    """Return all tensors of a folder of transformers' AltCLIP by the names of Tusou's towers."""
    return LazyTensors(alt_clip_names(_readers(folder), _LAZY, _compose))


def read_dual_text(folder: ModelFolder) -> LazyTensors:
    """Return the text tower of two towers put together by the names of Tusou's towers."""
    return LazyTensors(dual_text_names(_readers(folder), _LAZY))


def read_open_clip(file: OpenFile, *, has_bert: bool) -> LazyTensors:
    """Return all tensors of a checkpoint of open_clip by the names of Tusou's towers."""
    file.check_unchanged()
    read = _safetensors(file) if file.path.suffix == SAFETENSORS else _pickled(file)
    return LazyTensors(open_clip_names(read, _LAZY, has_bert=has_bert))


def _compose(weight: _Read, bias: _Read, following: _Read) -> tuple[_Read, _Read]:
    """Return two linear layers in one: weight (in, out) and bias."""
    return (
        lambda: weight().float().T @ following().float().T,
        lambda: following().float() @ bias().float(),
    )


def _readers(folder: ModelFolder) -> dict[str, _Read]:
    tensors = read_folder(folder)
    return {name: _reader(tensors, name) for name in tensors}


_LAZY: Layouts[_Read] = Layouts(
    transpose=lambda read: lambda: TENSORS.transpose(read()),
    join=lambda parts: lambda: TENSORS.join([read() for read in parts]),
    split=lambda read: [_part(read, index) for index in range(3)],
)


def _part(read: _Read, index: int) -> _Read:
    return lambda: TENSORS.split(read())[index]


def _reader(tensors: Mapping[str, Tensor], name: str) -> _Read:
    return lambda: tensors[name]


def _safetensors(file: OpenFile) -> dict[str, _Read]:
    try:
        # Mapped: it stays readable after the file was replaced.
        opened: Any = safe_open(file.readable_path, framework="pt")
        names = list(opened.keys())
    except (SafetensorError, OSError) as error:
        raise BadModel(f"{file.path.name} is damaged: download it again") from error

    def reader(name: str) -> _Read:
        return lambda: opened.get_tensor(name)

    return {name: reader(name) for name in names}


def _pickled(file: OpenFile) -> dict[str, _Read]:
    tensors = read_stored_tensors(file.readable_path, file.path.name)
    return {name: _reader(tensors, name) for name in tensors}
