"""Averages of models: uniform, greedy, and blended with another, such as their start.

Model soups: M. Wortsman et al., 2022 (arXiv 2203.05482). Blending a fine-tuned model with its
start: WiSE-FT, M. Wortsman et al., 2021 (arXiv 2109.01903).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tusou import __version__
from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import InvalidRequest, OutputExists
from tusou.core.files import sha256_of
from tusou.encoders import Weights, find_weights
from tusou.encoders.devices import pick_device
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.soup_record import SoupMember, SoupRecord, write_soup
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.metrics import Values
from tusou_lab.soup.average import State, check_same_shape, weighted_sum
from tusou_lab.soup.blend import SHARES, Blend
from tusou_lab.soup.scorer import SoupScorer
from tusou_lab.soup.settings import check_same_settings, shared_prompt
from tusou_lab.train.files import check_kind
from tusou_lab.train.models import ARCHITECTURE, TrainableModel, open_trainable

Method = Literal["greedy", "uniform"]


@dataclass(frozen=True, slots=True)
class SoupReport:
    """The result of `make_soup`."""

    record: SoupRecord
    best: SoupMember | None  # the best single model, if there was data to score on
    gain: tuple[float, float, float] | None  # over it, and its 95 % interval, in points


def make_soup(
    models: Sequence[str],
    out: Path,
    *,
    method: Method = "greedy",
    data: str | None = None,
    blend: Blend | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> SoupReport:
    """Average models of one architecture, and write the result in the form of the first.

    `uniform` takes all of them; `greedy` begins with the best on `data` and adds each next one that
    does not lower mean_recall. `data` is scored on its split `valid` unless it names another.
    Queries are put into the prompt that the models were trained with. Raises InvalidRequest for
    models that cannot be averaged and for a choice without data, and OutputExists.
    """
    _check(models, out, method, data, blend, force=force)
    bar = progress or NoProgress()
    first = open_trainable(models[0])
    check_kind(out, first.traits.saved_as)
    names = [*models, *([blend.model] if blend else [])]
    weights = {name: find_weights(name) for name in names}
    for name in names[1:]:
        check_same_settings(weights[names[0]], weights[name])
    prompt = shared_prompt(weights, blend.model if blend else None)
    target = torch.device(pick_device(device))
    scorer = None
    if data is not None:
        scorer = SoupScorer(data, first, prompt, out.parent / ".pixels", target, bar)
    soup = _Soup(first.network.state_dict(), scorer, prompt, bar)
    soup.read(weights)
    shares = soup.greedy(models) if method == "greedy" else dict.fromkeys(models, 1 / len(models))
    if blend is not None:
        shares = soup.blend(shares, blend)
    state = soup.average(shares)
    mean = None if scorer is None else soup.score(shares)
    _save(first, state, out)
    return soup.report(method, shares, mean, out)


class _Soup:
    """The members with their scores, and the averages of them."""

    def __init__(self, first: State, scorer: SoupScorer | None, prompt: str, bar: Progress) -> None:
        self._first, self._scorer, self._prompt, self._bar = first, scorer, prompt, bar
        self._digests: dict[str, str] = {}
        self._alone: dict[str, Values] = {}

    def read(self, models: Mapping[str, Weights]) -> None:
        """Score each model alone, if there is data."""
        self._bar.begin("scoring models", len(models))
        first = next(iter(models))
        for name, weights in models.items():
            self._digests[name] = weights.digest
            if self._scorer is not None:
                state = _state(name)
                check_same_shape(first, self._first, name, state)
                self._alone[name] = self._scorer.score(state, as_saved=False)
            self._bar.advance()

    def average(self, shares: dict[str, float]) -> dict[str, Tensor]:
        """Return the weights of an average; models with the share 0 are not read."""
        return weighted_sum(_states(shares))

    def score(self, shares: dict[str, float]) -> Values:
        """Return each query's mean of hit@1, 5 and 10 with an average, as it is saved."""
        assert self._scorer is not None
        return self._scorer.score(self.average(shares), as_saved=True)

    def greedy(self, names: Sequence[str]) -> dict[str, float]:
        """Return the shares of a greedy soup; a single model is one without being scored."""
        if len(names) == 1:
            return {names[0]: 1.0}
        order = sorted(names, key=lambda name: -float(self._alone[name].mean()))
        members, best = order[:1], float(self._alone[order[0]].mean())
        self._bar.begin("adding models", len(order) - 1)
        for name in order[1:]:
            larger = [*members, name]
            mean = float(self.score(dict.fromkeys(larger, 1 / len(larger))).mean())
            if mean >= best:
                members, best = larger, mean
            self._bar.advance()
        return {name: 1 / len(members) if name in members else 0.0 for name in names}

    def blend(self, shares: dict[str, float], blend: Blend) -> dict[str, float]:
        """Return the shares of an average of the soup with another model."""
        if blend.share is not None:
            return _blended(shares, blend.model, blend.share)
        self._bar.begin("blending", len(SHARES))
        best, highest = shares, -1.0
        for share in SHARES:  # on a tie, more of the other model, which is trusted elsewhere too
            tried = _blended(shares, blend.model, share)
            mean = float(self.score(tried).mean())
            if mean >= highest:
                best, highest = tried, mean
            self._bar.advance()
        return best

    def report(
        self, method: Method, shares: dict[str, float], values: Values | None, out: Path
    ) -> SoupReport:
        """Write the record beside the model, and compare the average with the best member."""
        members = tuple(
            SoupMember(
                model=name,
                sha256=self._digests[name],
                share=round(share, 6),
                mean_recall=_percent(self._alone.get(name)),
            )
            for name, share in shares.items()
        )
        record = SoupRecord(
            tool=f"tusou {__version__}",
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
            method=method,
            sha256=ModelFolder(out).digest if out.is_dir() else sha256_of(out),
            members=members,
            valid=self._scorer.record if self._scorer else None,
            mean_recall=_percent(values),
            prompt=self._prompt,
        )
        write_soup(out, record)
        if values is None:
            return SoupReport(record, None, None)
        best = max(members, key=lambda member: member.mean_recall or 0.0)
        difference = 100 * (values - self._alone[best.model])
        low, high = intervals({"gain": difference})["gain"]
        return SoupReport(record, best, (float(difference.mean()), low, high))


