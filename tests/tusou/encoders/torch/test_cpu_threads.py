"""Distribution of passes over cores: one core each, all cores for a single heavy pass; errors."""

import threading
from collections.abc import Iterator

import pytest
import torch

from tusou.encoders.torch.cpu_threads import CpuThreads, on_all_cores, on_one_core

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def three_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def cores_seen(threads: CpuThreads, parts: int) -> list[int]:
    """Return the number of cores that torch uses within each pass."""
    seen: dict[int, int] = {}

    def one_pass(part: int) -> None:
        torch.ones(100_000).sum()  # torch looks at the setting when it first shares work
        seen[part] = torch.get_num_threads()

    threads.run(one_pass, range(parts))
    return [seen[part] for part in range(parts)]


def test_several_passes_use_one_core_each() -> None:
    threads = CpuThreads(CPU, heavy=True)
    assert threads.count == 3
    assert cores_seen(threads, 7) == [1] * 7


def test_a_single_heavy_pass_uses_all_cores() -> None:
    assert cores_seen(CpuThreads(CPU, heavy=True), 1) == [3]


def test_a_single_light_pass_uses_one_core() -> None:
    assert cores_seen(CpuThreads(CPU, heavy=False), 1) == [1]


@pytest.mark.parametrize(("quick_on", "cores"), [(1, 1), (3, 3)])
def test_a_short_single_pass_uses_the_faster_way(quick_on: int, cores: int) -> None:
    threads = CpuThreads(CPU, heavy=True)
    gate = threading.Event()
    threads.calibrate(lambda: torch.get_num_threads() == quick_on or gate.wait(0.02))
    seen: list[int] = []
    threads.run(lambda _: seen.append(torch.get_num_threads()), [0], short=True)
    assert seen == [cores]
    assert cores_seen(threads, 1) == [3]


def test_a_second_tower_and_the_caller_keep_their_core_counts() -> None:
    first, second = CpuThreads(CPU, heavy=True), CpuThreads(CPU, heavy=True)
    assert cores_seen(first, 1) == cores_seen(second, 1) == [3]
    assert cores_seen(first, 2) == cores_seen(second, 2) == [1, 1]
    assert torch.get_num_threads() == 3


def test_a_single_pass_uses_one_core_while_another_tower_uses_all() -> None:
    first, second = CpuThreads(CPU, heavy=True), CpuThreads(CPU, heavy=True)
    seen: list[list[int]] = []
    first.run(lambda _: seen.append(cores_seen(second, 1)), [0])
    assert seen == [[1]]
    assert cores_seen(second, 1) == [3]


def test_all_cores_are_free_again_after_an_error() -> None:
    threads = CpuThreads(CPU, heavy=True)
    with pytest.raises(ZeroDivisionError):
        threads.run(lambda part: [1 / part].clear(), [0])
    assert cores_seen(threads, 1) == [3]


def test_other_work_runs_on_one_core_or_all() -> None:
    with on_one_core():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    assert on_all_cores(torch.get_num_threads) == 3


def test_passes_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3)
    CpuThreads(CPU, heavy=True).run(lambda _: [barrier.wait(timeout=20)].clear(), range(3))


@pytest.mark.parametrize("parts", [1, 4])
def test_errors_reach_the_caller(parts: int) -> None:
    def one_pass(part: int) -> None:
        if part == parts - 1:
            raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match=f"part {parts - 1}"):
        CpuThreads(CPU, heavy=True).run(one_pass, range(parts))


@pytest.mark.parametrize("cores", [1, 3])
def test_no_passes_run_for_an_empty_batch(cores: int) -> None:
    torch.set_num_threads(cores)
    CpuThreads(CPU, heavy=True).run(pytest.fail, [])


def test_one_core_needs_no_threads() -> None:
    torch.set_num_threads(1)
    threads: list[int] = []
    before = threading.active_count()
    CpuThreads(CPU, heavy=True).run(lambda _: threads.append(threading.get_ident()), range(2))
    assert threads == [threading.get_ident()] * 2
    assert threading.active_count() <= before  # one of another test may have ended meanwhile
