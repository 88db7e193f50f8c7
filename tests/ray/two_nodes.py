"""A Ray cluster of two nodes with one processor each, on this machine."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

from ray.cluster_utils import Cluster

from tusou.cli.progress import NoProgress

NODE = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "node_ip_address": "127.0.0.1",
}


class TwoNodes:
    def __init__(self) -> None:
        self._cluster = Cluster(initialize_head=True, head_node_args=NODE)
        self._second = self._cluster.add_node(**NODE)
        self.address: str = self._cluster.address

    def worker_pids(self) -> list[int]:
        """Return the processes of this cluster that encode or load a model."""
        raylets = {
            node.all_processes["raylet"][0].process.pid for node in self._cluster.list_all_nodes()
        }
        return [pid for pid in map(int, _processes()) if _encodes(pid, raylets)]

    def kill_worker(self, chance: random.Random) -> int:
        """Kill one of the workers; return how many were killed."""
        pids = self.worker_pids()
        if pids:
            os.kill(chance.choice(pids), signal.SIGKILL)
        return min(1, len(pids))

    def replace_second_node(self) -> None:
        """Kill every process of the second node, and let another join."""
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = self._cluster.add_node(**NODE)

    def stop(self) -> None:
        self._cluster.shutdown()


class KillingProgress(NoProgress):
    """Kills random workers while shards come back, up to a number."""

    def __init__(self, cluster: TwoNodes, kills: int) -> None:
        self._cluster, self._kills, self.killed = cluster, kills, 0
        self._chance = random.Random(13)

    def advance(self, steps: int = 1, note: str = "") -> None:
        if self.killed < self._kills and self._chance.random() < 0.7:
            self.killed += self._cluster.kill_worker(self._chance)


def _processes() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def _encodes(pid: int, raylets: set[int]) -> bool:
    with suppress(OSError):
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return title.startswith(b"ray::ShardWorker") and parent in raylets
    return False
