"""Rungs for which all items are indexed again: prompts, views of images, and further models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.core.errors import InvalidRequest
from tusou_lab.improve.recipes import Options, Recipe
from tusou_lab.improve.rungs import Standing, Tools

_NO_TEMPLATE = "{query}"
VIEWS = ("flip", "five_crops")
MODEL_WEIGHTS = (0.3, 0.5, 0.7)  # of the further model


@dataclass(frozen=True, slots=True)
class IndexGrid:
    """Settings of `tusou index`, each with a bundle of its own."""

    name: str
    settings: Sequence[Options]

    def choose(self, below: Standing, tools: Tools) -> Recipe | None:
        """Search every bundle; of equally good ones the first is taken."""
        return choose_best([below.recipe.with_index(each) for each in self.settings], below, tools)


@dataclass(frozen=True, slots=True)
class ModelRung:
    """An ensemble with a further model; the weights of those before keep their ratio."""

    name: str
    model: str
    shares: tuple[float, ...]  # the weights of the plain bundle's models

    def choose(self, below: Standing, tools: Tools) -> Recipe | None:
        """Choose the weight of the model."""
        given = below.recipe.option("--weights")
        shares = self.shares if given is None else tuple(map(float, given.split(",")))
        recipes = []
        for weight in MODEL_WEIGHTS:
            weights = (*((1 - weight) * share for share in shares), weight)
            text = ",".join(f"{each:.4g}" for each in weights)
            recipes.append(below.recipe.with_index((("--model", self.model), ("--weights", text))))
        return choose_best(recipes, below, tools)


def choose_best(recipes: Sequence[Recipe], below: Standing, tools: Tools) -> Recipe | None:
    """Return the recipe whose bundle is best on the choosing half; None if none is better."""
    choosing = tools.trials.halves.choosing
    best, chosen = below.trial.mean(choosing), None
    for recipe in recipes:
        root = tools.maker.make(recipe)
        score = tools.trials.search(root, f"{recipe.key}-made").mean(choosing)
        if score > best:
            best, chosen = score, recipe
    return chosen


def views_rung() -> IndexGrid:
    """Return the means over views of an image."""
    return IndexGrid("views", [(("--views", views),) for views in VIEWS])


def prompts_rung(file: Path, templates: Sequence[str]) -> IndexGrid:
    """Return each template of a file alone, and the mean of all of them if there are several."""
    settings: list[Options] = [
        (("--prompt", template),) for template in templates if template != _NO_TEMPLATE
    ]
    if len(templates) > 1:
        settings.append((("--prompt-file", str(file)),))
    return IndexGrid("prompts", settings)


def find_model(other: str) -> str:
    """Return where the model of OTHER is: a bundle's model, or OTHER itself; InvalidRequest."""
    if not Path(other).is_dir():
        return other
    parts = Bundle.open(Path(other)).manifest.model.parts
    if len(parts) > 1:
        raise InvalidRequest(f"--try model: {other} has several models; name one of them")
    return parts[0].location


def index_command(bundle: Bundle, root: Path) -> tuple[str, Options]:
    """Return the source and the options of the `tusou index` that made a bundle.

    Raises InvalidRequest when the source is not there, and for a bundle with stages, attributes or
    live changes, which indexing again would lose.
    """
    manifest = bundle.manifest
    source = manifest.source
    lost = ["stages"] if manifest.stages.names else []
    lost += ["attributes"] if manifest.attributes is not None else []
    lost += ["live changes"] if manifest.is_compacted else []
    lost += ["several prompts"] if manifest.prompts else []
    if lost:
        raise InvalidRequest(
            f"{root} has {lost[0]}, which would be lost when its items are indexed again: try "
            "prompts, views and models on a bundle without them"
        )
    if manifest.vector_source is not None or not Path(source.path).exists():
        raise InvalidRequest(
            f"the source of {root} is not there: prompts, views and models index it again"
        )
    parts = manifest.model.parts
    options = [("--model", part.location) for part in parts]
    if len(parts) > 1:
        options.append(("--weights", ",".join(f"{part.weight:.4g}" for part in parts)))
    index = str(manifest.build.get("index", "auto"))
    prepare = str(manifest.build.get("prepare", "none"))
    given = {
        "--index": (index, "auto"),
        "--prompt": (manifest.prompt or "", ""),
        "--views": (manifest.views, "none"),
        "--prepare": (prepare, "none"),
    }
    options += [(name, value) for name, (value, default) in given.items() if value != default]
    return source.path + (f"#{source.split}" if source.split else ""), tuple(options)
