"""Encoding on a Ray cluster: a worker on every node, and the shards of the plan as their work."""

import os
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tusou.bundle.shards import ShardStore
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids
from tusou.core.errors import Unavailable
from tusou_indexer.embed import EncodedBatch, Matches, row_outcomes, split_batches
from tusou_indexer.plan import Plan
from tusou_indexer.shard_assembly import NO_MATCHES, assemble_shard, unmatched_rows
from tusou_indexer.shard_worker import ShardRows, ShardWorker, WorkerRecipe, take_rows

# Tries of a shard, and of starting a worker on one node.
ATTEMPTS = 5
# Seconds between looks for nodes that have joined or left the cluster.
_LOOK_SECONDS = 2.0
_CONNECT_SECONDS = 5.0
# Looks without a running worker before the user is warned.
_PATIENT_LOOKS = 15

_Slot: TypeAlias = tuple[str, int]  # the node's id, and which of its workers


def embed_on_ray(
    plan: Plan,
    store: ShardStore,
    matched: Matches,
    recipe: WorkerRecipe,
    dim: int,
    address: str,
    progress: Progress,
) -> int:
    """Encode the items of every shard that is not stored yet; return the number encoded.

    `address` is HOST:PORT of a cluster to which this machine belongs, or `auto`. Every node must
    read the source's files under the same paths. The shards are stored here, as they come back.
    Raises Unavailable when there is no such cluster, when no node can load the model, and when a
    shard fails five times.
    """
    missing = [number for number in range(plan.shard_count) if not store.has(number)]
    rows = {
        number: unmatched_rows(plan, number, matched.get(number, NO_MATCHES)) for number in missing
    }
    encoded, left = 0, sum(map(len, rows.values()))
    progress.begin("encoding", len(plan), len(plan) - left)
    with _connection(address):
        pool = WorkerPool(plan, recipe, progress.notice)
        for number, batches in pool.encode(rows):
            sizes = list(split_batches(rows[number], plan.inputs.batch_rows))
            outcomes = row_outcomes(sizes, batches, progress)
            matches = matched.get(number, NO_MATCHES)
            shard, vectors = assemble_shard(plan, number, matches, outcomes, dim)
            store.write(number, shard, vectors)
            encoded += len(shard.rows) - len(matches.rows)
    return encoded


@dataclass(frozen=True, slots=True)
class _NodeWorker:
    """A process on a node; its slot is free for another when it has ended."""

    slot: _Slot
    address: str  # of the node, for messages
    actor: Any


