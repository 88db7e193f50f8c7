"""Found by name: implementations are imported when first asked for, never before."""

from dataclasses import dataclass
from importlib import import_module

from tusou.errors import MissingDependency


@dataclass(frozen=True, slots=True)
class Lazy:
    """A name to import later: `module:attribute`, and the extra that brings what it needs."""

    target: str
    extra: str = "cpu"

    def load(self) -> object:
        """Import and return the attribute; MissingDependency names the extra to install."""
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in {
                "tusou",
                "service",
                "indexer",
                "lab",
                "clients",
            }:
                raise
            raise MissingDependency(
                f"this needs the package {error.name!r}: install tusou[{self.extra}]"
            ) from error
