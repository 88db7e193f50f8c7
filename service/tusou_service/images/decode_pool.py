"""Decoding of query images in worker processes, with a bounded queue."""

import asyncio
from collections.abc import Callable

import numpy as np

from tusou.core.arrays import Pixels
from tusou.core.errors import Overloaded
from tusou.images.workers import ImageWorkers
from tusou_service.images.decode_worker import decode_query_image


class DecodePool:
    """A bounded pool of decoding processes, each started when it is first needed.

    An image that crashes its process fails one request. `on_crash` is then called, in a thread.
    """

    def __init__(self, count: int, max_waiting: int, on_crash: Callable[[], None]) -> None:
        self._max_waiting, self._waiting = max_waiting, 0
        self._workers = ImageWorkers(decode_query_image, count, on_crash=on_crash)

    def start(self) -> None:
        """Start one process now, so that the first image does not wait for it."""
        self._workers.start()

    async def decode(self, image: bytes | str, size: int) -> Pixels:
        """Return an image, given as its bytes or in base64, as (size, size, 3) RGB.

        Raises BadImage, Overloaded when too many images wait, NotReady when the pool is closed,
        and Unavailable when no process can be started.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded("Too many images at once.")
        self._waiting += 1
        try:
            pixels = await asyncio.wrap_future(self._workers.submit(image, size))
        finally:
            self._waiting -= 1
        return np.frombuffer(pixels, np.uint8).reshape(size, size, 3)

    def close(self) -> None:
        """End the processes; one that is decoding ends after its image."""
        self._workers.close()