class WorkerPool:
    """Workers on all nodes of the cluster, one a node, or one a GPU; those that end are replaced.

    Nodes may join and leave at any time.
    """

    def __init__(self, plan: Plan, recipe: WorkerRecipe, notice: Callable[[str], None]) -> None:
        self._plan, self._recipe, self._notice = plan, recipe, notice
        self._on_gpu = recipe.device.startswith("cuda")
        self._workers: dict[_Slot, _NodeWorker] = {}
        self._idle: list[_NodeWorker] = []
        # The shard of each worker, None while it loads the model.
        self._calls: dict[Any, tuple[_NodeWorker, int | None]] = {}
        self._failures: Counter[int] = Counter()  # by shard
        self._failed_starts: Counter[str] = Counter()  # by node
        self._unusable: dict[str, str] = {}  # nodes where no worker starts, and why

    def encode(self, rows: Mapping[int, Ids]) -> Iterator[tuple[int, list[EncodedBatch]]]:
        """Yield number and encoded batches of each shard of `rows`, as they are finished."""
        waiting, looks = deque(rows), 0
        try:
            while waiting or any(number is not None for _, number in self._calls.values()):
                self._start_workers()
                while waiting and self._idle:
                    number = waiting.popleft()
                    self._send(self._idle.pop(), number, take_rows(self._plan, rows[number]))
                calls = list(self._calls)
                ready = ray.wait(calls, timeout=_LOOK_SECONDS)[0] if calls else []
                looks = 0 if ready or not self._all_loading() else looks + 1
                if looks == _PATIENT_LOOKS:
                    self._notice("waiting for free processors on the nodes of the Ray cluster")
                for call in ready:
                    worker, done = self._calls.pop(call)
                    if done is None:
                        self._finish_loading(worker, call)
                    elif (batches := self._finish_shard(worker, call, done)) is None:
                        waiting.append(done)
                    else:
                        yield done, batches
        finally:
            for worker in self._workers.values():
                ray.kill(worker.actor)

    def _all_loading(self) -> bool:
        return all(number is None for _, number in self._calls.values())

    def _start_workers(self) -> None:
        """Start a worker in every free slot; Unavailable when no node is left to try."""
        nodes = [node for node in ray.nodes() if node["Alive"] and _slots(node, self._on_gpu)]
        for node in nodes:
            if (name := node["NodeID"]) in self._unusable:
                continue
            for place in range(_slots(node, self._on_gpu)):
                if (name, place) not in self._workers:
                    self._start((name, place), node)
        if not self._workers:
            reasons = "; ".join(sorted(set(self._unusable.values())))
            kind = "GPU" if self._on_gpu else "processor"
            raise Unavailable(
                f"no worker starts on the Ray cluster: {reasons or f'no node has a {kind}'}"
            )

    def _start(self, slot: _Slot, node: dict[str, Any]) -> None:
        processors = int(node["Resources"].get("CPU", 0)) // _slots(node, self._on_gpu)
        actor = (
            ray.remote(ShardWorker)
            .options(
                num_cpus=processors,
                num_gpus=1 if self._on_gpu else 0,
                max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(slot[0], soft=False),
            )
            .remote(self._recipe, self._plan.inputs, self._plan.kind)
        )
        worker = _NodeWorker(slot, node["NodeManagerAddress"], actor)
        self._workers[slot] = worker
        self._calls[actor.load.remote(max(1, processors))] = worker, None

    def _send(self, worker: _NodeWorker, number: int, rows: ShardRows) -> None:
        self._calls[worker.actor.encode.remote(rows)] = worker, number

    def _finish_loading(self, worker: _NodeWorker, call: Any) -> None:
        """Note a worker that has loaded the model, or leave its node out if it cannot."""
        node = worker.slot[0]
        try:
            ray.get(call)
        except RayError as error:
            self._failed_starts[node] += 1
            self._drop(worker)
            # A process that was killed may do better when it starts again.
            if isinstance(error, RayTaskError) or self._failed_starts[node] == ATTEMPTS:
                self._unusable[node] = f"node {worker.address}: {_reason(error)}"
                self._notice(f"no worker starts on {self._unusable[node]}")
        else:
            self._failed_starts[node] = 0
            self._idle.append(worker)

    def _finish_shard(
        self, worker: _NodeWorker, call: Any, number: int
    ) -> list[EncodedBatch] | None:
        """Return the batches of a shard, None if it failed; Unavailable if it fails too often."""
        try:
            batches: list[EncodedBatch] = ray.get(call)
        except RayError as error:
            self._failures[number] += 1
            if self._failures[number] == ATTEMPTS:
                raise Unavailable(
                    f"shard {number:06d} failed {ATTEMPTS} times, the last time on node "
                    f"{worker.address}: {_reason(error)}"
                ) from None
            if isinstance(error, RayActorError):
                self._drop(worker)
            else:
                self._idle.append(worker)
            return None
        self._idle.append(worker)
        return batches

    def _drop(self, worker: _NodeWorker) -> None:
        ray.kill(worker.actor)  # it may hold its processors still
        del self._workers[worker.slot]


def _slots(node: dict[str, Any], on_gpu: bool) -> int:
    """Return the number of workers of a node."""
    resources = node["Resources"]
    return int(resources.get("GPU", 0)) if on_gpu else int(resources.get("CPU", 0) >= 1)


def _reason(error: Exception) -> str:
    """Return what went wrong on a node, in one line."""
    if isinstance(error, RayTaskError):
        cause = error.cause
        return str(cause) or type(cause).__name__
    if isinstance(error, RayActorError):
        return "the worker process ended, killed or for want of memory"
    return str(error).strip().splitlines()[0]


@contextmanager
def _connection(address: str) -> Iterator[None]:
    """Connect to a cluster; a connection of the caller's is used and kept."""
    if ray.is_initialized():
        yield
        return
    # Nothing is sent to Ray's developers.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    try:
        if address != "auto":
            _check_port(address)
        with _signals_kept():
            ray.init(address, log_to_driver=False, logging_level="error")
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        where = "on this machine" if address == "auto" else f"at {address}"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unavailable(f"no Ray cluster answers {where}: {reason}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_port(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put the handler of SIGTERM back, which Ray replaces."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
