"""A larger model's vectors of a version's items, and the model that encodes queries for them."""

import json
from dataclasses import dataclass
from typing import Self

from tusou.bundle.bundle import Bundle
from tusou.bundle.model_record import Model
from tusou.bundle.stages import RERANK_VECTORS, RerankRecord
from tusou.bundle.vector_file import VectorFile
from tusou.core.errors import CorruptBundle


@dataclass(frozen=True, slots=True)
class QueryModel:
    """The model of the vectors, one or an ensemble, and the templates of its queries."""

    model: Model
    prompts: tuple[str, ...]

    @property
    def options(self) -> dict[str, str | int | float]:
        """The options of a record that `of_record` reads."""
        prompts = json.dumps(self.prompts, ensure_ascii=False)
        return {"model": self.model.model_dump_json(), "prompts": prompts}

    @classmethod
    def of_record(cls, record: RerankRecord) -> Self:
        """Read a record; CorruptBundle."""
        try:
            model = Model.model_validate_json(str(record.options["model"]))
            prompts = json.loads(str(record.options["prompts"]))
            return cls(model, tuple(str(prompt) for prompt in prompts))
        except (KeyError, TypeError, ValueError):
            raise CorruptBundle("the manifest has a wrong value at stages.rerank") from None


def open_rerank_vectors(bundle: Bundle) -> VectorFile:
    """Open the vectors by row key, (n, e); CorruptBundle.

    The row of an item without a vector is zero.
    """
    record = bundle.manifest.stages.rerank
    if record is None or RERANK_VECTORS not in bundle.manifest.files:
        raise CorruptBundle(f"{bundle.folder} has no vectors for reranking; see tusou stages")
    dim = QueryModel.of_record(record).model.dim
    return VectorFile(bundle.path(RERANK_VECTORS), (bundle.item_count, dim))
