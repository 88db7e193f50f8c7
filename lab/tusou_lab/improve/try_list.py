"""The list of rungs to try, as `--try` gives them: feedback,hub,rerank:vectors:BUNDLE."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.core.errors import InvalidRequest
from tusou.text.prompt_file import read_templates
from tusou_lab.improve.hub_rung import HubRung
from tusou_lab.improve.index_rungs import (
    IndexGrid,
    ModelRung,
    find_model,
    prompts_rung,
    views_rung,
)
from tusou_lab.improve.rerank_rung import RerankRung
from tusou_lab.improve.rungs import Rung, feedback_rung
from tusou_lab.improve.softmax_rung import SoftmaxRung

NAMES = (
    "feedback",
    "hub",
    "softmax",
    "prompts",
    "views",
    "model:OTHER",
    "rerank:vectors:BUNDLE",
    "rerank:cross:FILE",
    "rerank:URL",
)
_ENDPOINT_DEPTHS = (10, 20)  # a model behind an endpoint takes seconds for more


@dataclass(frozen=True, slots=True)
class TryOptions:
    """The files and names that some rungs need."""

    query_bank: str | None = None
    prompt_file: Path | None = None
    rerank_model: str | None = None  # the name of an endpoint's model

    @property
    def words(self) -> tuple[str, ...]:
        """The options of the command line."""
        given = {
            "--query-bank": self.query_bank,
            "--prompt-file": self.prompt_file,
            "--rerank-model": self.rerank_model,
        }
        return tuple(
            word
            for name, value in given.items()
            if value is not None
            for word in (name, str(value))
        )


def parse_try_list(texts: Sequence[str], options: TryOptions, bundle: Bundle) -> list[Rung]:
    """Return the rungs in their order; InvalidRequest for an unknown name or a missing file."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidRequest(f"--try names no rung; give some of {', '.join(NAMES)}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InvalidRequest(f"--try names {repeated[0]} twice")
    return [_parse(name, options, bundle) for name in names]


def needs_source(rungs: Sequence[Rung]) -> bool:
    """Return whether the items are indexed again for some rung."""
    return any(isinstance(rung, IndexGrid | ModelRung) for rung in rungs)


def _parse(name: str, options: TryOptions, bundle: Bundle) -> Rung:
    kind, _, value = name.partition(":")
    if name == "feedback":
        return feedback_rung()
    if name in ("hub", "softmax"):
        if options.query_bank is None:
            raise InvalidRequest(f"--try {name} needs --query-bank, such as the queries of train")
        return (HubRung if name == "hub" else SoftmaxRung)(options.query_bank)
    if name == "prompts":
        if options.prompt_file is None:
            raise InvalidRequest("--try prompts needs --prompt-file, with a template per line")
        return prompts_rung(options.prompt_file, read_templates(options.prompt_file))
    if name == "views":
        return views_rung()
    if kind == "model" and value:
        shares = tuple(part.weight for part in bundle.manifest.model.parts)
        return ModelRung(name, find_model(value), shares)
    if kind == "rerank" and value:
        return _parse_reranker(name, value, options)
    raise InvalidRequest(f"--try {name}: the rungs are {', '.join(NAMES)}")


def _parse_reranker(name: str, value: str, options: TryOptions) -> RerankRung:
    kind, _, path = value.partition(":")
    if kind in {"http", "https"}:
        if options.rerank_model is None:
            raise InvalidRequest(f"--try {name} needs --rerank-model, the endpoint's name for it")
        given = (("--rerank-url", value), ("--rerank-model", options.rerank_model))
        return RerankRung(name, given, _ENDPOINT_DEPTHS)
    if kind == "vectors" and (Path(path) / CURRENT).is_file():
        return RerankRung(name, (("--rerank", value),))
    if kind == "cross" and Path(path).is_file():
        return RerankRung(name, (("--rerank", value),))
    raise InvalidRequest(
        f"--try {name}: give rerank:vectors: with the folder of a bundle, rerank:cross: with a "
        "file, or rerank: with the address of an endpoint"
    )
