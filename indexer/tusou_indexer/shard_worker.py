"""Encodes shards that a build sends to another process or machine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tusou.bundle.item_reader import ItemReader
from tusou.bundle.manifest import Source
from tusou.bundle.model_record import EncoderRecord, differing_fields
from tusou.core.arrays import Ids
from tusou.core.errors import BadModel, MissingDependency
from tusou.core.ids import ItemKind
from tusou.core.remote_code import trust_code
from tusou.encoders import (
    ImageEncoder,
    TextEncoder,
    describe_encoder,
    find_weights,
    image_part,
    open_image_encoder,
    open_text_encoder,
    resolve_encoder,
    text_part,
    with_views,
)
from tusou.images.views import Views
from tusou.images.workers import ImageWorkers
from tusou_indexer.build_inputs import BuildInputs, library_versions
from tusou_indexer.decode_item import decode_item
from tusou_indexer.embed import EncodedBatch, encode_images, encode_texts, split_batches
from tusou_indexer.plan import Plan


@dataclass(frozen=True, slots=True)
class WorkerRecipe:
    """The encoder that every worker loads, with nothing left to choose."""

    model: str  # a name, or a path that every machine can read
    sha256: str
    backend: str
    device: str
    precision: str
    weight: float = 1.0  # of the model in an ensemble
    record: EncoderRecord | None = None
    code_trusted: bool = False  # whether the model's own code may run


@dataclass(frozen=True, slots=True)
class ShardRows:
    """The rows of one shard that must be encoded, without the files of their plan."""

    inputs: BuildInputs
    source: Source
    paths: list[Path]  # the files of these rows alone
    positions: npt.NDArray[np.int64]  # line, file, byte offset and length, (n, 4)

    def __len__(self) -> int:
        return len(self.positions)

    def spans(self, rows: Ids) -> npt.NDArray[np.int64]:
        """Return line, file, byte offset and length of the rows, shape (n, 4)."""
        return self.positions[rows]


def take_rows(plan: Plan, rows: Ids) -> ShardRows:
    """Return the rows of a plan that are to be encoded elsewhere."""
    spans = plan.spans(rows).copy()
    files, spans[:, 1] = np.unique(spans[:, 1], return_inverse=True)
    paths = [Path(plan.inputs.source, plan.files[file]) for file in files.tolist()]
    return ShardRows(plan.inputs, plan.source, paths, spans)


class ShardWorker:
    """Encodes one shard after another; the model and the decoding processes stay.

    Batches are those of a build on one machine, so that the vectors are the same.
    """

    def __init__(self, recipe: WorkerRecipe, inputs: BuildInputs, kind: ItemKind) -> None:
        self._recipe, self._inputs, self._kind = recipe, inputs, kind
        self._images: tuple[ImageEncoder, ImageWorkers] | None = None
        self._texts: TextEncoder | None = None

    def load(self, workers: int) -> None:
        """Load the model, and decode in `workers` processes.

        Raises MissingDependency if the libraries here are not those of the build, BadModel if the
        model is another one, and what loading an encoder raises.
        """
        recipe = self._recipe
        if recipe.code_trusted:
            trust_code()
        _check_libraries(self._inputs.backend, self._inputs.libraries)
        weights = find_weights(recipe.model)
        if weights.digest != recipe.sha256:
            raise BadModel(f"{weights.path} is not the model of the build; copy it from there")
        differing = differing_fields(recipe.record, describe_encoder(weights))
        if differing:
            raise BadModel(f"{weights.path} is read with other settings: {'; '.join(differing)}")
        device = recipe.device.partition(":")[0]  # Ray gives each worker a GPU of its own
        options = device, recipe.precision, recipe.backend
        if self._kind == "texts":
            texts = open_text_encoder(resolve_encoder(weights, "text", *options))
            self._texts = text_part(texts, recipe.weight)
            return
        images = open_image_encoder(resolve_encoder(weights, "image", *options))
        encoder = image_part(with_views(images, Views.parse(self._inputs.views)), recipe.weight)
        limit = self._inputs.max_megapixels
        self._images = encoder, ImageWorkers(decode_item, workers, max_megapixels=limit)

    def encode(self, rows: ShardRows) -> list[EncodedBatch]:
        """Return the encoded batches of a shard; OSError when a file cannot be read here."""
        batches = list(split_batches(np.arange(len(rows)), rows.inputs.batch_rows))
        if self._images is not None:
            encoder, pool = self._images
            return list(encode_images(rows, batches, pool, encoder))
        assert self._texts is not None
        with ItemReader(rows.paths) as reader:
            return list(encode_texts(rows, batches, reader, self._texts))


def _check_libraries(backend: str, expected: dict[str, str]) -> None:
    installed = library_versions(backend)
    if installed == expected:
        return
    differing = sorted(
        name
        for name in expected.keys() | installed.keys()
        if expected.get(name) != installed.get(name)
    )
    requirements = ", ".join(f"{name} {expected.get(name, 'not installed')}" for name in differing)
    raise MissingDependency(f"the build needs the same libraries on every node: {requirements}")
