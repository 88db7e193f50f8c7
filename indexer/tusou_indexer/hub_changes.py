"""Changes of a bundle's hub correction without its source: the index is filled again."""

from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import INDEX
from tusou.bundle.stages import HUB_BIAS, QUERY_BANK, HubRecord, SoftmaxRecord
from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest
from tusou.stages.hub_bias import HubCorrection
from tusou.stages.inverted_softmax import SOFTMAX_BETA, SOFTMAX_DEPTH
from tusou_indexer.hub_files import correct_hubs
from tusou_indexer.query_bank import QueryBank
from tusou_indexer.rebuild_index import rebuild_index, reference_encoder
from tusou_indexer.stage_changes import StageChange

_FILES = (HUB_BIAS, QUERY_BANK)


def set_hub(
    bundle: Bundle,
    work: Path,
    query_bank: str | None,
    k: int | None,
    alpha: float | None,
    softmax: SoftmaxRecord | None = None,
) -> StageChange:
    """Return the change of a hub correction, whose files are written into the folder `work`.

    Without a `query_bank` the bank of the bundle is used again. `softmax` is the inverted softmax
    that uses the bank, too. Raises InvalidRequest, BadDataset and IncompatibleBundle.
    """
    _refuse_server(bundle)
    record, correction = _correction(bundle, query_bank, k, alpha)
    vectors = correct_hubs(bundle.vectors, correction, work, softmax=softmax is not None)
    change = _refill(bundle, work, vectors)
    add = {**change.add, **{name: work / name for name in _FILES}}
    return StageChange({"hub": record, "softmax": softmax}, change.manifest, add)


def softmax_record(bundle: Bundle, depth: int | None, beta: float | None) -> SoftmaxRecord | None:
    """Return the inverted softmax with new settings, or as it is without any."""
    before = bundle.manifest.stages.softmax
    if depth is None and beta is None:
        return before
    if before is None:
        return SoftmaxRecord(depth=depth or SOFTMAX_DEPTH, beta=beta or SOFTMAX_BETA)
    return SoftmaxRecord(depth=depth or before.depth, beta=beta or before.beta)


def remove_hub(bundle: Bundle, work: Path) -> StageChange:
    """Return the change that takes a hub correction away."""
    if bundle.manifest.stages.hub is None:
        return StageChange()
    _refuse_server(bundle)
    change = _refill(bundle, work, bundle.vectors)
    return StageChange(
        {"hub": None, "softmax": None}, change.manifest, change.add, frozenset(_FILES)
    )


def _correction(
    bundle: Bundle, query_bank: str | None, k: int | None, alpha: float | None
) -> tuple[HubRecord, HubCorrection]:
    before = bundle.manifest.stages.hub
    if query_bank is not None:
        bank = QueryBank.read(query_bank, k, alpha)
        bank.check("text" if bundle.items == "texts" else "image")
        return bank.record, bank.correction(reference_encoder(bundle.manifest))
    if before is None:
        raise InvalidRequest("the bundle has no query bank; give one with --query-bank")
    settings = before.k if k is None else k, before.alpha if alpha is None else alpha
    correction = HubCorrection(bundle.query_bank, *settings)
    return before.model_copy(update={"k": correction.k, "alpha": correction.alpha}), correction


def _refuse_server(bundle: Bundle) -> None:
    if bundle.manifest.index.collection is not None:
        raise InvalidRequest(
            "the vectors are on a server, whose collection only a build fills: give --query-bank "
            "to tusou index"
        )


def _refill(bundle: Bundle, work: Path, vectors: Vectors) -> StageChange:
    built = rebuild_index(bundle.manifest, work, vectors)
    built.index.save(work / INDEX)
    return StageChange(manifest={"index": built.record}, add={INDEX: work / INDEX})
