"""Terms of a domain that a language model proposes, for people to review."""

from typing import Any

from pydantic import ValidationError

from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou_lab.evalset.domain import AttributeTerms, Domain, ProposedTerms, Term
from tusou_lab.evalset.llm_asker import LlmAsker
from tusou_lab.evalset.llm_json import read_object, texts_of
from tusou_lab.evalset.terms import add_terms
from tusou_lab.evalset.writing_prompt import propose_digest, propose_question

_MOST_WORDS = 5  # other ways to say a concept


def propose_terms(domain: Domain, asker: LlmAsker, titles: list[str], progress: Progress) -> Domain:
    """Return the domain with terms of a model beside those it has; `titles` are examples.

    The source of each is the model with the digest of its prompt. Raises BadDataset if the model
    proposes no concept, and errors as for `LlmAsker.ask`.
    """
    spec = domain.propose or ProposedTerms()
    question = propose_question(domain, spec, titles)
    (value,) = asker.ask([question], _read_proposal, "proposing terms", progress)
    if value is None:
        raise BadDataset(
            f"{asker.model} proposed no concept of the domain {domain.name!r}: name some under "
            "`concepts`, say more under `about`, or use another model"
        )
    source = f"{asker.model}@{propose_digest(domain)}"
    concepts = _read_concepts(value, source)[: spec.concepts]
    attributes = _read_attributes(value, source, spec)
    return add_terms(domain, concepts, attributes).model_copy(update={"propose": None})


def _read_proposal(answer: str) -> dict[str, Any] | None:
    """Return the object of an answer that proposes a concept."""
    value = read_object(answer)
    return value if value is not None and _read_concepts(value, "") else None


def _read_concepts(value: dict[str, Any], source: str) -> list[Term]:
    listed = value.get("concepts")
    terms = [_read_term(each, source) for each in listed] if isinstance(listed, list) else []
    return [term for term in terms if term is not None]


def _read_term(value: object, source: str) -> Term | None:
    """Return a term of its name alone or an object; None for anything else."""
    fields = value if isinstance(value, dict) else {"name": value}
    names = texts_of([fields.get("name")])
    if not names:
        return None
    words = [word for word in texts_of(fields.get("words")) if word not in names]
    try:
        return Term(name=names[0], words=tuple(words[:_MOST_WORDS]), source=source)
    except ValidationError:  # too long for a word
        return None


def _read_attributes(
    value: dict[str, Any], source: str, spec: ProposedTerms
) -> list[AttributeTerms]:
    listed = value.get("attributes")
    attributes = []
    for each in listed if isinstance(listed, list) else []:
        values = each.get("values") if isinstance(each, dict) else None
        named = texts_of([each.get("name")]) if isinstance(each, dict) else []
        read = [_read_term(entry, source) for entry in values] if isinstance(values, list) else []
        terms = tuple(term for term in read if term is not None)[: spec.values]
        if named and len(named[0]) <= 40 and terms:
            attributes.append(AttributeTerms(name=named[0], values=terms))
    return attributes[: spec.attributes]
