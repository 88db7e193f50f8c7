"""Capture of CUDA graphs while other threads use the device.

Why this is safe, by the documentation of CUDA and torch (it cannot be tested without a GPU):

* A capture runs nothing, and its stream waits for no other. In the mode `thread_local` CUDA refuses
  what cannot be captured (an allocation, a wait) in this thread alone; threads that answer queries
  meanwhile allocate, copy and wait as usual. torch's allocator gives a capture memory of its own,
  which it recognises by the stream.
* torch allows one capture at a time in a process: a lock sees to it.
* The warm-up run, which loads every kernel, uses the capture's stream and memory that no other
  work uses. Replays run on the default stream, which all threads share, one after the other;
  therefore graphs may share their memory, and cuBLAS its workspace.
* torch 2.12 keeps cuBLAS's workspace by the stream of the capture, and frees it when any graph that
  was captured on that stream is destroyed. Encoders live and die at different times (a reload), so
  every live recorder has a stream of its own.
"""

import threading
from collections.abc import Callable
from functools import partial

import torch

from tusou.encoders.cuda.streams import exclusive_stream

_CAPTURE_LOCK = threading.Lock()
# A failed graph is never freed: torch's allocator goes on asking it which memory is its own.
_FAILED: list[torch.cuda.CUDAGraph] = []


class CudaRecorder:
    """Captures graphs on one device; they share memory, so replay them one at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream: torch.cuda.Stream = exclusive_stream(device)

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """Run the work once to load its kernels, then capture it; RuntimeError on failure.

        The result runs the graph on the current stream.
        """
        with _CAPTURE_LOCK, torch.cuda.device(self._device):
            if _FAILED:
                raise RuntimeError("an earlier capture failed; this process attempts no other")
            previous = torch.cuda.current_stream()
            self._stream.wait_stream(previous)
            with torch.cuda.stream(self._stream):
                work()
            previous.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            capture = torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            )
            try:
                # When a capture fails, torch leaves its stream as the current one.
                with torch.cuda.stream(previous), capture:
                    work()
            except torch.OutOfMemoryError:
                raise  # torch ends this capture cleanly
            except RuntimeError:
                _FAILED.append(graph)
                raise
            return partial(self._replay, graph)

    def _replay(self, graph: torch.cuda.CUDAGraph) -> None:
        """Run a graph; a method, so that the graph's stream is reserved as long as the graph."""
        graph.replay()
