"""Image passes on a GPU: the next images are copied while the last are encoded."""

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tusou.core.arrays import Pixels, Vectors
from tusou.encoders.cuda.streams import current_device, exclusive_stream, host_buffer, overlap

_SLOTS = 2  # one pass is computed while the images of the next are copied


class ImageTransfer:
    """Encodes images in passes of at most `max_images`, each with one copy to and from the GPU.

    Images are copied from page-locked memory on a stream of their own, so that neither the host
    nor the previous pass waits for them. Two passes of images and vectors are held on either side.
    Thread-safe; calls run one at a time. `forward` maps (n, size, size, 3) uint8 on the device to
    unit rows (n, dim).
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        dim: int,
        size: int,
        max_images: int,
        device: torch.device,
    ) -> None:
        self._forward, self._dim, self._max_images = forward, dim, max_images
        self._device, self._lock = device, threading.Lock()
        self._module = torch.get_device_module(device)
        shape = (max_images, size, size, 3)
        with current_device(device):
            self._slots = [_ImageSlot(shape, dim, device) for _ in range(_SLOTS)]
            self._copy_stream = exclusive_stream(device)
            # Work under way may still use the memory that torch has just handed out.
            self._copy_stream.wait_stream(self._module.current_stream())

    def encode(self, pixels: Pixels) -> Vectors:
        """Return one unit row per image."""
        vectors = np.empty((len(pixels), self._dim), np.float32)

        def start(slot: "_ImageSlot", rows: slice) -> None:
            count = len(pixels[rows])
            slot.pixels[:count] = pixels[rows]
            with self._module.stream(self._copy_stream):
                slot.device_pixels[:count].copy_(slot.host_pixels[:count], non_blocking=True)
                slot.copied.record()
            slot.copied.wait()  # makes the pass wait, not the host
            encoded = self._forward(slot.device_pixels[:count])
            slot.host_vectors[:count].copy_(encoded, non_blocking=True)
            slot.done.record()

        step = self._max_images
        passes = (slice(first, first + step) for first in range(0, len(pixels), step))
        with self._lock, current_device(self._device), torch.inference_mode():
            for slot, rows in overlap(self._slots, passes, start):
                vectors[rows] = slot.vectors[: len(vectors[rows])]
        return vectors


class _ImageSlot:
    """The images of one pass on the host and on the device, and its vectors on the host."""

    def __init__(self, shape: tuple[int, int, int, int], dim: int, device: torch.device) -> None:
        self.host_pixels = host_buffer(shape, torch.uint8, device)
        self.host_vectors = host_buffer((shape[0], dim), torch.float32, device)
        self.device_pixels = torch.empty(shape, dtype=torch.uint8, device=device)
        self.pixels, self.vectors = self.host_pixels.numpy(), self.host_vectors.numpy()
        module = torch.get_device_module(device)
        self.copied, self.done = module.Event(), module.Event()
