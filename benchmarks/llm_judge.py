"""Time of judging by a model whose server answers in 50 ms, beside the ideal.

python -m benchmarks.llm_judge

100 queries with 100 drawn images each, 64 questions in flight. The ideal is the time in which the
server could answer if the next question always came at once; guidelines, reading and encoding
images, and writing judgments are not part of it. The server runs on the same machine, in a process
of its own. On a machine that others use, the best round is the one to look at.
"""

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from tusou_lab.evalset.judge import JUDGMENTS, judge_set
from tusou_lab.evalset.llm_judge import LlmSpec
from tusou_lab.evalset.open_judge import open_llm_judge
from tusou_lab.evalset.set_folder import SetFolder

from benchmarks.grading_server import counts, grading_server
from benchmarks.record import record
from benchmarks.set_to_judge import draw_pool, write_set
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress

ANSWER_SECONDS, IN_FLIGHT, IMAGES = 0.05, 64, 100


def main() -> None:
    """Judge several times and record the best round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    pairs = arguments.queries * IMAGES
    ideal = pairs / IN_FLIGHT * ANSWER_SECONDS
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        bundle = draw_pool(Path(name), IMAGES)
        for number in range(arguments.rounds):
            folder = write_set(Path(name) / f"set-{number}", bundle, arguments.queries)
            rounds.append(judge(folder, bundle))
            print(rounds[-1], flush=True)
    best = min(rounds)
    figures = {
        "pairs": pairs,
        "in_flight": IN_FLIGHT,
        "answer_ms": round(1000 * ANSWER_SECONDS),
        "ideal_s": round(ideal, 2),
        "best_s": round(best[0], 2),
        "ratio": round(best[0] / ideal, 3),
        "processor_s_of_the_best": round(best[1], 2),
        "rounds_s": [round(seconds, 2) for seconds, _ in rounds],
        "load_average": round(os.getloadavg()[0], 1),
    }
    record("llm_judge", figures, save=not arguments.no_save)


def judge(folder: SetFolder, bundle: Path) -> tuple[float, float]:
    """Judge a set by a server of its own; return the seconds, and those of the processor."""
    with grading_server(ANSWER_SECONDS) as url:
        began, processor = perf_counter(), process_time()
        spec = LlmSpec(url, "model", in_flight=IN_FLIGHT)
        chosen = open_llm_judge(folder, Bundle.open(bundle), spec, None)
        report = judge_set(folder, chosen, 1, NoProgress())
        chosen.close()
        seconds = perf_counter() - began, process_time() - processor
        assert set(counts(url)) == {1}, "a question was asked twice"
    judged = {(each.query_id, each.item_id) for each in folder.judgments(JUDGMENTS)}
    assert len(judged) == report.judged == report.pairs
    return seconds


if __name__ == "__main__":
    main()
