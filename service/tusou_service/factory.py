"""Settings and a bundle folder, made into an engine."""

from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import current_version
from tusou.core.errors import InputError
from tusou.core.lazy_import import extras_named
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.served import Pipeline
from tusou_service.experiment.ab_test import Experiment
from tusou_service.observability.stages import Tracer
from tusou_service.settings import Settings


@dataclass(frozen=True, slots=True)
class BundleSource:
    """Opens whatever version the bundle folder's CURRENT names."""

    root: Path
    device: str
    model: str | None
    precision: str
    backend: str
    remember: int

    def current_version(self) -> str:
        """Read CURRENT."""
        return current_version(self.root)

    def open(self) -> Pipeline:
        """Verify and load the current version."""
        from tusou.retrieval.pipeline import SearchPipeline  # noqa: PLC0415 - imports numpy and more

        return SearchPipeline.open(
            self.root,
            device=self.device,
            model=self.model,
            precision=self.precision,
            backend=self.backend,
            cache_size=self.remember,
        )


def make_tracer(settings: Settings) -> Tracer | None:
    """Build what follows requests, if that is asked for; MissingDependency."""
    if settings.tracing_endpoint is None:
        return None
    with extras_named("otel"):
        from tusou_service.observability.tracing import open_tracer  # noqa: PLC0415 - an extra

        return open_tracer(settings.tracing_endpoint, settings.tracing_share)


def make_engine(settings: Settings) -> SearchEngine:
    """Build the engine of these settings; nothing is read before it is entered."""
    if settings.bundle is None:
        raise InputError("No bundle to serve: give its folder, or set TUSOU_BUNDLE.")
    source = _source(settings, settings.bundle, settings.model)
    return SearchEngine(source, settings.batching(), settings.image_queries)


def make_experiment(settings: Settings, first: SearchEngine) -> Experiment | None:
    """Build the second engine of these settings, and what brings the two together."""
    if settings.ab_bundle is None:
        return None
    second = SearchEngine(
        _source(settings, settings.ab_bundle, settings.ab_model),
        settings.batching(),
        settings.image_queries,
        first,
    )
    return Experiment(first, second, settings.experiment_plan())


def _source(settings: Settings, root: Path, model: str | None) -> BundleSource:
    return BundleSource(
        root, settings.device, model, settings.precision, settings.backend, settings.cache_queries
    )
