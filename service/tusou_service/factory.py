"""Builds the parts of the service from its settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tusou.bundle.bundle import current_version
from tusou.core.errors import InputError
from tusou.core.lazy_import import extras_named
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.interfaces import Pipeline
from tusou_service.experiment.ab_test import Experiment, ExperimentPlan
from tusou_service.http.auth import ApiKeys
from tusou_service.server import ServiceParts
from tusou_service.settings import Settings

if TYPE_CHECKING:
    from tusou_service.observability.tracing import SpanTracer


@dataclass(frozen=True, slots=True)
class BundleSource:
    """Opens the version that the CURRENT of a bundle names."""

    root: Path
    device: str
    model: str | None
    precision: str
    backend: str
    cache_size: int

    def current_version(self) -> str:
        """Read CURRENT; CorruptBundle."""
        return current_version(self.root)

    def open(self) -> Pipeline:
        """Verify and load the current version; CorruptBundle, IncompatibleBundle."""
        from tusou.retrieval.pipeline import SearchPipeline  # noqa: PLC0415 - imports numpy and more

        return SearchPipeline.open(
            self.root,
            device=self.device,
            model=self.model,
            precision=self.precision,
            backend=self.backend,
            cache_size=self.cache_size,
        )


def make_parts(settings: Settings, keys: ApiKeys | None) -> ServiceParts:
    """Build the parts of one server process; InputError, MissingDependency."""
    engine = make_engine(settings)
    return ServiceParts(engine, keys, make_tracer(settings), make_experiment(settings, engine))


def make_tracer(settings: Settings) -> "SpanTracer | None":
    """Build the tracer, if an address for traces is set; MissingDependency."""
    if settings.tracing_endpoint is None:
        return None
    with extras_named("otel"):
        from tusou_service.observability.tracing import open_tracer  # noqa: PLC0415 - an extra

        return open_tracer(settings.tracing_endpoint, settings.tracing_share)


def make_engine(settings: Settings) -> SearchEngine:
    """Build the engine; it reads the bundle when it is entered."""
    if settings.bundle is None:
        raise InputError("No bundle to serve: pass its folder, or set TUSOU_BUNDLE.")
    source = _make_source(settings, settings.bundle, settings.model)
    return SearchEngine(source, settings.batching(), settings.image_queries)


def make_experiment(settings: Settings, first: SearchEngine) -> Experiment | None:
    """Build the second engine and the experiment, if a second bundle is set."""
    if settings.ab_bundle is None:
        return None
    second = SearchEngine(
        _make_source(settings, settings.ab_bundle, settings.ab_model),
        settings.batching(),
        settings.image_queries,
        first,
    )
    return Experiment(first, second, make_plan(settings))


def make_plan(settings: Settings) -> ExperimentPlan:
    """Return how to compare the two bundles."""
    return ExperimentPlan(settings.ab_mode, settings.ab_share, settings.ab_name or "")


def _make_source(settings: Settings, root: Path, model: str | None) -> BundleSource:
    return BundleSource(
        root, settings.device, model, settings.precision, settings.backend, settings.cache_queries
    )
