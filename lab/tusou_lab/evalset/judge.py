"""Judges the drawn pairs of a set; a killed run resumes without losing or repeating any."""

from collections import Counter
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from tusou.cli.progress import Progress
from tusou_lab.evalset.judgment import Judge, Judgment, PairToJudge
from tusou_lab.evalset.pool import PooledPair
from tusou_lab.evalset.set_folder import SetFolder

JUDGMENTS: TypeAdapter[Judgment] = TypeAdapter(Judgment)
PAIRS: TypeAdapter[PooledPair] = TypeAdapter(PooledPair)


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """The counts of a run of a judge."""

    judge: str
    pairs: int  # drawn
    known: int  # judged before
    judged: int
    without_grade: int
    grades: dict[str, int]  # grade -> number, of all judgments of this judge
    # Tokens of all guidelines and judgments, including those of earlier runs, of further repeats
    # and of pairs that are no longer drawn.
    tokens_in_all: int = 0
    answer_tokens_in_all: int = 0  # the part that the model wrote


def judge_set(folder: SetFolder, judge: Judge, repeats: int, progress: Progress) -> JudgeReport:
    """Ask a judge for every drawn pair that it has not judged, `repeats` times each."""
    queries = {query.query_id: query for query in folder.queries()}
    pairs = [PairToJudge(queries[pair.query_id], pair) for pair in folder.pairs(PAIRS)]
    with folder.writing() as file:
        drawn = {(each.pair.query_id, each.pair.item_id) for each in pairs}
        earlier = [each for each in folder.judgments(JUDGMENTS) if each.judge == judge.name]
        stored = [
            each
            for each in earlier
            if each.repeat < repeats and (each.query_id, each.item_id) in drawn
        ]
        known = {(each.query_id, each.item_id, each.repeat) for each in stored}
        made: list[Judgment] = []
        progress.begin("judging", repeats * len(pairs), len(known))
        for repeat in range(repeats):
            missing = [
                each
                for each in pairs
                if (each.pair.query_id, each.pair.item_id, repeat) not in known
            ]
            for judgments in judge.judge(missing, repeat):
                file.append(map(asdict, judgments))
                made += judgments
                progress.advance(len(judgments))
    everything = [*stored, *made]
    guidelines = folder.written_guidelines(judge.name)
    spent = [(each.tokens, each.answer_tokens) for each in [*earlier, *made]]
    spent += [(each.tokens, each.answer_tokens) for each in guidelines]
    counts = Counter(str(each.grade) for each in everything if each.grade is not None)
    return JudgeReport(
        judge.name,
        len(pairs),
        len(known),
        len(made),
        sum(each.grade is None for each in everything),
        dict(sorted(counts.items())),
        sum(tokens for tokens, _ in spent),
        sum(tokens for _, tokens in spent),
    )
