"""Finds the files of a model by its name or path, and computes their digest."""

from dataclasses import replace
from pathlib import Path

from tusou.bundle.model_record import ModelSource
from tusou.core.errors import BadModel, InvalidRequest
from tusou.encoders.base import Weights
from tusou.encoders.checkpoint_file import CheckpointFile
from tusou.encoders.forms.foreign_folders import describe_foreign_folder
from tusou.encoders.hubs.fetch import Fetcher
from tusou.encoders.hubs.local_models import read_source
from tusou.encoders.hubs.select_files import Form
from tusou.encoders.model_folder import ModelFolder, is_model_folder
from tusou.encoders.model_name import (
    DEMO,
    MODELS,
    HubModel,
    OpenClipModel,
    PublishedModel,
    parse_model,
)
from tusou.encoders.open_clip_architecture import with_architecture

_CACHE = Path("~/.cache/clip")  # as cn_clip
_DEMO_FILE = Path(__file__).parent.parent / "demo" / "tusou-demo.pt"


def find_weights(
    model: str,
    cache: Path | None = None,
    *,
    source: ModelSource | None = None,
) -> Weights:
    """Find the files of a model, which are downloaded if it is of a hub and not here yet.

    The cache of published models is cn_clip's own, `~/.cache/clip`, unless given. Their `source`
    is the one that a bundle names. Raises InvalidRequest for a name of no model, or a proxy that
    cannot be used, BadModel when a file cannot be downloaded or read.
    """
    if model == DEMO:
        return _open(_DEMO_FILE, DEMO, DEMO)
    fetcher = Fetcher()
    match parse_model(model):
        case PublishedModel(name) as published:
            path = _find_published(published, cache or _CACHE, fetcher, source)
            weights = _open(path, name, name)
            return replace(weights, source=read_source(path, weights.digest))
        case HubModel() as of_hub:
            return _open_fetched(fetcher, of_hub, "model")
        case OpenClipModel(architecture, HubModel() as checkpoint):
            weights = _open_fetched(fetcher, checkpoint, "open_clip")
            return with_architecture(weights, architecture)
        case OpenClipModel(architecture, Path() as path) if path.is_file():
            return with_architecture(_open(path, path.name, str(path.resolve())), architecture)
        case Path() as path if path.is_file() or is_model_folder(path):
            return _open(path, path.name, str(path.resolve()))
        case Path() as path if path.is_dir() and (kind := describe_foreign_folder(path)):
            raise BadModel(f"{path} {kind}")
        case _:
            raise InvalidRequest(
                f"No model {model!r}: use `{DEMO}`, one of {', '.join(MODELS)}, the path of a "
                "checkpoint (.pt) or of a transformers folder, or the id of a model on a hub, "
                "OWNER/NAME."
            )


def open_again(path: Path, digest: str, open_clip: str | None = None) -> Weights:
    """Open the weights that another process has found, by their path and digest.

    `open_clip` is the architecture of a checkpoint of open_clip. Raises BadModel if the files are
    no longer the same.
    """
    weights = _open(path, path.name, str(path))
    if open_clip is not None:
        weights = with_architecture(weights, open_clip)
    if weights.digest != digest:
        raise BadModel(f"{path.name} changed while it was read: start again")
    return weights


def _find_published(
    model: PublishedModel, cache: Path, fetcher: Fetcher, source: ModelSource | None
) -> Path:
    """Return the path of a published model, downloaded if it is in neither of its folders."""
    folders = [fetcher.settings.published_folder, cache.expanduser()]
    paths = [folder / MODELS[model.name] for folder in folders if folder is not None]
    for path in paths:
        if path.is_file():
            return path
    fetcher.fetch_published(model, paths[0], source)
    return paths[0]


def _open_fetched(fetcher: Fetcher, model: HubModel, form: Form) -> Weights:
    path, source = fetcher.fetch(model, form)
    location = HubModel(source.id, source.hub, source.revision)
    return _open(path, source.id, str(location), source)


def _open(path: Path, name: str, location: str, source: ModelSource | None = None) -> Weights:
    try:
        file = ModelFolder(path) if path.is_dir() else CheckpointFile(path)
        return Weights(path, name, file.digest, source, location=location, file=file)
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror}") from error
