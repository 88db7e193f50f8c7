"""Imports by name at first use, with advice on what to install."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from tusou.core.errors import MissingDependency

_OWN_PACKAGES = {"tusou", "tusou_service", "tusou_indexer", "tusou_lab", "tusou_client"}
# Packages that a single extra installs, whichever extra the importing code belongs to.
_EXTRA_OF = {
    "matplotlib": "lab",
    "fontTools": "lab",
    "jinja2": "lab",
    "opentelemetry": "otel",
    "pymilvus": "milvus",
    "ray": "ray",
    "aiohttp": "s3",
    "botocore": "s3",
    "s3fs": "s3",
    "transformers": "models",
    "open_clip": "models",
    "onnx": "models",
    "onnxruntime": "models",
    "onnxscript": "models",
    "nncf": "nncf",
}


@dataclass(frozen=True, slots=True)
class LazyImport:
    """A name to import later: `module:attribute`, and the extra that installs its packages."""

    target: str
    extra: str = "cpu"

    def load(self) -> object:
        """Import and return the attribute; raise MissingDependency with the extra to install."""
        module, _, attribute = self.target.partition(":")
        with extras_named(self.extra):
            return getattr(import_module(module), attribute)


@contextmanager
def extras_named(extra: str) -> Iterator[None]:
    """Raise MissingDependency, with the extra to install, when an import in the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in _OWN_PACKAGES:
            raise
        raise MissingDependency(
            f"this needs the package {package!r}: install tusou[{_EXTRA_OF.get(package, extra)}]"
        ) from error
