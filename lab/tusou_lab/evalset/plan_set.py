"""Plans the queries of a set, with or without a language model, and writes them with a card."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tusou.attributes.table import AttributeTable
from tusou.cli.progress import Progress
from tusou.core.errors import InvalidRequest
from tusou_lab.evalset.domain import Domain, format_domain
from tusou_lab.evalset.llm_asker import AskCost, AskSpec, LlmAsker
from tusou_lab.evalset.llm_writer import LlmWriter
from tusou_lab.evalset.plan import QueryPlan, plan_queries
from tusou_lab.evalset.plan_card import PlanCounts, count_plan, format_plan_card
from tusou_lab.evalset.propose_terms import propose_terms
from tusou_lab.evalset.set_folder import SetFolder
from tusou_lab.evalset.terms import gather_terms
from tusou_lab.evalset.title_search import read_titles

_EXAMPLES = 40  # titles that a model is shown


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A written plan."""

    plan: QueryPlan
    counts: PlanCounts
    cost: AskCost | None  # None without a model


def plan_set(
    folder: SetFolder,
    domain: Domain,
    table: AttributeTable | None,
    seed: int,
    progress: Progress,
    *,
    log: Sequence[str] = (),
    log_share: float = 0.5,
    model: AskSpec | None = None,
    force: bool = False,
) -> PlanReport:
    """Plan a domain's queries and write them, all its terms and a card into a set.

    A model proposes terms if the domain asks for it or has no concepts, and writes the texts that
    are not taken from a log or from people. Raises OutputExists as `SetFolder.create`,
    InvalidRequest without the model that a domain needs, and errors as for `plan_queries`,
    `propose_terms` and `LlmAsker.ask`.
    """
    folder.check_new(force=force)
    gathered = gather_terms(domain, table)
    asker = None if model is None else LlmAsker(model, folder.path)
    if asker is not None and (gathered.propose is not None or not gathered.concepts):
        gathered = propose_terms(gathered, asker, _examples(gathered, table, seed), progress)
    elif gathered.propose is not None:
        raise InvalidRequest("the domain asks a model to propose terms: give --llm and --model")
    writer = None if asker is None else LlmWriter(asker, gathered, progress)
    plan = plan_queries(gathered, table, seed, log, log_share, writer)
    counts = count_plan(gathered, plan)
    cost = None if asker is None else asker.cost
    facts = {"domain": gathered.model_dump(), "seed": seed, **asdict(counts)}
    if cost is not None:
        facts["model"] = asdict(cost)
    texts = {
        "domain.yaml": format_domain(gathered),
        "plan.md": format_plan_card(gathered, counts, seed),
    }
    folder.create(facts, plan.queries, texts, force=force)
    return PlanReport(plan, counts, cost)


def _examples(domain: Domain, table: AttributeTable | None, seed: int) -> list[str]:
    """Return a sample of the pool's titles, if the domain names their attribute."""
    if table is None or domain.from_titles is None:
        return []
    titles = sorted({title for title in read_titles(table, domain.from_titles.attribute) if title})
    draw = random.Random(seed)  # noqa: S311 - no secret
    return draw.sample(titles, min(_EXAMPLES, len(titles)))
