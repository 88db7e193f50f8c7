"""Checks of the machine and its Python environment, each with what to do about a finding."""

import locale
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast
from urllib.request import getproxies_environment

from tusou import __version__
from tusou.core.errors import TusouError
from tusou.core.hardware import cpu_features, describe_machine, is_x86
from tusou.core.lazy_import import LazyImport
from tusou.core.memory_budget import available_memory

if TYPE_CHECKING:
    from tusou.encoders.hubs.settings import HubSettings

State = Literal["ok", "warning", "error"]

_GIB = 2**30
_MIN_MEMORY = 2 * _GIB  # ViT-B/16 and an index of 30,000 items
_MIN_DISK = 2 * _GIB  # the weights of ViT-B/16, converted, and a bundle
_MIN_FILES = 4096  # for TUSOU_MAX_CONNECTIONS
_PINNED = re.compile(r"([A-Za-z0-9._-]+)==([^ ;,]+)")

_READ_HUBS = LazyImport("tusou.encoders.hubs.settings:read_settings")
_PICK_DEVICE = LazyImport("tusou.encoders.devices:pick_device")
_IMPORTED = {  # what loads native code: package -> a module of ours that imports it
    "PyTorch": LazyImport("tusou.encoders.torch.encoder:ClipTextEncoder"),
    "FAISS": LazyImport("tusou.indexes.faiss_index:FaissIndex"),
}


@dataclass(frozen=True, slots=True)
class EnvironmentFinding:
    """One line of the report; `remedy` is empty when nothing has to be done."""

    state: State
    subject: str
    text: str
    remedy: str = ""


Check: TypeAlias = Callable[[Path], Iterator[EnvironmentFinding]]


def run_check(check: Check, folder: Path) -> Iterator[EnvironmentFinding]:
    """Yield the findings of a check; a check that fails is itself a warning."""
    try:
        yield from check(folder)
    except (OSError, ValueError, RuntimeError, TusouError) as error:
        yield EnvironmentFinding(
            "warning", check.__name__.removeprefix("_"), f"could not be checked: {error}"
        )


