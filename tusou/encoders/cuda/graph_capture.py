"""Work recorded as CUDA graphs, beside whatever else the process does on the device.

What makes that safe, by the documentation of CUDA and torch (no test here can show it without a
GPU):

* A recording runs nothing, and its stream waits for no other. `thread_local` has CUDA refuse what
  cannot be recorded (an allocation, a wait) from this thread alone; a thread that answers queries
  meanwhile allocates, copies and waits as ever. torch's allocator gives the recording memory of its
  own, told apart by the stream.
* Only one thread of a process may record at a time, by torch's rule: there is a lock.
* What runs first, to have everything loaded, runs on the recorder's stream and on memory that
  nobody else knows. Replays run on the stream that all threads share by default, one after the
  other; so recordings may share their memory, and cuBLAS its workspace.
* torch 2.12 keeps cuBLAS's workspace by the stream of the recording, and drops it when any graph
  recorded on that stream is destroyed. Encoders live and die at different times (a reload), so no
  two that live record on the same stream.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tusou.encoders.cuda.streams import own_stream

_RECORDING = threading.Lock()
# A failed recording stays: torch's allocator goes on asking it which memory is its own.
_FAILED: list[torch.cuda.CUDAGraph] = []


@dataclass(frozen=True, slots=True)
class CudaRecording:
    """A graph, and the stream that nobody else may record on while it lives."""

    graph: torch.cuda.CUDAGraph
    stream: torch.cuda.Stream

    def replay(self) -> None:
        """Run the graph on the current stream."""
        self.graph.replay()


class CudaRecorder:
    """Records on one device; its recordings share memory, and must be replayed one at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream: torch.cuda.Stream = own_stream(device)

    def __call__(self, work: Callable[[], None]) -> CudaRecording:
        """Run the work once, so that all it needs is loaded, then record it; RuntimeError."""
        with _RECORDING, torch.cuda.device(self._device):
            if _FAILED:
                raise RuntimeError("a recording before failed; this process tries no other")
            self._run(work)
            graph = torch.cuda.CUDAGraph()
            try:
                self._record(graph, work)
            except torch.OutOfMemoryError:
                raise  # torch ends the recording in order
            except RuntimeError:
                _FAILED.append(graph)
                raise
            return CudaRecording(graph, self._stream)

    def _run(self, work: Callable[[], None]) -> None:
        before = torch.cuda.current_stream()
        self._stream.wait_stream(before)
        with torch.cuda.stream(self._stream):
            work()
        before.wait_stream(self._stream)

    def _record(self, graph: torch.cuda.CUDAGraph, work: Callable[[], None]) -> None:
        capture = torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        )
        # torch leaves its stream the current one when a recording fails.
        with torch.cuda.stream(torch.cuda.current_stream()), capture:
            work()
