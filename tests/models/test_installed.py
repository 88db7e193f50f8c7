"""The extra `models` installs every library that models of other families need."""

from importlib.metadata import requires
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.models

_MODULES = [
    "ftfy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "open_clip",
    "sentencepiece",
    "transformers",
]


def test_the_extra_has_every_library() -> None:
    listed = [line.split(";") for line in requires("tusou") or []]
    extra = [name.strip() for name, *marker in listed if "extra == 'models'" in str(marker)]
    assert len(extra) == len(_MODULES)
    assert [module for module in _MODULES if find_spec(module) is None] == []
