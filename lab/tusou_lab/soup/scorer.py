"""Scores given weights of a model on the split that a soup is chosen on."""

from contextlib import nullcontext
from pathlib import Path

import torch

from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset
from tusou.data import open_dataset
from tusou.encoders.training_record import SplitRecord
from tusou.evaluation.metrics import Values, per_query
from tusou_lab.soup.average import State
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import TrainableModel
from tusou_lab.train.prompted import PromptedTokenizer
from tusou_lab.train.rounding import rounded_weights
from tusou_lab.train.validate import rank


class SoupScorer:
    """Ranks the images of a split for its queries, with the weights that it is given."""

    def __init__(
        self,
        data: str,
        model: TrainableModel,
        prompt: str,
        cache: Path,
        device: torch.device,
        bar: Progress,
    ) -> None:
        """Take a dataset, of which the split `valid` is used unless it names another.

        `prompt` is the template that queries are put into, empty for none.
        """
        dataset = open_dataset(data)
        encoder = SplitEncoder(model.traits.transform, PromptedTokenizer(model.tokenize, prompt))
        split = dataset.split(dataset.only or "valid")
        self._split = load_split(dataset, split, encoder, cache, bar)
        if self._split.record.images < 2:
            raise BadDataset(
                f"{self._split.record.source} has only one image, which every model finds: "
                "give a split with more images"
            )
        self._model, self._device = model, device

    @property
    def record(self) -> SplitRecord:
        """The data that is scored."""
        return self._split.record

    def score(self, state: State, *, as_saved: bool) -> Values:
        """Return the mean of hit@1, hit@5 and hit@10 of each query, with these weights.

        With `as_saved`, they are rounded first to the digits that the model is saved with.
        """
        self._model.network.load_state_dict(dict(state))
        self._model.network.to(self._device)
        with rounded_weights(self._model) if as_saved else nullcontext():
            values = per_query(rank(self._model, self._split, self._device))
        mean: Values = (values["hit@1"] + values["hit@5"] + values["hit@10"]) / 3
        return mean
