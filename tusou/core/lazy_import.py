"""Found by name: implementations are imported when first asked for, never before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from tusou.core.errors import MissingDependency

_OURS = {"tusou", "tusou_service", "tusou_indexer", "tusou_lab", "tusou_client"}
# Packages that one extra alone brings, whatever was wanted when they were missed.
_BROUGHT_BY = {"matplotlib": "lab", "fontTools": "lab", "rjieba": "lab", "opentelemetry": "otel"}


@dataclass(frozen=True, slots=True)
class LazyImport:
    """A name to import later: `module:attribute`, and the extra that brings what it needs."""

    target: str
    extra: str = "cpu"

    def load(self) -> object:
        """Import and return the attribute; MissingDependency names the extra to install."""
        module, _, attribute = self.target.partition(":")
        with extras_named(self.extra):
            return getattr(import_module(module), attribute)


@contextmanager
def extras_named(extra: str) -> Iterator[None]:
    """Turn the failed import of a package that is not ours into advice on what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in _OURS:
            raise
        raise MissingDependency(
            f"this needs the package {error.name!r}: "
            f"install tusou[{_BROUGHT_BY.get(package, extra)}]"
        ) from error
