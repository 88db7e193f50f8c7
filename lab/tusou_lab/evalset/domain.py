"""The description of a domain: what people look for in it, and how they say it."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tusou.attributes.filters import parse_filter
from tusou.core.errors import BadDataset, InvalidRequest, MissingDependency
from tusou.text.normalize import MAX_QUERY_CHARS

Style: TypeAlias = Literal["short", "sentence", "refusal", "typo"]
_MAX_BYTES = 2**20
_DEFAULT_STYLES: dict[Style, float] = {"short": 0.55, "sentence": 0.25, "refusal": 0.1, "typo": 0.1}

Word = Annotated[str, Field(min_length=1, max_length=40)]
_Count = Annotated[int, Field(ge=0, le=1000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Term(_Part):
    """A word of queries, its synonyms, and the items that it is true of."""

    name: Word
    words: tuple[Word, ...] = ()  # other ways to say it
    where: dict[str, Any] | None = None  # a filter over attributes; None: they do not decide it
    source: str | None = None  # pool, titles, or the model that proposed it; None: given

    @property
    def all_words(self) -> tuple[str, ...]:
        """The name and its synonyms, each once."""
        return tuple(dict.fromkeys((self.name, *self.words)))

    @field_validator("where")
    @classmethod
    def _check_where(cls, where: dict[str, Any] | None) -> dict[str, Any] | None:
        return _check_filter(where)


class AttributeTerms(_Part):
    """An attribute that queries may name one value of, such as colour."""

    name: Word
    values: Annotated[tuple[Term, ...], Field(min_length=1)]
    refusable: bool = True  # whether people say that they do not want it


class PoolTerms(_Part):
    """Attributes of the pool whose values become concepts and attributes."""

    concepts: Word  # the attribute that says what an item is, such as category
    attributes: tuple[Word, ...] = ()
    least_items: Annotated[int, Field(ge=1)] = 5  # of a value, to become a term


class TitleTerms(_Part):
    """An attribute of the pool that holds titles, whose words become concepts and values."""

    attribute: Word = "title"
    concepts: _Count = 20
    values: _Count = 30
    least_items: Annotated[int, Field(ge=1)] = 5  # whose titles have the word


class ProposedTerms(_Part):
    """The most concepts, attributes and values of each that a language model proposes."""

    concepts: Annotated[int, Field(ge=1, le=100)] = 12
    attributes: Annotated[int, Field(ge=0, le=20)] = 5
    values: Annotated[int, Field(ge=1, le=50)] = 8


class WrittenQuery(_Part):
    """A query that a person wrote."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]
    person: Word
    concept: Word | None = None
    style: Style = "short"
    where: dict[str, Any] | None = None  # a filter that decides which items are correct

    @field_validator("where")
    @classmethod
    def _check_where(cls, where: dict[str, Any] | None) -> dict[str, Any] | None:
        return _check_filter(where)


class Domain(_Part):
    """The terms of a domain and where more come from, and how many queries to plan."""

    name: Word
    about: Annotated[str, Field(max_length=2000)] | None = None  # what a language model is told
    concepts: tuple[Term, ...] = ()
    attributes: tuple[AttributeTerms, ...] = ()
    from_pool: PoolTerms | None = None
    from_titles: TitleTerms | None = None
    propose: ProposedTerms | None = None
    queries: tuple[WrittenQuery, ...] = ()
    styles: dict[Style, Annotated[float, Field(ge=0)]] = _DEFAULT_STYLES
    budget: Annotated[int, Field(ge=1, le=100_000)] = 200
    guideline: str | None = None  # what judges are told besides the grades

    @field_validator("styles")
    @classmethod
    def _check_styles(cls, styles: dict[Style, float]) -> dict[Style, float]:
        if not sum(styles.values()) > 0:
            raise ValueError("one of the styles must be above 0")
        return styles


def format_domain(domain: Domain) -> str:
    """Return a domain as YAML that `read_domain` reads, with a line for each term."""
    values = domain.model_dump(exclude_defaults=True)
    lines = []
    for name, value in values.items():
        if name == "attributes":
            lines.append("attributes:")
            for attribute in value:
                terms = attribute.pop("values")
                lines.append(f'  - {_flow(attribute)[:-1]}, "values": [')
                lines += (f"      {_flow(term)}," for term in terms)
                lines.append("    ]}")
        elif name in {"concepts", "queries"}:
            lines.append(f"{name}:")
            lines += (f"  - {_flow(each)}" for each in value)
        else:
            lines.append(f"{name}: {_flow(value)}")
    return "".join(f"{line}\n" for line in lines)


def read_domain(path: Path) -> Domain:
    """Read a domain from YAML or JSON; BadDataset names the value that is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadDataset(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise BadDataset(f"{path} is larger than 1 MiB, too large for a description of a domain")
    value = _parse(path, data)
    if not isinstance(value, dict):
        raise BadDataset(f"{path} must hold a mapping with the domain's name and concepts")
    try:
        return Domain.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = str(first["msg"]).removeprefix("Value error, ")
        raise BadDataset(f"{path}: {where or 'the top'}: {message}") from None


def _check_filter(where: dict[str, Any] | None) -> dict[str, Any] | None:
    if where is not None:
        try:
            parse_filter(where)
        except InvalidRequest as error:
            raise ValueError(str(error)) from None
    return where


def _flow(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _parse(path: Path, data: bytes) -> object:
    if path.suffix == ".json":
        try:
            value: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadDataset(f"{path} is not JSON: {error}") from None
        return value
    try:
        import yaml  # noqa: PLC0415 - of the extra `lab`
    except ImportError:
        raise MissingDependency(
            "a domain in YAML needs PyYAML: install tusou[lab], or write the domain as JSON"
        ) from None
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise BadDataset(f"{path} is not YAML: {first}") from None
