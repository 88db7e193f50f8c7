"""Calibrates the image towers of a build in `int8-calibrated` with images of its own pool."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.publication import WORK
from tusou.cli.progress import Progress
from tusou.core.arrays import Pixels
from tusou.core.errors import ArtifactError, BadDataset, BadImage, InvalidRequest
from tusou.core.hardware import cpu_count
from tusou.core.lazy_import import LazyImport
from tusou.data import open_pool, split_source
from tusou.encoders import ResolvedEncoder, Tower, Weights, resolve_encoder, split_names
from tusou.encoders.calibrated_precision import CALIBRATED, calibrated_precision, graph_of
from tusou.encoders.devices import pick_device, pick_precision
from tusou.encoders.openvino.calibrated_graph import find_calibrated
from tusou.images.preparation import Preparation
from tusou.images.transform import Transforms
from tusou.images.workers import ImageWorkers
from tusou_indexer.build_spec import BuildSpec
from tusou_indexer.decode_item import decode_item, split_decoded
from tusou_indexer.plan import Plan, scan_source

SAMPLE = 300  # images
_SEED = 0

_CALIBRATE = LazyImport("tusou.encoders.openvino.calibrate:calibrate")
_REQUIRE_NNCF = LazyImport("tusou.encoders.openvino.calibrate:require_nncf")


def calibrate_models(
    spec: BuildSpec,
    models: Sequence[Weights],
    tower: Tower,
    out: Path,
    progress: Progress,
    *,
    force: bool,
) -> list[str]:
    """Return the precision of each model; each `int8-calibrated` names its graph.

    A bundle keeps its calibration, so that a changed source encodes only what is new: the graph is
    that of the published version of the same source, of the interrupted build, or of a bundle of
    `--reuse`, if it is beside the weights. Else, or with `force`, a sample of the pool calibrates
    the tower. Raises InvalidRequest for texts, for a device or a model that has no such precision,
    and what `calibrate` raises.
    """
    precisions = split_names(spec.precision, len(models))
    if CALIBRATED not in precisions:
        return precisions
    if tower == "text":
        raise InvalidRequest("int8-calibrated is for images, and the items are texts: use int8")
    known = [] if force else list(_recorded(spec, out))
    sample = _PoolSample(spec, progress)
    return [
        _calibrate(weights, spec.device, known, sample) if precision == CALIBRATED else precision
        for weights, precision in zip(models, precisions, strict=True)
    ]


def _calibrate(weights: Weights, device: str, known: Sequence[str], sample: "_PoolSample") -> str:
    pick_precision(CALIBRATED, pick_device(device), gains_from_bf16=False)  # InvalidRequest
    resolved = resolve_encoder(weights, "image", device, "fp32", "openvino")
    for digest in known:
        if find_calibrated(weights, digest, resolved.variant):
            return calibrated_precision(digest)
    cast("Callable[[], None]", _REQUIRE_NNCF.load())()  # before the pool is read
    calibrate = cast("Callable[[ResolvedEncoder, Pixels], str]", _CALIBRATE.load())
    return calibrate(resolved, sample.draw(resolved.transform))


def _recorded(spec: BuildSpec, out: Path) -> Iterator[str]:
    """Yield the digests of the graphs that earlier builds were computed with."""
    path, split = split_source(spec.source)
    source = str(path.resolve()), split
    names = []
    for folder in (out, *spec.reuse):
        with suppress(ArtifactError):
            manifest = Bundle.open(folder).manifest
            if folder != out or (manifest.source.path, manifest.source.split) == source:
                names.append(str(manifest.build.get("precision", "")))
    plan = Plan.read(out / WORK / "plan")
    if plan is not None and (plan.inputs.source, plan.inputs.split) == source:
        names.insert(1 if names else 0, plan.inputs.precision)
    for name in ",".join(names).split(","):
        if digest := graph_of(name):
            yield digest


@dataclass(frozen=True, slots=True)
class _PoolSample:
    """A fixed sample of the images of a pool."""

    spec: BuildSpec
    progress: Progress

    def draw(self, transform: Transforms) -> Pixels:
        """Return the images as the tower takes them, (n, side, side, 3).

        The sample depends on the pool and nothing else. Images that cannot be decoded are replaced
        by others. BadDataset if there is none at all.
        """
        spec, source = self.spec, scan_source(open_pool(self.spec.source))
        order = np.random.default_rng(_SEED).permutation(len(source.spans))
        count = min(SAMPLE, len(order))
        self.progress.begin("calibrating", count)
        paths = [str(path) for path in source.pool.files]
        how = Preparation.parse(spec.prepare), spec.max_megapixels
        jobs = (
            (paths[file], offset, length, source.pool.encoding, transform, *how)
            for _, file, offset, length in source.spans[order].tolist()
        )
        drawn = list[Pixels]()
        limit = spec.max_megapixels
        with ImageWorkers(decode_item, spec.workers or cpu_count(), max_megapixels=limit) as pool:
            for result in pool.map(jobs):
                if not isinstance(result, BadImage):
                    drawn.append(split_decoded(result, transform)[2])
                    self.progress.advance()
                if len(drawn) == count:
                    break
        if not drawn:
            raise BadDataset(f"{spec.source}: no image can be decoded, to calibrate with")
        if len(drawn) < SAMPLE:
            self.progress.notice(
                f"int8-calibrated was calibrated with {len(drawn)} images, fewer than {SAMPLE}: "
                "ranks may suffer"
            )
        return np.stack(drawn)
