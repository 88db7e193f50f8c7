"""Expected times of batches: what is measured, and the target that follows."""

import pytest
from tusou_service.engine import batch_times
from tusou_service.engine.batch_times import BatchTimes, measure_batch_times


@pytest.mark.parametrize(
    ("fixed", "per_item", "size"),
    [
        pytest.param(0.0, 0.004, 4, id="each item costs"),
        pytest.param(0.02, 0.0, 54, id="a batch costs"),
        pytest.param(0.02, 0.004, 18, id="both"),
    ],
)
def test_a_batch_is_efficient_by_its_share_of_the_throughput(
    fixed: float, per_item: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def run(count: int) -> None:
        nonlocal now
        now += fixed + per_item * count

    monkeypatch.setattr(batch_times, "perf_counter", lambda: now)
    times = measure_batch_times(run, 64)
    assert times.of(0) == 0
    assert times.of(5) == pytest.approx(fixed + 5 * per_item)
    assert times.efficient_size == size
    assert times.target == pytest.approx(max(0.05, 5 * (fixed + per_item * size)))


def test_the_times_follow_the_pace_of_batches() -> None:
    times = BatchTimes(4, fixed=0.01, per_item=0.01)
    for _ in range(30):
        times.observe(3, 0.08)
    assert times.of(3) == pytest.approx(0.08, rel=1e-3)
    assert times.target == pytest.approx(5 * 0.1, rel=1e-3)


def test_a_fast_model_has_a_target_that_lets_bursts_pass() -> None:
    assert measure_batch_times(lambda _: None, 64).target == 0.05
