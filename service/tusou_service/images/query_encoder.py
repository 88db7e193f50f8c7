"""Encoding of query images: decoding, batching, and an image tower that is loaded on demand."""

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Literal, Protocol, Self, TypeAlias

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Pixels
from tusou.core.errors import (
    BadImage,
    DeadlineExceeded,
    ErrorDetail,
    InvalidRequest,
    NotReady,
    TusouError,
    Unavailable,
)
from tusou.images.preparation import FOR_QUERIES, Preparation
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou.images.transform import Transforms, pixel_shape
from tusou.retrieval.no_encoder import require_encoder
from tusou.retrieval.query import VectorPart
from tusou_service.images.decode_pool import DecodePool
from tusou_service.observability.metrics import Metrics
from tusou_service.observability.stages import RECORDER

_log = logging.getLogger(__name__)

ImagePolicy: TypeAlias = Literal["auto", "off", "lazy", "on"]
ImageState: TypeAlias = Literal["absent", "loading", "ready", "unavailable"]

# An image costs as much as dozens of texts: a larger batch could be taken for a stall.
MAX_IMAGE_BATCH, MAX_WAITING_IMAGES = 8, 64
# Each may take the memory of the largest image: 1.3 GB at 64 megapixels.
_DECODERS = 2


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """The pixels of a decoded image, and the transform that they were made with."""

    pixels: Pixels
    transform: Transforms


class ImagePipeline(Protocol):
    """The part of a search pipeline that encodes images."""

    @property
    def bundle(self) -> Bundle:
        """The bundle that is searched."""

    @property
    def transform(self) -> Transforms:
        """The transform that `to_pixels` makes the images of `encode_images` with."""

    @property
    def image_tower_loaded(self) -> bool:
        """Return whether the image tower is loaded."""

    def load_image_tower(self) -> None:
        """Load the image tower; IncompatibleBundle, InsufficientMemory."""

    def encode_images(self, pixels: Pixels) -> list[VectorPart]:
        """Encode a batch of images, RGB. One thread at a time calls it."""

    def release_memory(self) -> None:
        """Return the memory that the device's allocator keeps for later use."""


class ImageBatcher(Protocol):
    """Collects concurrent images into batches: `tusou_service.engine.micro_batcher`."""

    async def __call__(self, item: PreparedImage, deadline: float) -> VectorPart: ...

    def admit(self, count: int, deadline: float, *, ahead: int = 0) -> None: ...

    def measure_times(self, run: Callable[[int], object]) -> None: ...


