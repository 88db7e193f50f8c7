"""The circuit breaker of calls to a server: when it refuses calls, and when it tries again."""

import pytest

from tusou.core.circuit_breaker import CircuitBreaker
from tusou.core.errors import IndexUnavailable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(
        "the index's server", IndexUnavailable, max_failures=3, pause=2.0, clock=clock
    )


def fail(breaker: CircuitBreaker) -> float | None:
    """Let one call fail, and return the seconds after which to retry."""
    with pytest.raises(IndexUnavailable, match="down") as caught, breaker.call():
        raise IndexUnavailable("down")
    return caught.value.retry_after


def refused(breaker: CircuitBreaker) -> float | None:
    with pytest.raises(IndexUnavailable, match="several times in a row") as caught, breaker.call():
        pytest.fail("the call was let through")
    return caught.value.retry_after


def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    assert [fail(breaker), fail(breaker)] == [2.0, 2.0]
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open
    assert refused(breaker) == 2.0


def test_a_success_in_between_counts_anew(breaker: CircuitBreaker) -> None:
    fail(breaker)
    fail(breaker)
    with breaker.call():
        pass
    fail(breaker)
    fail(breaker)
    assert not breaker.is_open


def test_after_the_pause_one_call_tries(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(3):
        fail(breaker)
    clock.now += 1.5
    assert refused(breaker) == 0.5
    clock.now += 0.5
    with breaker.call():
        refused(breaker)  # a second call meanwhile
    assert not breaker.is_open
    with breaker.call():
        pass


def test_a_failure_of_that_call_begins_another_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(3):
        fail(breaker)
    clock.now += 2.0
    fail(breaker)
    assert refused(breaker) == 2.0


def test_a_probe_is_let_through_and_closes_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        fail(breaker)
    with breaker.call(probe=True):
        pass
    assert not breaker.is_open


def test_other_errors_are_not_failures_of_the_server(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="ours"), breaker.call():
            raise ValueError("ours")
    assert not breaker.is_open
