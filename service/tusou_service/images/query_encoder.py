"""From an image's bytes to its vector, by an image tower that may still have to come."""

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Literal, Self, TypeAlias

import numpy as np

from tusou.core.arrays import Pixels
from tusou.core.errors import (
    BadImage,
    DeadlineExceeded,
    ErrorDetail,
    InvalidRequest,
    NotReady,
    Unavailable,
)
from tusou.retrieval.query import VectorPart
from tusou_service.engine.micro_batcher import BatchLimits, MicroBatcher, PendingItem
from tusou_service.engine.oom_retry import SplitOnOutOfMemory, is_device_lost
from tusou_service.engine.served import Pipeline
from tusou_service.images.decode_pool import Decoders
from tusou_service.observability.metrics import Metrics
from tusou_service.observability.stages import BatchRun, mark, mark_batches

_log = logging.getLogger(__name__)

ImagePolicy: TypeAlias = Literal["auto", "off", "lazy", "on"]
ImageState: TypeAlias = Literal["absent", "loading", "ready", "unavailable"]

# An image may have 16 million pixels: 64 MB decoded, and a few such while it is decoded.
_DECODERS = 2
# An image costs as much as dozens of texts, so a batch of them is kept short of a stall.
_MAX_BATCH, _MAX_WAITING = 8, 64


@dataclass(frozen=True, slots=True, eq=False)
class _EncodedImage:
    """One image's vector, and the batch that gave it."""

    part: VectorPart
    run: BatchRun


class ImageQueryEncoder:
    """Encodes images beside the text queries, which do not wait for them.

    Under `lazy` the first image has the image tower loaded, and waits for it as long as its
    time limit allows; under `on` the pipeline comes with the tower. `auto` is `on` where the items
    are texts, which are there for images to find, and `lazy` elsewhere. A tower that cannot be
    loaded is not tried again before the next reload.
    """

    def __init__(
        self,
        policy: ImagePolicy,
        current: Callable[[], Pipeline],
        in_loader: Callable[[Callable[[], None]], Awaitable[None]],
        limits: BatchLimits,
        metrics: Metrics,
    ) -> None:
        self._policy, self._current, self._in_loader = policy, current, in_loader
        self._batcher = MicroBatcher[Pixels, _EncodedImage](
            SplitOnOutOfMemory(self._run, lambda: current().release_memory()),
            replace(limits, max_batch=_MAX_BATCH, max_waiting=_MAX_WAITING),
            is_device_lost,
        )
        self._metrics = metrics
        self._decoders = Decoders(_DECODERS, _MAX_WAITING, metrics.lost_decoders.inc)
        self._loading: asyncio.Task[None] | None = None
        self._failed: Callable[[], Pipeline | None] = lambda: None  # keeps none in memory

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        if self._policy == "on":
            self._decoders.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._loading:
            self._loading.cancel()
        self._decoders.close()
        await self._batcher.__aexit__()

    @property
    def failure(self) -> Exception | None:
        """Say why the batches of images were given up."""
        return self._batcher.failure

    def wanted(self, pipeline: Pipeline) -> bool:
        """Whether a pipeline that is opened now should come with its image tower."""
        if self._policy == "auto" and pipeline.bundle.items == "texts":
            return True
        return self._policy == "on" or self.state == "ready"

    @property
    def state(self) -> ImageState:
        """Say whether images can be asked with: `absent` until the first one asks."""
        try:
            pipeline = self._current()
        except NotReady:
            return "absent"
        if self._policy == "off" or self._failed() is pipeline:
            return "unavailable"
        if pipeline.image_tower_loaded:
            return "ready"
        return "loading" if self._loading and not self._loading.done() else "absent"

    def load_tower(self, pipeline: Pipeline) -> None:
        """Load a pipeline's image tower, and learn what an image takes; in the loader's thread."""
        pipeline.load_image_tower()
        blank = np.zeros((1, pipeline.image_size, pipeline.image_size, 3), np.uint8)
        began = perf_counter()
        pipeline.encode_images(blank)
        self._batcher.set_expected_item_time(perf_counter() - began)

    async def see(self, image: bytes | str, deadline: float) -> VectorPart:
        """Return the vector of a JPEG, PNG or WebP file, given as its bytes or in base64."""
        if self._policy == "off":
            said = "This service takes no images; it can be asked for items of the pool."
            raise InvalidRequest(details=[ErrorDetail(("body",), "images_off", said)])
        # What is no image has no tower loaded.
        began = perf_counter()
        pixels = await self._decode(image, self._current().image_size, deadline)
        mark("decode", began)
        self._metrics.image_seconds.labels("decode").observe(perf_counter() - began)
        await self._tower(deadline)
        asked = perf_counter()
        seen = await self._batcher(pixels, deadline)
        mark_batches(asked, [seen.run])
        return seen.part

    async def _tower(self, deadline: float) -> None:
        if self._current().image_tower_loaded:
            return
        began = perf_counter()
        if self.state == "unavailable":
            raise Unavailable("the image tower could not be loaded; the log says why")
        if not self._loading or self._loading.done():
            self._loading = asyncio.create_task(self._load(), name="image-tower")
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.shield(self._loading)
                mark("load", began)
        except TimeoutError:
            raise NotReady("the image tower is loading; try again shortly") from None
        if not self._current().image_tower_loaded:
            raise Unavailable("the image tower could not be loaded; the log says why")

    async def _load(self) -> None:
        while not (pipeline := self._current()).image_tower_loaded:
            try:
                await self._in_loader(partial(self.load_tower, pipeline))
            except Exception as error:  # noqa: BLE001 - texts are answered without this tower
                self._failed = weakref.ref(pipeline)
                _log.warning("no image tower: %s", error)
                return

    async def _decode(self, image: bytes | str, size: int, deadline: float) -> Pixels:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._decoders.decode(image, size)
        except TimeoutError:
            raise DeadlineExceeded("The time limit passed before the image was read.") from None
        except BadImage as error:
            message = str(error)
            raise BadImage(
                message, details=[ErrorDetail(("body",), BadImage.code, message)]
            ) from None

    def _run(self, callers: list[PendingItem[Pixels, _EncodedImage]]) -> list[_EncodedImage]:
        began = perf_counter()
        images = [one.item for one in callers]
        pipeline = self._current()
        if any(len(one) != pipeline.image_size for one in images):
            raise NotReady("the index has just changed; send the image again")
        parts = pipeline.encode_images(np.stack(images))
        took = perf_counter() - began
        self._metrics.image_batch_size.observe(len(parts))
        self._metrics.image_seconds.labels("see").observe(took)
        run = BatchRun(len(parts), began, (("see", took),))
        return [_EncodedImage(part, run) for part in parts]
