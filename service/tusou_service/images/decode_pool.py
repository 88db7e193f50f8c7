"""Decoding of uploaded images in worker processes, with a bounded queue."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic

import numpy as np

from tusou.core.arrays import Pixels
from tusou.core.errors import DeadlineExceeded, Overloaded
from tusou.images.preparation import FOR_QUERIES, Preparation
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou.images.transform import Transforms, pixel_shape
from tusou.images.workers import ImageWorkers
from tusou_service.images.decode_worker import decode_upload


class DecodePool:
    """A bounded pool of decoding processes, each started when it is first needed.

    An image that crashes its process, or exceeds its deadline, fails only its own request.
    `on_crash` is called, in a thread, for each process that is lost.
    """

    def __init__(
        self,
        count: int,
        max_waiting: int,
        on_crash: Callable[[], None],
        max_megapixels: int = MAX_MEGAPIXELS,
    ) -> None:
        self._max_waiting, self._waiting = max_waiting, 0
        self._max_megapixels = max_megapixels
        self._workers = ImageWorkers(
            decode_upload, count, max_megapixels=max_megapixels, on_crash=on_crash
        )

    def start(self) -> None:
        """Start one process now, so that the first image does not wait for it."""
        self._workers.start()

    async def decode(
        self,
        image: bytes | str,
        transform: Transforms,
        deadline: float,
        preparation: Preparation = FOR_QUERIES,
    ) -> Pixels:
        """Return an image, given as its bytes or in base64, as RGB of `pixel_shape`.

        The image of a query is turned upright and put on white, as its sender sees it.

        At the deadline, on the event loop's clock, the process that decodes it is ended. Raises
        BadImage, DeadlineExceeded, Overloaded when too many images wait, NotReady when the pool
        is closed, OutOfMemory, and Unavailable when no process can be started.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded("Too many images at once.")
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                pixels = await asyncio.wrap_future(
                    self._submit(image, transform, deadline, preparation)
                )
        except TimeoutError:
            raise DeadlineExceeded("The time limit passed before the image was decoded.") from None
        finally:
            self._waiting -= 1
        return np.frombuffer(pixels, np.uint8).reshape(pixel_shape(transform))

    def _submit(
        self, image: bytes | str, transform: Transforms, deadline: float, preparation: Preparation
    ) -> Future[bytes]:
        left = deadline - asyncio.get_running_loop().time()
        limit = self._max_megapixels
        return self._workers.submit(
            image, transform, limit, preparation, deadline=monotonic() + left
        )

    def close(self) -> None:
        """End the processes."""
        self._workers.close()