class ImageQueryEncoder:
    """Encodes query images beside text queries, which do not wait for them.

    Policy `lazy`: the first image starts the loading of the image tower, and waits for it within
    its deadline. Policy `on`: each pipeline is opened with its tower. `auto` is `on` if the items
    are texts, because then images are what users search with, and otherwise `lazy`. A tower that
    could not be loaded is not tried again before the next reload.
    """

    def __init__(
        self,
        policy: ImagePolicy,
        batcher: ImageBatcher,
        pipeline: Callable[[], ImagePipeline],
        run_in_loader: Callable[[Callable[[], None]], Awaitable[None]],
        metrics: Metrics,
        max_megapixels: int = MAX_MEGAPIXELS,
    ) -> None:
        self._policy, self._batcher, self._metrics = policy, batcher, metrics
        self._pipeline, self._run_in_loader = pipeline, run_in_loader
        self._decoders = DecodePool(
            _DECODERS, MAX_WAITING_IMAGES, metrics.lost_decoders.inc, max_megapixels
        )
        self._decoding = 0  # images
        self._is_warm = False  # an image has been encoded: decoders and tower run
        self._loading: asyncio.Task[None] | None = None
        # The pipeline whose tower could not be loaded, held weakly.
        self._failed: Callable[[], ImagePipeline | None] = lambda: None

    async def __aenter__(self) -> Self:
        if self._policy == "on":
            self._decoders.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._loading:
            self._loading.cancel()
        self._decoders.close()

    @property
    def state(self) -> ImageState:
        """Return whether images can be searched with; `absent` until the first image."""
        try:
            pipeline = self._pipeline()
        except NotReady:
            return "absent"
        if not pipeline.bundle.manifest.has_encoder:
            return "unavailable"
        if self._policy == "off" or self._failed() is pipeline:
            return "unavailable"
        if pipeline.image_tower_loaded:
            return "ready"
        return "loading" if self._loading and not self._loading.done() else "absent"

    def needs_tower(self, pipeline: ImagePipeline) -> bool:
        """Return whether a new pipeline should be opened with its image tower."""
        if not pipeline.bundle.manifest.has_encoder:
            return False
        if self._policy == "auto" and pipeline.bundle.items == "texts":
            return True
        return self._policy == "on" or self.state == "ready"

    def load_tower(self, pipeline: ImagePipeline) -> None:
        """Load a pipeline's image tower and measure its speed, in the loader's thread."""
        pipeline.load_image_tower()
        shape = pixel_shape(pipeline.transform)
        pipeline.encode_images(np.zeros((1, *shape), np.uint8))
        self._batcher.measure_times(
            lambda count: pipeline.encode_images(np.zeros((count, *shape), np.uint8))
        )

    async def encode_image(
        self, image: bytes | str, deadline: float, preparation: Preparation = FOR_QUERIES
    ) -> VectorPart:
        """Return the vector of an image file, given as its bytes or in base64.

        That of a query is turned upright and put on white first. Raises BadImage, NoEncoder for a
        bundle of vectors alone, InvalidRequest if images are off, NotReady while the tower loads
        or the first image takes too long, Unavailable if the tower could not be loaded, and the
        errors of `DecodePool.decode`.
        """
        if self._policy == "off":
            message = "This service takes no images; search with a text or with an indexed item."
            raise InvalidRequest(details=[ErrorDetail(("body",), "images_off", message)])
        require_encoder(self._pipeline().bundle.manifest)
        self._batcher.admit(1, deadline, ahead=self._decoding)
        try:
            # Decode first, so that an invalid image never loads the image tower.
            prepared = await self._decode(image, preparation, deadline)
            await self._wait_for_tower(deadline)
            part = await self._batcher(prepared, deadline)
        except DeadlineExceeded:
            if self._is_warm:
                raise
            raise NotReady("image search is starting; try again shortly") from None
        self._is_warm = True
        return part

    def encode_batch(self, images: list[PreparedImage]) -> list[VectorPart]:
        """Encode images in the batcher's thread; NotReady if one was prepared for another model.

        A reload between decoding and encoding may bring a model with another transform.
        """
        started = perf_counter()
        pipeline = self._pipeline()
        if any(image.transform != pipeline.transform for image in images):
            raise NotReady("the index has just changed; send the image again")
        parts = pipeline.encode_images(np.stack([image.pixels for image in images]))
        seconds = perf_counter() - started
        self._metrics.image_batch_size.observe(len(parts))
        self._metrics.image_seconds.labels("encode").observe(seconds)
        return parts

    async def _wait_for_tower(self, deadline: float) -> None:
        if self._pipeline().image_tower_loaded:
            return
        if self.state != "unavailable":
            started = perf_counter()
            if not self._loading or self._loading.done():
                self._loading = asyncio.create_task(self._load(), name="image-tower")
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(self._loading)
            except TimeoutError:
                raise NotReady("the image tower is loading; try again shortly") from None
            if recorder := RECORDER.get():
                recorder.record("load", started)
        if not self._pipeline().image_tower_loaded:
            raise Unavailable("the image tower could not be loaded; the log says why")

    async def _load(self) -> None:
        while not (
            pipeline := self._pipeline()
        ).image_tower_loaded:  # a reload may bring another pipeline
            try:
                await self._run_in_loader(partial(self.load_tower, pipeline))
            except (TusouError, OSError, RuntimeError, MemoryError) as error:
                self._failed = weakref.ref(pipeline)
                _log.warning("cannot load the image tower: %s", error)
                return

    async def _decode(
        self, image: bytes | str, preparation: Preparation, deadline: float
    ) -> PreparedImage:
        started, transform = perf_counter(), self._pipeline().transform
        self._decoding += 1
        try:
            pixels = await self._decoders.decode(image, transform, deadline, preparation)
        except BadImage as error:
            detail = ErrorDetail(("body",), "bad_image", str(error))
            raise BadImage(str(error), details=[detail]) from None
        finally:
            self._decoding -= 1
        if recorder := RECORDER.get():
            recorder.record("decode", started)
        self._metrics.image_seconds.labels("decode").observe(perf_counter() - started)
        return PreparedImage(pixels, transform)
