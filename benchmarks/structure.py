"""Figures about the structure of the code: names, docstrings, lines, and the path of a text query.

python -m benchmarks.structure            the figures that need no model
python -m benchmarks.structure --trace    also the files and types that one text query passes
"""

import argparse
import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from time import sleep
from types import FrameType

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "tusou": ROOT / "tusou",
    "tusou_client": ROOT / "clients" / "tusou_client",
    "tusou_indexer": ROOT / "indexer" / "tusou_indexer",
    "tusou_lab": ROOT / "lab" / "tusou_lab",
    "tusou_service": ROOT / "service" / "tusou_service",
}

# The terms that an engineer of this field looks for; alternatives are separated by a bar.
TERMS = (
    "middleware", "request log", "shutdown", "dependencies", "oom retry", "image query",
    "experiment | ab test", "stages | tracing", "worker | supervisor", "interface", "query",
    "results", "retriever", "compatibility", "process limits", "memory budget", "item reader",
    "query cache", "torch encoder", "cpu threads", "streams", "openvino cache", "judgments",
    "significance", "index request", "embedding cache", "strings", "fingerprint", "search bundle",
    "replay worker", "rate limit", "auth", "body limits", "micro batcher", "decode", "shadow", "gc",
    "timeouts", "hardware", "lazy import", "tokenizer", "checkpoint", "backend", "graph",
    "submission", "csv", "recall", "tune", "near duplicates", "progress", "wire | client", "retry",
    "load", "preprocess", "normalize", "negation", "metrics",
)  # fmt: skip

# Openings of a clause that has no subject or no main verb.
_CLAUSE = re.compile(
    r"(What|Whether|How|Where|When|Who|Whose|Which|Why|That|As|If|Whatever|Whoever)\b|From .* to "
)
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    """Return the production modules of all packages, in path order."""
    return sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))


def missing_terms() -> list[str]:
    """Return the terms that no module's path leads to."""
    paths = [_path_words(path) for path in modules()]
    return [
        term
        for term in TERMS
        if not any(
            _leads_to(words, alternative.split())
            for alternative in term.split("|")
            for words in paths
        )
    ]


def repeated_classes() -> dict[str, list[str]]:
    """Return the class names that are defined in two or more modules, with those modules."""
    defined: dict[str, set[str]] = {}
    for path in modules():
        for node in ast.walk(_parse(path)):
            if isinstance(node, ast.ClassDef):
                defined.setdefault(node.name, set()).add(str(path.relative_to(ROOT)))
    return {name: sorted(where) for name, where in sorted(defined.items()) if len(where) > 1}


def clause_docstrings() -> list[str]:
    """Return the modules, classes and functions whose docstring is a clause without a subject.

    A module without a docstring counts, too.
    """
    places: list[str] = []
    for path in modules():
        tree = _parse(path)
        name = str(path.relative_to(ROOT))
        if not ast.get_docstring(tree):
            places.append(name)
        for node in ast.walk(tree):
            if not isinstance(node, _DOCUMENTED):
                continue
            if (text := ast.get_docstring(node)) and _CLAUSE.match(text):
                places.append(f"{name}:{getattr(node, 'lineno', 1)}")
    return places


def broad_excepts() -> list[str]:
    """Return the places that catch `Exception` or everything."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
    ]


def production_lines() -> int:
    """Return the number of lines of all production modules."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in modules())


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _path_words(path: Path) -> list[str]:
    package = next(folder for folder in PACKAGES.values() if path.is_relative_to(folder))
    return re.split(r"[/_]", path.relative_to(package).with_suffix("").as_posix())


def _leads_to(words: list[str], term: list[str]) -> bool:
    """Return whether consecutive parts of a path begin with the words of a term."""
    return any(
        all(word.startswith(part) for word, part in zip(words[start:], term, strict=False))
        and len(words) - start >= len(term)
        for start in range(len(words))
    )


class QueryTrace:
    """Records the project's files and types that run while a request is answered, in all threads.

    Modules are recorded when one of their functions is called; a type when it is constructed.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.types: set[str] = set()
        self.recording = False
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or not self.recording or _is_timer(frame):
            return
        path = Path(frame.f_code.co_filename)
        if any(path.is_relative_to(folder) for folder in PACKAGES.values()):
            self.files.add(str(path.relative_to(ROOT)))
        if frame.f_code.co_name == "__init__":
            kind = type(frame.f_locals.get("self"))
            if kind.__module__.partition(".")[0] in PACKAGES:
                self.types.add(kind.__name__)


def _is_timer(frame: FrameType | None) -> bool:
    """Return whether a call comes from the server's periodic tick, which no query causes."""
    while frame is not None:
        if frame.f_code.co_name == "on_tick":
            return True
        frame = frame.f_back
    return False


def trace_text_query() -> QueryTrace:
    """Answer text queries in a service of this process, and record what the second one runs."""
    from tusou_service import factory, supervisor  # noqa: PLC0415 - only this figure needs a service
    from tusou_service.settings import Settings  # noqa: PLC0415

    trace = QueryTrace()
    with tempfile.TemporaryDirectory() as folder:
        data, bundle = Path(folder, "data"), Path(folder, "bundle")
        size = ["--items", "200", "--queries", "20", "--splits", "test"]
        _run_tusou("toy", str(data), *size)
        _run_tusou("index", str(data / "MR_test_imgs.tsv"), "--out", str(bundle), "--model", "demo")
        settings = Settings(bundle=bundle, port=_free_port(), drain_s=0)
        client = threading.Thread(target=_send_queries, args=(settings.port, trace))
        client.start()
        supervisor.run(settings, partial(factory.make_parts, keys=None))
        client.join()
    return trace


def _send_queries(port: int, trace: QueryTrace) -> None:
    """Wait until the service is ready, send a first and a recorded query, and stop the service."""
    while _post(port, "红色连衣裙") != 200:
        sleep(0.1)
    trace.recording = True
    _post(port, "纯棉碎花吊带裙")
    trace.recording = False
    os.kill(os.getpid(), signal.SIGTERM)


def _post(port: int, query: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            "POST",
            "/search",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        response.read()
        return response.status
    except OSError:
        return 0
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _run_tusou(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tusou", *words], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Print the figures, and with `--list` what they count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trace", action="store_true", help="trace a text query as well")
    parser.add_argument("--list", action="store_true", help="list what is counted")
    options = parser.parse_args()
    repeated, missing = repeated_classes(), missing_terms()
    clauses, excepts = clause_docstrings(), broad_excepts()
    print(f"terms that lead to a file: {len(TERMS) - len(missing)} of {len(TERMS)}")
    print(f"class names in two or more modules: {len(repeated)}")
    print(f"docstrings that are a clause: {len(clauses)}")
    print(f"production lines: {production_lines():,}")
    print(f"broad excepts: {len(excepts)}")
    if options.list:
        print("missing terms:", *missing, sep="\n  ")
        print(
            "repeated classes:", *(f"{n}: {', '.join(w)}" for n, w in repeated.items()), sep="\n  "
        )
        print("clauses:", *clauses, sep="\n  ")
        print("broad excepts:", *excepts, sep="\n  ")
    if options.trace:
        trace = trace_text_query()
        print(f"files a text query passes: {len(trace.files)}")
        print(f"types constructed on the way: {len(trace.types)}")
        if options.list:
            print("files:", *sorted(trace.files), sep="\n  ")
            print("types:", *sorted(trace.types), sep="\n  ")


if __name__ == "__main__":
    main()
