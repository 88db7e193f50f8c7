"""The card of a judged set: how it was made, who judged it, and what is missing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tusou import __version__
from tusou.core.errors import BadDataset
from tusou.evaluation.judged_set import PRELS, QUERIES
from tusou_lab.evalset.agree import JudgePair, compare_judges
from tusou_lab.evalset.final_grades import last_of_people
from tusou_lab.evalset.judgment import Judgment
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import PooledPair
from tusou_lab.evalset.pool_bias import DEPTH, SystemBias

CARD = "README.md"
IMAGES, QRELS = "MR_test_imgs.tsv", "judgments.qrels"
_NO_LICENCE = (
    "Not stated. The images and texts are under the licences of their sources: name them with\n"
    "  `tusou evalset build --licence` before the set is given to others."
)


@dataclass(frozen=True, slots=True)
class SetReport:
    """The counts of a built set."""

    queries: int  # with a judged pair
    pairs: int
    correct: int
    without_correct: int  # queries for which no correct item was judged
    unjudged: int  # drawn pairs without a grade
    images: int
    bias: tuple[SystemBias, ...]  # of each pooled system


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The facts of a card, beside the counts of the set."""

    plan: Mapping[str, Any]
    design: Mapping[str, Any]  # of the drawing
    grades: Mapping[int, int]  # grade -> pairs
    correct_from: int
    authors: Mapping[str, int]  # of the queries
    judges: Mapping[str, int]  # pairs that each graded
    judge: str | None  # whose grades count where no person graded
    agreement: Sequence[JudgePair]
    licence: str | None


def count_judged(judgments: Iterable[Judgment]) -> Counter[str]:
    """Return the number of pairs that each judge graded."""
    graded = {
        (each.judge, each.query_id, each.item_id)
        for each in last_of_people(judgments)
        if each.grade is not None
    }
    return Counter(judge for judge, _, _ in graded)


def compare_if_any(
    queries: Sequence[PlannedQuery],
    pairs: Sequence[PooledPair],
    judgments: Sequence[Judgment],
    correct_from: int,
) -> list[JudgePair]:
    """Compare the judges; nothing where no pair was graded twice."""
    try:
        return compare_judges(queries, pairs, judgments, correct_from)
    except BadDataset:
        return []


def format_card(facts: CardFacts, report: SetReport) -> str:
    """Return the text of the card, in Markdown."""
    plan, design, correct_from = facts.plan, facts.design, facts.correct_from
    levels = ", ".join(f"{facts.grades[grade]:,} of grade {grade}" for grade in range(3, -1, -1))
    images = (
        f"\n| `{IMAGES}` | the {report.images:,} images of the pool, in base64 |"
        if report.images
        else ""
    )
    return f"""\
# {plan["domain"]["name"]}

An evaluation set made by `tusou evalset` (Tusou {__version__}).

* **Queries.** {report.queries}, drawn with seed {plan["seed"]}. {report.without_correct} of them
  have no correct item among the judged ones. By author:
  {", ".join(f"{author} {count}" for author, count in sorted(facts.authors.items()))}.
* **Pool.** {design["items"]:,} images: version {design["version"]} of a bundle. Systems:
  {", ".join(design["systems"])}. The first {design["certain"]} results of each system are always
  judged. Further pairs were drawn with known probabilities: about {design["ranked"]:g} per query
  from results down to rank {design["depth"]}, and about {design["unranked"]:g} per query from all
  other images.
* **Judgments.** {report.pairs:,} pairs: {levels}. Grades from {correct_from} count as correct.
{_judges(facts)}
* **Not judged.** {report.unjudged:,} drawn pairs have no grade; estimates assume that they are like
  the graded pairs of the same kind. Pairs that were not drawn have no grade either. Plain metrics
  count all of these as incorrect: read them together with `judged@k`, and see
  `estimated_precision@k` and `estimated_recall@k` for estimates over the whole pool.
* **Licences.** {facts.licence or _NO_LICENCE}

{_agreement_table(facts.agreement)}{_bias_table(report.bias)}| file | contents |
|---|---|
| `{QUERIES}` | the queries with their correct items among the judged ones |{images}
| `{PRELS}` | all judgments, with the probability that each pair was drawn |
| `{QRELS}` | the same without probabilities, for other tools |

`tusou evaluate BUNDLE --answers FOLDER` reads this folder.
"""


def _bias_table(bias: Sequence[SystemBias]) -> str:
    if not bias:
        return ""
    head = f"| system | precision@{DEPTH} | if it had not been pooled |\n|---|---:|---:|\n"
    rows = (
        f"| {each.system} | {100 * each.precision:.2f} % | {100 * each.left_out:.2f} % |\n"
        for each in bias
    )
    return head + "".join(rows) + "\n"


def _judges(facts: CardFacts) -> str:
    """Return who judged, and by which guideline; a model's name has the digest of its prompt."""
    counts = ", ".join(f"`{name}` {count:,} pairs" for name, count in sorted(facts.judges.items()))
    guideline = facts.plan["domain"].get("guideline")
    stated = f" Guideline: {guideline}" if guideline else ""
    others = f", then only those of `{facts.judge}`" if facts.judge else ""
    return (
        f"* **Judges.** {counts}. The grades of people count first{others}. The name of a model\n"
        f"  ends with the digest of its instructions.{stated}"
    )


def _agreement_table(compared: Sequence[JudgePair]) -> str:
    if not compared:
        return "No pair was graded twice, so the agreement between judges is not known.\n\n"
    columns = ("judges", "pairs", "equal grades", "kappa", "weighted", "AC1")
    head = f"| {' | '.join(columns)} |\n|---{'|---:' * (len(columns) - 1)}|\n"
    rows = (
        f"| {each.first}, {each.second} | {each.agreement.pairs:,} | "
        f"{100 * each.agreement.equal:.1f} % | {each.agreement.kappa:.3f} | "
        f"{each.agreement.weighted_kappa:.3f} | {each.agreement.ac1:.3f} |\n"
        for each in compared
    )
    return head + "".join(rows) + "\n"
