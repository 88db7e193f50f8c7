"""Kills a judge at random moments, resumes it, and counts judgments that are lost or made twice.

python -m benchmarks.reliability.kill_judge

A child judges a set by a model's server, and tells how many judgments are on disk after each batch.
It is killed a random moment after a random number of them, and started again, until 50 kills have
met it at work; a set that is finished is followed by the next. Whatever was told must be in the
set, and every pair once.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep

from tusou_lab.evalset.judge import JUDGMENTS, judge_set
from tusou_lab.evalset.llm_judge import LlmSpec
from tusou_lab.evalset.open_judge import open_llm_judge
from tusou_lab.evalset.set_folder import SetFolder

from benchmarks.grading_server import counts, grading_server
from benchmarks.record import record
from benchmarks.set_to_judge import draw_pool, write_set
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress

IMAGES, IN_FLIGHT, ANSWER_SECONDS = 40, 16, 0.01
MOST_JUDGMENTS, LONGEST = 60, 0.05  # before a kill: judgments, and seconds behind the last


def main() -> None:
    """Kill the judges and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = perf_counter()
    with tempfile.TemporaryDirectory() as name:
        figures = run(Path(name), arguments.kills, arguments.queries, arguments.seed)
    figures["seconds"] = round(perf_counter() - started, 1)
    record("reliability.kill_judge", figures)
    sys.exit(any(figures[name] for name in ("judgments_lost", "pairs_judged_twice", "missing")))


def run(root: Path, kills: int, queries: int, seed: int) -> dict[str, object]:
    """Kill children at random moments; return the figures, of which the faults must be 0."""
    draw, figures = random.Random(seed), Counter[str]()
    bundle = draw_pool(root, IMAGES)
    while figures["kills"] < kills:
        folder = write_set(root / f"set-{figures['sets']}", bundle, queries)
        figures["sets"] += 1
        with grading_server(ANSWER_SECONDS) as url:
            while not finished(folder, queries):
                kill = draw.randrange(MOST_JUDGMENTS), draw.uniform(0, LONGEST)
                before = len(folder.judgments(JUDGMENTS))
                told, was_killed = judge_until(
                    kill if figures["kills"] < kills else None, folder, bundle, url
                )
                figures["kills"] += was_killed
                stored = len(folder.judgments(JUDGMENTS))
                figures["judgments_lost"] += max(0, before + told - stored)
            asked = counts(url)
        figures["questions"] += len(asked)
        figures["questions_in_flight_at_a_kill"] += sum(asked) - len(asked)
        judged = Counter((each.query_id, each.item_id) for each in folder.judgments(JUDGMENTS))
        figures["pairs"] += queries * IMAGES
        figures["pairs_judged_twice"] += sum(count > 1 for count in judged.values())
        figures["missing"] += queries * IMAGES - len(judged)
        figures["guidelines"] += len(folder.guidelines(next(iter(judges(folder)))))
    names = ("kills", "sets", "pairs", "questions", "questions_in_flight_at_a_kill", "guidelines")
    faults = ("judgments_lost", "pairs_judged_twice", "missing")
    return {name: figures[name] for name in (*names, *faults)}


def judges(folder: SetFolder) -> set[str]:
    """Return the names of the judges of a set."""
    return {each.judge for each in folder.judgments(JUDGMENTS)}


def finished(folder: SetFolder, queries: int) -> bool:
    """Return whether there is a judgment for every pair."""
    judged = {(each.query_id, each.item_id) for each in folder.judgments(JUDGMENTS)}
    return len(judged) == queries * IMAGES


class _Telling(NoProgress):
    """Writes a byte for each judgment that is on disk."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def begin(self, label: str, total: int, done: int = 0) -> None:  # noqa: ARG002
        os.write(self._pipe, b"\n")

    def advance(self, steps: int = 1, note: str = "") -> None:  # noqa: ARG002
        os.write(self._pipe, b"." * steps)


def judge_until(
    kill: tuple[int, float] | None, folder: SetFolder, bundle: Path, url: str
) -> tuple[int, bool]:
    """Judge in a child that is killed some judgments and seconds later, or not at all.

    Returns the number of judgments that it told, and whether the kill met it at work.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        with suppress(BaseException):
            spec = LlmSpec(url, "model", in_flight=IN_FLIGHT)
            chosen = open_llm_judge(folder, Bundle.open(bundle), spec, None)
            judge_set(folder, chosen, 1, _Telling(writing))
            os._exit(0)
        os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read(1)  # the child begins to judge
        if kill is not None:
            told += pipe.read(kill[0])
            sleep(kill[1])
            os.kill(process, signal.SIGKILL)
        told += pipe.read()
        _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("the judge failed")
    return told.count(b"."), os.WIFSIGNALED(status)


if __name__ == "__main__":
    main()