def _check(
    models: Sequence[str],
    out: Path,
    method: Method,
    data: str | None,
    blend: Blend | None,
    *,
    force: bool,
) -> None:
    if out.exists() and not force:
        raise OutputExists(f"{out} exists: choose another --out or pass --force")
    if len(set(models)) < len(models):
        raise InvalidRequest("Name each model of a soup once.")
    if len(models) < 2 and blend is None:
        raise InvalidRequest("Give two models or more, or one model and --blend MODEL.")
    if blend is not None and blend.model in models:
        raise InvalidRequest(f"{blend.model} is among the models already: leave out --blend.")
    if any(name.endswith(ARCHITECTURE) for name in models):
        raise InvalidRequest("An architecture has random weights and cannot be averaged.")
    chosen = "the greedy method" if method == "greedy" and len(models) > 1 else ""
    chosen = chosen or ("--blend without a share" if blend and blend.share is None else "")
    if data is None and chosen:
        raise InvalidRequest(
            f"{chosen} chooses by mean_recall: give the data to measure it on with --data "
            "DATA#valid"
        )


def _blended(shares: dict[str, float], model: str, share: float) -> dict[str, float]:
    return {name: (1 - share) * value for name, value in shares.items()} | {model: share}


def _state(name: str) -> State:
    return open_trainable(name).network.state_dict()


def _states(shares: dict[str, float]) -> Iterator[tuple[str, float, State]]:
    for name, share in shares.items():
        if share:
            yield name, share, _state(name)


def _percent(values: Values | None) -> float | None:
    return None if values is None else round(100 * float(np.mean(values)), 4)


def _save(model: TrainableModel, state: dict[str, Tensor], out: Path) -> None:
    model.network.load_state_dict(state)
    model.network.cpu()
    out.parent.mkdir(parents=True, exist_ok=True)
    model.save(out, 0, 0)
