"""A graph compiled for a processor, and its passes spread over the cores as by `lanes.py`."""

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
    # Types are in the graph: bf16 where it says so, and nowhere else.
    "INFERENCE_PRECISION_HINT": "f32",
    # Numbers along a row that share a scale in int8: as fast as more, and ranks keep better.
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128",
    # A service has other threads, which must not wait for cores that are taken while others idle.
    "ENABLE_CPU_PINNING": False,
}


class Compiled:
    """Runs a graph: a pass that comes alone on all cores at once, several on one core each.

    Cores that share a pass meet after every product, and wait there when other work takes one of
    them; passes side by side never meet. Each way has laid out the weights for itself, when it was
    first gone. Any number of callers at once.
    """

    def __init__(self, model: openvino.Model) -> None:
        self._model, self._compiling = model, Lock()
        self.at_once = cpu_count()

    def run(self, jobs: Sequence[Arrays]) -> list[Vectors]:
        """Compute the vectors of each job's inputs."""
        if len(jobs) == 1:
            return [self._alone.infer(jobs[0])]
        return list(self._threads.map(self._beside.infer, jobs))

    @cached_property
    def _alone(self) -> "_Requests":
        return self._compile({"PERFORMANCE_HINT": "LATENCY"}, 1)

    @cached_property
    def _beside(self) -> "_Requests":
        if self.at_once == 1:
            return self._alone
        each = {"NUM_STREAMS": self.at_once, "INFERENCE_NUM_THREADS": self.at_once}
        return self._compile(each, self.at_once)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.at_once, "openvino")

    def _compile(self, settings: Mapping[str, object], requests: int) -> "_Requests":
        with self._compiling:
            compiled = openvino.Core().compile_model(self._model, "CPU", {**_SETTINGS, **settings})
            return _Requests([compiled.create_infer_request() for _ in range(requests)])


class _Requests:
    """Requests that run at once; who comes when all do waits."""

    def __init__(self, requests: Sequence[Any]) -> None:
        self._free: SimpleQueue[Any] = SimpleQueue()
        for request in requests:
            self._free.put(request)

    def infer(self, arrays: Arrays) -> Vectors:
        """Compute one pass."""
        request = self._free.get()
        try:
            found = request.infer(dict(enumerate(arrays)), share_inputs=True)[0]
            vectors: Vectors = np.array(found)  # the next pass overwrites what this one found
        finally:
            self._free.put(request)
        return vectors
