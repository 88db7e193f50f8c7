"""Images to vectors on a GPU: the next go there while the last are computed."""

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tusou.core.arrays import Pixels, Vectors
from tusou.encoders.cuda.streams import current, host_room, overlap, own_stream

_SLOTS = 2  # one pass is computed while the images of the next are copied


class ImageUploads:
    """Encodes in passes of `most` images, each one copy to the GPU and one copy back.

    Images go from page-locked memory by a stream of their own, so neither the host nor the pass
    before waits for them. Memory is bounded: two passes of images and vectors on either side.
    Any number of callers, one at a time. `forward` makes unit rows of (n, size, size, 3) uint8
    on the device.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        dim: int,
        size: int,
        most: int,
        device: torch.device,
    ) -> None:
        self._forward, self._dim, self._most, self._device = forward, dim, most, device
        self._lock = threading.Lock()
        self._module = torch.get_device_module(device)
        with current(device):
            self._slots = [_Slot((most, size, size, 3), dim, device) for _ in range(_SLOTS)]
            self._copying = own_stream(device)
            # torch may have given us memory that work under way still uses; later it is ours alone.
            self._copying.wait_stream(self._module.current_stream())

    def encode(self, pixels: Pixels) -> Vectors:
        """Return one unit row per image."""
        vectors = np.empty((len(pixels), self._dim), np.float32)

        def start(slot: "_Slot", rows: slice) -> None:
            self._start(slot, pixels[rows])

        def finish(slot: "_Slot", rows: slice) -> None:
            vectors[rows] = slot.rows[: len(vectors[rows])]

        passes = [slice(i, i + self._most) for i in range(0, len(pixels), self._most)]
        with self._lock, current(self._device), torch.inference_mode():
            overlap(self._slots, passes, start, finish)
        return vectors

    def _start(self, slot: "_Slot", pixels: Pixels) -> None:
        count = len(pixels)
        slot.pixels[:count] = pixels
        with self._module.stream(self._copying):
            slot.there[:count].copy_(slot.pixels_here[:count], non_blocking=True)
            slot.sent.record()
        slot.sent.wait()  # the pass waits, not the host
        slot.rows_here[:count].copy_(self._forward(slot.there[:count]), non_blocking=True)
        slot.done.record()


class _Slot:
    """One pass's images on both sides, and its vectors on the host."""

    def __init__(self, shape: tuple[int, int, int, int], dim: int, device: torch.device) -> None:
        self.pixels_here = host_room(shape, torch.uint8, device)
        self.rows_here = host_room((shape[0], dim), torch.float32, device)
        self.there = torch.empty(shape, dtype=torch.uint8, device=device)
        self.pixels, self.rows = self.pixels_here.numpy(), self.rows_here.numpy()
        module = torch.get_device_module(device)
        self.sent, self.done = module.Event(), module.Event()
