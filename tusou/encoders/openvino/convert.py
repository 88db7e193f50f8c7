"""Converts a tower of a checkpoint to an OpenVINO graph and stores it in the cache.

`python -m tusou.encoders.openvino.convert PATH DIGEST TOWER PRECISION [ARCHITECTURE]` runs the
conversion in a process of its own, which frees torch and the checkpoint's tensors when it ends.
ARCHITECTURE is open_clip's name of a checkpoint's.
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
from tusou.encoders.architecture import ImageShape, TextShape, Tower
from tusou.encoders.checkpoint import TensorReader, read_weights
from tusou.encoders.openvino.cache import GRAPH, WORDS, ConvertedTower, store
from tusou.encoders.openvino.image_graph import image_graph
from tusou.encoders.openvino.text_graph import text_graph
from tusou.encoders.select_backend import ResolvedEncoder, resolve_encoder
from tusou.encoders.weights import open_again


def convert(resolved: ResolvedEncoder) -> ConvertedTower:
    """Read the checkpoint, build the tower's graph and store it.

    Raises BadModel when a tensor is missing or wrong, or the file has changed since its digest was
    computed.
    """
    weights, shape, precision = resolved.weights, resolved.shape, resolved.precision
    reader, words = TensorReader(read_weights(weights), shape.tower, torch.device("cpu")), None
    if isinstance(shape, TextShape):
        model, words = text_graph(reader, shape, precision)
    else:
        assert isinstance(shape, ImageShape)
        model = image_graph(reader, shape, precision, resolved.mean, resolved.std)

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
    store(weights, shape.tower, precision, write, resolved.variant)
    return model, words


def main() -> None:
    """Convert the tower that the command line names."""
    path, digest, tower, precision, *architecture = sys.argv[1:]
    with suppress(TusouError):  # the calling process repeats the conversion and reports the error
        weights = open_again(Path(path), digest, *architecture)
        convert(resolve_encoder(weights, cast("Tower", tower), "cpu", precision, "openvino"))


if __name__ == "__main__":
    main()
