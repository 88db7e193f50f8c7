"""The commands that generate a report again, to be pasted in its folder."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from shlex import quote

from tusou.bundle.bundle import Bundle
from tusou.data import split_source
from tusou_lab.improve.ladder import Ladder
from tusou_lab.report.inputs import ReportData, ReportRun, ReportSpec
from tusou_lab.sweep.run import SweepResult

_PROMPTS = "templates.txt"


class CommandWriter:
    """Writes commands with paths as they are seen from the folder of the report."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def commands(
        self,
        spec: ReportSpec,
        data: ReportData,
        sweep: SweepResult | None,
        ladder: Ladder | None,
        out: Path,
    ) -> Iterator[str]:
        """Yield every command, in the order to run them."""
        places = {bundle.version: path for path, bundle in data.bundles.items()}
        for path, bundle in data.bundles.items():
            if prompts := bundle.manifest.prompts:
                lines = " ".join(map(quote, prompts))
                yield f"printf '%s\\n' {lines} > {_PROMPTS}"
            yield self._index(bundle, path)
        for run in data.runs:
            yield from self._search(run, places)
        if spec.sweep and sweep and sweep.bundle in places:
            words = [self._path(places[sweep.bundle]), "--answers", self._data(spec.answers[0])]
            words += [] if sweep.base["interpret"] else ["--no-interpret"]
            yield _command("sweep", *words, "--out", self._path(spec.sweep), "--force")
        if spec.ladder and ladder and ladder.bundle in places:
            words = [self._path(places[ladder.bundle]), "--answers", self._data(ladder.answers)]
            words += [*ladder.options, "--out", self._path(spec.ladder), "--force"]
            yield _command("improve", *words)
        yield self._report(spec, out)

    def _index(self, bundle: Bundle, path: Path) -> str:
        manifest = bundle.manifest
        source, models = manifest.source, manifest.model.parts
        weights = ",".join(f"{model.weight:g}" for model in models)
        split = f"#{source.split}" if source.split else ""
        index = str(manifest.build.get("index", "auto"))
        return _command(
            "index",
            self._path(Path(source.path)) + split,
            *("--out", self._path(path)),
            *chain.from_iterable(("--model", self._model(model.location)) for model in models),
            *(("--weights", weights) if manifest.model.members else ()),
            *(("--index", index) if index != "auto" else ()),
            *(("--prompt", manifest.prompt) if manifest.prompt else ()),
            *(("--prompt-file", _PROMPTS) if manifest.prompts else ()),
            *(("--views", manifest.views) if manifest.views != "none" else ()),
        )

    def _model(self, location: str) -> str:
        return self._path(Path(location)) if Path(location).exists() else location

    def _search(self, run: ReportRun, places: dict[str, Path]) -> Iterator[str]:
        if run.bundle is None or run.path.is_dir():
            return
        bundle, out = self._path(places[run.bundle.version]), self._path(run.path)
        answers, header = self._data(run.answers), run.scored.run.header
        if header is None:
            yield _command("serve", bundle) + " &"
            yield _command("replay", answers, "--out", out)
            return
        depth = header.settings.get("top_k", run.scored.evaluation.top_k)
        options = ["--answers", answers, "--top-k", str(depth)]
        options += [] if run.interpreted else ["--no-interpret"]
        yield _command("evaluate", bundle, *options, "--save", out, "--force")

    def _report(self, spec: ReportSpec, out: Path) -> str:
        words = list(map(self._path, spec.runs))
        for answers in spec.answers:
            words += ["--answers", self._data(answers)]
        for path in spec.bundles:
            words += ["--bundle", self._path(path)]
        files = {"--sweep": spec.sweep, "--ladder": spec.ladder, "--notes": spec.notes}
        for option, file in files.items():
            words += [option, self._path(file)] if file else []
        words += ["--title", spec.title] if spec.title else []
        words += [] if spec.interpret else ["--no-interpret"]
        words += ["--lang", spec.language, "--examples", str(spec.examples)]
        return _command("report", *words, "--out", self._path(out), "--force")

    def _data(self, source: str) -> str:
        path, split = split_source(source)
        return self._path(path) + (f"#{split}" if split else "")

    def _path(self, path: Path) -> str:
        return os.path.relpath(path.resolve(), self._folder)


def _command(verb: str, *words: str) -> str:
    return " ".join(["tusou", verb, *map(quote, words)])
