"""Recipes of bundles: the options that make a bundle of the plain one, and the verbs that do."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from shlex import join

from tusou.bundle.bundle import CURRENT
from tusou.bundle.manifest import Manifest
from tusou.bundle.revise import revise
from tusou.bundle.stages import StageRecord
from tusou_lab.run_commands import CommandRunner

Options = tuple[tuple[str, str], ...]  # (option, value)

_PROMPTS = ("--prompt", "--prompt-file")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Options of `tusou index`, for which all items are indexed again, and of `tusou stages`."""

    index: Options = ()
    stages: Options = ()

    def with_stages(self, options: Mapping[str, str]) -> "Recipe":
        """Return the recipe with these options, in place of those of the same name."""
        others = tuple(pair for pair in self.stages if pair[0] not in options)
        return replace(self, stages=(*others, *options.items()))

    def without(self, prefix: str) -> "Recipe":
        """Return the recipe without the options of `tusou stages` that begin so."""
        others = tuple(pair for pair in self.stages if not pair[0].startswith(prefix))
        return replace(self, stages=others)

    def with_index(self, options: Options) -> "Recipe":
        """Return the recipe with these options; only `--model` may stand there several times."""
        names = {name for name, _ in options} - {"--model"}
        others = tuple(pair for pair in self.index if pair[0] not in names)
        return replace(self, index=(*others, *options))

    def without_prompt_of(self, other: "Recipe") -> "Recipe":
        """Return the recipe without its prompt if another one has its own."""
        if all(other.option(name) is None for name in _PROMPTS):
            return self
        return replace(self, index=tuple(pair for pair in self.index if pair[0] not in _PROMPTS))

    def option(self, name: str) -> str | None:
        """Return the value of an option of `tusou index`, None without it."""
        return dict(self.index).get(name)

    @property
    def words(self) -> list[str]:
        """The options as words of a command line."""
        return [word for pair in (*self.index, *self.stages) for word in pair]

    @property
    def text(self) -> str:
        """The options as they are typed."""
        return join(self.words)

    @property
    def key(self) -> str:
        """A name for the bundle's folder and its trial."""
        return sha256(json.dumps([self.index, self.stages]).encode()).hexdigest()[:16]


@dataclass(slots=True)
class BundleMaker:
    """Makes the bundles of recipes, each once."""

    plain: Path
    folder: Path
    runner: CommandRunner
    index_source: str = ""
    index_options: Options = ()  # of `tusou index`, as it made the plain bundle
    _trial: Path = field(init=False)

    def __post_init__(self) -> None:
        self._trial = self.folder / "trial"

    def plain_of(self, recipe: Recipe) -> Path:
        """Return the bundle of a recipe without its stages."""
        return self._index(recipe)

    def make(self, recipe: Recipe, out: Path | None = None) -> Path:
        """Return the folder of a recipe's bundle; CommandFailed when a verb refuses an option."""
        root = self._index(recipe)
        if not recipe.stages and out is None:
            return root
        target = out or self.folder / recipe.key
        if not (target / CURRENT).exists() or out is not None:
            words = [word for pair in recipe.stages for word in pair]
            self.runner.run("stages", str(root), "--out", str(target), *words, quiet=True)
        return target

    def _index(self, recipe: Recipe) -> Path:
        if not recipe.index:
            return self.plain
        target = self.folder / Recipe(recipe.index).key
        if not (target / CURRENT).exists():
            options = Recipe(self.index_options).without_prompt_of(recipe).with_index(recipe.index)
            if options.option("--views") in (None, "none"):
                options = options.with_index((("--reuse", str(self.plain)),))
            self.runner.run(
                "index", self.index_source, "--out", str(target), *options.words, quiet=True
            )
        return target

    def vary(self, root: Path, records: Mapping[str, StageRecord | None]) -> Path:
        """Return a bundle with other records of stages, until the next call."""

        def changed(manifest: Manifest) -> Manifest:
            update = {**records, "calibration": None}  # which is of another ranking
            stages = manifest.stages.model_copy(update=update)
            return manifest.model_copy(update={"stages": stages})

        shutil.rmtree(self._trial, ignore_errors=True)
        revise(root, changed, out=self._trial)
        return self._trial
