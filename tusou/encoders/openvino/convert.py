"""Converts a tower of a checkpoint to an OpenVINO graph and stores it in the cache.

`python -m tusou.encoders.openvino.convert PATH DIGEST TOWER PRECISION` runs the conversion in a
process of its own, which frees torch and the checkpoint's tensors when it ends.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import cast

import openvino
import torch

from tusou.bundle.array_file import save_array
from tusou.core.errors import BadModel, TusouError
from tusou.core.files import sha256_of
from tusou.encoders.architecture import Tower, read_image_shape, read_text_shape
from tusou.encoders.base import Weights
from tusou.encoders.checkpoint import TensorReader, read_weights
from tusou.encoders.openvino.cache import GRAPH, WORDS, ConvertedTower, store
from tusou.encoders.openvino.image_graph import image_graph
from tusou.encoders.openvino.text_graph import text_graph


def convert(weights: Weights, tower: Tower, precision: str) -> ConvertedTower:
    """Read the checkpoint, build the tower's graph and store it.

    Raises BadModel when a tensor is missing or wrong, or the file has changed since its digest was
    computed.
    """
    tensors, words = read_weights(weights), None
    reader = TensorReader(tensors, tower, torch.device("cpu"))
    if tower == "text":
        model, words = text_graph(reader, read_text_shape(tensors), precision)
    else:
        model = image_graph(reader, read_image_shape(tensors), precision)

    def write(folder: Path) -> None:
        try:
            openvino.save_model(model, folder / GRAPH, compress_to_fp16=False)
        except RuntimeError as error:  # OpenVINO's only exception, also for a full disk
            raise OSError(str(error).splitlines()[0]) from error
        if words is not None:
            save_array(folder / WORDS, words)

    # The cache is keyed by the digest; an open file was compared when its tensors were read.
    if weights.file is None and sha256_of(weights.path) != weights.digest:
        raise BadModel(f"{weights.path.name} changed while it was read: start again")
    store(weights, tower, precision, write)
    return model, words


def main() -> None:
    """Convert the tower that the command line names."""
    path, digest, tower, precision = sys.argv[1:]
    with suppress(TusouError):  # the calling process repeats the conversion and reports the error
        convert(Weights(Path(path), Path(path).name, digest), cast("Tower", tower), precision)


if __name__ == "__main__":
    main()
