"""Hubness of a bundle: how often its items are among the first results of a file of queries.

M. Radovanović et al., Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data (2010).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import LIVE_IMAGES
from tusou.cli.progress import Progress
from tusou.core.arrays import Ids
from tusou.core.errors import BadDataset, BadImage, InvalidRequest, TusouError
from tusou.core.ids import ItemId
from tusou.data import ItemRow
from tusou.evaluation.judgments import read_judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query
from tusou_lab.check.findings import Findings
from tusou_lab.check.fingerprint import ImageFingerprint
from tusou_lab.check.image_scan import ScannedImage, fingerprint_item
from tusou_lab.check.run import CheckReport
from tusou_lab.evaluate.bundle_queries import read_text_queries

K = 10  # the first results that count
# A hub is found by this share of the queries, and this many times as often as the mean item: it
# cannot be what all of them ask for.
HUB_SHARE, HUB_MULTIPLE, _LEAST_QUERIES = 0.05, 5, 5
_NAMED = 10
_BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class Hubness:
    """The k-occurrence of items: the number of queries that have an item among their first k."""

    queries: int
    items: int
    k: int
    skew: float  # 0 if all items are found equally often; large if a few are found by all
    largest: int
    never: int  # items that no query finds
    occurrences: dict[int, int]  # k-occurrence -> items
    hubs: tuple[tuple[ItemId, int], ...]  # the items found most often, with their k-occurrence


@dataclass(frozen=True, slots=True)
class BundleHubness:
    """The hubness of a bundle as it ranks, and with its stages switched off."""

    ranked: Hubness
    plain: Hubness | None  # None where no stage changes the ranking
    interpret: bool = True  # what a query refuses was subtracted


def check_bundle(
    root: Path, queries: Path, progress: Progress, *, interpret: bool = True
) -> CheckReport:
    """Report how often each item of a bundle is among the first results of queries.

    With `interpret`, what a query refuses is subtracted, as the service does by default.

    Raises BadDataset with every query that the service would refuse, and for a bundle of texts.
    """
    started = perf_counter()
    pipeline = SearchPipeline.open(root)
    if pipeline.bundle.items != "images":
        raise BadDataset(f"{root} holds texts; the hubness of a bundle of images can be checked")
    text_queries = read_text_queries(read_judgments(queries), K, interpret=interpret)
    measured = _measure(pipeline, text_queries, progress)
    hubness = replace(measured, interpret=interpret)
    findings = Findings()
    images = tuple(_images(pipeline.bundle, hubness.ranked))
    _add_finding(hubness.ranked, images, findings)
    seconds = perf_counter() - started
    return CheckReport(str(root), {}, tuple(findings.sorted()), seconds, images, hubness)


def measure_hubness(occurrences: Ids, queries: int, k: int) -> Hubness:
    """Return the hubness of items, named by position, of which each has a k-occurrence, (n,)."""
    best = np.argsort(-occurrences, kind="stable")[:_NAMED]
    hubs = tuple((key, int(occurrences[key])) for key in best.tolist() if occurrences[key])
    counts = Counter(occurrences.tolist())
    return Hubness(
        queries=queries,
        items=len(occurrences),
        k=k,
        skew=skewness(occurrences),
        largest=int(occurrences.max(initial=0)),
        never=counts[0],
        occurrences=dict(sorted(counts.items())),
        hubs=hubs,
    )


def skewness(values: npt.NDArray[np.int64]) -> float:
    """Return the third standardised moment; 0 for equal values."""
    differences = values - values.mean()
    deviation = float(np.sqrt(np.square(differences).mean()))
    return float((differences**3).mean()) / deviation**3 if deviation else 0.0


def _measure(
    pipeline: SearchPipeline, queries: Sequence[Query], progress: Progress
) -> BundleHubness:
    ranked = _search(pipeline, queries, progress)
    if not pipeline.bundle.manifest.stages.names:
        return BundleHubness(ranked, None)
    unranked = [replace(query, adjust=False, rerank=False) for query in queries]
    return BundleHubness(ranked, _search(pipeline, unranked, progress))


def _search(pipeline: SearchPipeline, queries: Sequence[Query], progress: Progress) -> Hubness:
    progress.begin("searching", len(queries))
    occurrences = np.zeros(pipeline.bundle.item_count, np.int64)
    for start in range(0, len(queries), _BATCH_SIZE):
        batch = queries[start : start + _BATCH_SIZE]
        _count(pipeline, batch, occurrences)
        progress.advance(len(batch))
    return _named(pipeline, occurrences, len(queries))


def _count(pipeline: SearchPipeline, queries: Sequence[Query], occurrences: Ids) -> None:
    for hits in pipeline.search(queries).hits:
        if isinstance(hits, TusouError):
            raise hits
        if hits.rerank == "failed":
            raise InvalidRequest("the bundle's reranker failed; the log says why")
        keys = [pipeline.bundle.key(str(item_id)) for item_id in hits.item_ids]
        occurrences[keys] += 1


def _named(pipeline: SearchPipeline, occurrences: Ids, queries: int) -> Hubness:
    hubness = measure_hubness(occurrences, queries, K)
    ids = pipeline.bundle.ids
    return replace(hubness, hubs=tuple((ids.at(int(key)), count) for key, count in hubness.hubs))


def _add_finding(hubness: Hubness, images: Sequence[ScannedImage], findings: Findings) -> None:
    mean = sum(count * items for count, items in hubness.occurrences.items()) / hubness.items
    limit = max(HUB_SHARE * hubness.queries, HUB_MULTIPLE * mean, _LEAST_QUERIES)
    lines = [f"{item_id}: {count} of {hubness.queries} queries" for item_id, count in hubness.hubs]
    hubs = sum(items for count, items in hubness.occurrences.items() if count >= limit)
    share = f"{100 * HUB_SHARE:g} %"
    message = f"hubs: items in the top {hubness.k} of {share} of the queries or more"
    positions = range(len(images))
    if hubs:
        findings.add("warning", "hubs", "bundle", lines, message, count=hubs, images=positions)
        return
    message = f"no hub; the items most often in the top {hubness.k}"
    findings.add("note", "hubs", "bundle", lines, message, images=positions)


def _images(bundle: Bundle, hubness: Hubness) -> Iterator[ScannedImage]:
    """Yield the images of the items found most often; those that cannot be read are left out."""
    source = bundle.manifest.source
    for item_id, _ in hubness.hubs:
        file, offset, length, _ = bundle.spans[bundle.key(str(item_id))].tolist()
        live = file == source.files
        path = bundle.path(LIVE_IMAGES) if live else bundle.source_files[file]
        encoding = "raw" if live else source.encoding
        try:
            packed = fingerprint_item(str(path), offset, length, encoding)
        except (BadImage, OSError):
            continue
        row = ItemRow(0, str(item_id), file, offset, length)
        fingerprint = ImageFingerprint.unpack(packed)
        yield ScannedImage("", row, path, encoding, fingerprint)
