"""A compiled OpenVINO model, and the distribution of its passes over a processor's cores."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from queue import SimpleQueue
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import openvino

from tusou.core.arrays import Vectors
from tusou.core.hardware import cpu_count

Arrays: TypeAlias = Sequence[npt.NDArray[Any]]

_SETTINGS = {
    # The types in the graph decide: bf16 where it says so, and nowhere else.
    "INFERENCE_PRECISION_HINT": "f32",
    # Numbers of a row that share a scale in int8: as fast as larger groups, with better ranks.
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128",
    # Pinned threads would wait for cores that the service's other threads use, while others idle.
    "ENABLE_CPU_PINNING": False,
}


class CompiledModel:
    """Runs a single pass on all cores, and several passes in parallel on one core each.

    Cores that share a pass synchronise after every product, and wait when other work takes one of
    them; passes on one core each never wait for each other. Each of the two ways compiles the model
    and packs the weights for itself when it is first used. Thread-safe.
    """

    def __init__(self, model: openvino.Model) -> None:
        self._model, self._compile_lock = model, Lock()
        self.parallel = cpu_count()

    def run(self, passes: Sequence[Arrays]) -> list[Vectors]:
        """Return the vectors of each pass's input arrays."""
        if len(passes) == 1:
            return [self._all_cores.infer(passes[0])]
        return list(self._threads.map(self._single_core.infer, passes))

    @cached_property
    def _all_cores(self) -> "_InferRequestPool":
        return self._compile({"PERFORMANCE_HINT": "LATENCY"}, 1)

    @cached_property
    def _single_core(self) -> "_InferRequestPool":
        if self.parallel == 1:
            return self._all_cores
        streams = {"NUM_STREAMS": self.parallel, "INFERENCE_NUM_THREADS": self.parallel}
        return self._compile(streams, self.parallel)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.parallel, "openvino")

    def _compile(self, settings: Mapping[str, object], requests: int) -> "_InferRequestPool":
        with self._compile_lock:
            compiled = openvino.Core().compile_model(self._model, "CPU", {**_SETTINGS, **settings})
            return _InferRequestPool([compiled.create_infer_request() for _ in range(requests)])


class _InferRequestPool:
    """A pool of inference requests; callers block until one is free."""

    def __init__(self, requests: Sequence[Any]) -> None:
        self._free: SimpleQueue[Any] = SimpleQueue()
        for request in requests:
            self._free.put(request)

    def infer(self, arrays: Arrays) -> Vectors:
        request = self._free.get()
        try:
            output = request.infer(dict(enumerate(arrays)), share_inputs=True)[0]
            vectors: Vectors = np.array(output)  # a copy: the next pass overwrites the output
        finally:
            self._free.put(request)
        return vectors
