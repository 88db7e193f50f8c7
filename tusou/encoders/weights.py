"""Finds the files of a model by its name or path, and computes their digest."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from tusou.bundle.model_record import ModelSource
from tusou.core.errors import BadModel, InvalidRequest
from tusou.core.lazy_import import LazyImport
from tusou.encoders.base import Weights
from tusou.encoders.checkpoint_file import CheckpointFile
from tusou.encoders.model_folder import ModelFolder, is_model_folder
from tusou.encoders.model_name import (
    DEMO,
    MODELS,
    OpenClipModel,
    PublishedModel,
    parse_model,
)

_CACHE = Path("~/.cache/clip")  # as cn_clip
_DEMO_FILE = Path(__file__).parent.parent / "demo" / "tusou-demo.pt"
_DOWNLOAD = LazyImport("cn_clip.clip.utils:_download")


def find_weights(model: str, cache: Path | None = None) -> Weights:
    """Find the files of a published name (downloaded once), of `demo`, or at a path.

    The cache is cn_clip's own, `~/.cache/clip`, unless given. Raises InvalidRequest for any
    other name or a proxy that cannot be used, BadModel when a file cannot be downloaded or read.
    """
    if model == DEMO:
        return _open(_DEMO_FILE, DEMO, DEMO)
    match parse_model(model):
        case PublishedModel(name):
            return _open(_cached(name, (cache or _CACHE).expanduser()), name, name)
        case OpenClipModel(architecture, Path() as path) if path.is_file():
            location = f"open_clip:{architecture}@{path.resolve()}"
            return _open(path, path.name, location, open_clip=architecture)
        case Path() as path if path.is_file() or is_model_folder(path):
            return _open(path, path.name, str(path.resolve()))
        case _:
            raise InvalidRequest(
                f"No model {model!r}: use `{DEMO}`, one of {', '.join(MODELS)}, "
                "or the path of a cn_clip checkpoint (.pt) or of a transformers folder."
            )


def _open(
    path: Path,
    name: str,
    location: str,
    source: ModelSource | None = None,
    open_clip: str | None = None,
) -> Weights:
    try:
        file = ModelFolder(path) if path.is_dir() else CheckpointFile(path)
        return Weights(path, name, file.digest, source, open_clip, location, file)
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror}") from error


def _cached(name: str, cache: Path) -> Path:
    path = cache / MODELS[name]
    if path.is_file():
        return path
    _check_proxies()
    download = cast("Callable[[str, str], str]", _DOWNLOAD.load())
    try:
        return Path(download(name, str(cache)))
    except (OSError, RuntimeError, ValueError) as error:  # network, checksum, hub client
        raise BadModel(
            f"could not download {name} ({type(error).__name__}): try again with a network, "
            f"or copy {path.name} into {cache}"
        ) from error


def _check_proxies() -> None:
    """Raise InvalidRequest if the environment names proxies that the HTTP clients cannot use."""
    import httpx  # noqa: PLC0415 - slow to import, and needed for a download alone

    try:
        httpx.Client(verify=False).close()  # noqa: S501 - sends nothing
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        cause = str(error).partition(". ")[0]
        raise InvalidRequest(
            f"the proxy variables of the environment cannot be used ({cause}): correct or unset "
            "http_proxy, https_proxy, all_proxy and no_proxy, in capitals too"
        ) from None