def _python(_: Path) -> Iterator[EnvironmentFinding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield (
        EnvironmentFinding("ok", "Python", f"{python}, Tusou {__version__}")
        if (3, 11) <= sys.version_info[:2] <= (3, 13)
        else EnvironmentFinding(
            "error", "Python", python, "make an environment of Python 3.11, 3.12 or 3.13"
        )
    )


def _packages(_: Path) -> Iterator[EnvironmentFinding]:
    """Compare the packages that are pinned, whose versions have to match each other."""
    pinned = sorted(
        {match.groups() for line in requires("tusou") or () if (match := _PINNED.match(line))}
    )
    for name, required in pinned:
        installed = _version(name)
        if installed and installed.partition("+")[0] != required:
            remedy = f"pip install '{name}=={required}'"
            text = f"{installed}, and Tusou needs {required}"
            yield EnvironmentFinding("error", name, text, remedy)
    if _version("faiss-cpu") and _version("faiss-gpu"):
        remedy = "uninstall both, then install tusou[cpu] or tusou[gpu]"
        yield EnvironmentFinding(
            "error", "FAISS", "faiss-cpu and faiss-gpu overwrite each other", remedy
        )
    for subject, module in _IMPORTED.items():
        yield _imported(subject, module)


def _imported(subject: str, module: LazyImport) -> EnvironmentFinding:
    package = {"PyTorch": "torch", "FAISS": "faiss"}[subject]
    try:
        module.load()
    except TusouError as error:
        text = f"not installed ({error}); the client works without it"
        return EnvironmentFinding(
            "warning", subject, text, "pip install 'tusou[cpu]', or tusou[gpu]"
        )
    except (ImportError, OSError, RuntimeError) as error:  # a system library is missing
        return EnvironmentFinding(
            "error", subject, f"cannot be loaded: {error}", f"install {package} again"
        )
    names = (package, f"{package}-cpu", f"{package}-gpu")
    return EnvironmentFinding("ok", subject, next(filter(None, map(_version, names)), "present"))


def _processor(_: Path) -> Iterator[EnvironmentFinding]:
    yield EnvironmentFinding("ok", "processor", describe_machine())
    if is_x86() and sys.platform == "linux" and "avx2" not in cpu_features():
        remedy = "in a virtual machine, expose the host's processor (for example -cpu host)"
        yield EnvironmentFinding("warning", "processor", "no AVX2: encoding will be slow", remedy)


def _memory(_: Path) -> Iterator[EnvironmentFinding]:
    free = available_memory()
    if free is not None:
        text = f"{free / _GIB:.1f} GiB can be allocated"
        remedy = "" if free >= _MIN_MEMORY else "a ViT-B/16 service needs about 1 GiB: free some"
        yield EnvironmentFinding("warning" if remedy else "ok", "memory", text, remedy)


def _gpu(_: Path) -> Iterator[EnvironmentFinding]:
    pick_device = cast("Callable[[str], str]", _PICK_DEVICE.load())
    if _version("torch") and pick_device("auto") != "cpu":
        yield EnvironmentFinding("ok", "GPU", "CUDA works; --device auto uses it")
    elif shutil.which("nvidia-smi"):
        remedy = "check `nvidia-smi`, and that tusou[gpu] and a CUDA build of torch are installed"
        yield EnvironmentFinding("warning", "GPU", "present, but torch cannot use it", remedy)
    else:
        yield EnvironmentFinding("ok", "GPU", "none; everything runs on the processor")


def _weights(_: Path) -> Iterator[EnvironmentFinding]:
    folder = Path("~/.cache/clip").expanduser()
    files = sorted(folder.glob("*.pt")) if folder.is_dir() else []
    names = ", ".join(f"{path.name} ({path.stat().st_size / 1e6:,.0f} MB)" for path in files)
    remedy = (
        "`--model ViT-B-16` downloads it, with `--hub modelscope` where huggingface.co cannot be "
        f"reached; without a network, copy it into {folder}"
    )
    yield (
        EnvironmentFinding("ok", "weights", names)
        if files
        else EnvironmentFinding("ok", "weights", "only the demo model", remedy)
    )


def _hubs(_: Path) -> Iterator[EnvironmentFinding]:
    """Show where models are downloaded from; nothing is sent."""
    settings = cast("Callable[[], HubSettings]", _READ_HUBS.load())()
    addresses = (f"{name} at {hub.endpoint}" for name, hub in settings.hubs.items())
    chosen = f"{settings.default} unless --hub says otherwise ({', '.join(addresses)})"
    downloaded = len(list(settings.folder.glob("*/*/*/CURRENT")))
    yield EnvironmentFinding(
        "ok", "hubs", f"{chosen}; {downloaded} models downloaded into {settings.folder}"
    )
    if settings.offline:
        remedy = "unset HF_HUB_OFFLINE to download models"
        yield EnvironmentFinding("warning", "hubs", "HF_HUB_OFFLINE forbids downloads", remedy)


def _disk(folder: Path) -> Iterator[EnvironmentFinding]:
    for path in dict.fromkeys((folder.resolve(), Path(tempfile.gettempdir()), Path.home())):
        free = shutil.disk_usage(path).free
        text = f"{free / _GIB:.1f} GiB free in {path}"
        enough = free >= _MIN_DISK
        yield EnvironmentFinding(
            "ok" if enough else "warning", "disk", text, "" if enough else "free some"
        )


def _write_rights(folder: Path) -> Iterator[EnvironmentFinding]:
    for path in dict.fromkeys((folder.resolve(), Path(tempfile.gettempdir()))):
        try:
            with tempfile.TemporaryFile(dir=path):
                yield EnvironmentFinding("ok", "write rights", str(path))
        except OSError as error:
            remedy = "choose another folder, or change its owner or mode"
            yield EnvironmentFinding("error", "write rights", f"{path}: {error.strerror}", remedy)


def _locale(_: Path) -> Iterator[EnvironmentFinding]:
    names = (sys.getfilesystemencoding(), locale.getpreferredencoding(do_setlocale=False))
    encodings = sorted({name.lower() for name in names})
    text, is_utf8 = ", ".join(encodings), encodings == ["utf-8"]
    remedy = "" if is_utf8 else "set PYTHONUTF8=1, or LANG=C.UTF-8, so that Chinese is printed"
    yield EnvironmentFinding("ok" if is_utf8 else "warning", "locale", text, remedy)


def _proxies(_: Path) -> Iterator[EnvironmentFinding]:
    import httpx  # noqa: PLC0415 - slow to import

    names = [f"{scheme}_proxy" for scheme in getproxies_environment()]
    try:
        httpx.Client().close()
    except (ValueError, ImportError, httpx.HTTPError, httpx.InvalidURL) as error:
        remedy = f"correct or unset {', '.join(names)}"
        yield EnvironmentFinding(
            "warning", "proxies", f"cannot be used for downloads: {error}", remedy
        )
        return
    text = f"{', '.join(names)} for downloads; not used for services on this machine"
    yield EnvironmentFinding("ok", "proxies", text if names else "none")


def _open_files(_: Path) -> Iterator[EnvironmentFinding]:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < _MIN_FILES:
        remedy = f"raise `ulimit -Hn` to {_MIN_FILES}, or lower TUSOU_MAX_CONNECTIONS"
        yield EnvironmentFinding("warning", "open files", f"at most {limit}", remedy)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


CHECKS: tuple[Check, ...] = (
    _python,
    _packages,
    _processor,
    _memory,
    _gpu,
    _weights,
    _hubs,
    _disk,
    _write_rights,
    _locale,
    _proxies,
    _open_files,
)
