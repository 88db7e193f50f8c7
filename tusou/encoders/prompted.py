"""A text encoder that puts every text into prompt templates first."""

from collections.abc import Sequence

from tusou.core.arrays import Vectors
from tusou.core.unit_vectors import mean_of_units
from tusou.encoders.base import TextEncoder, Tokens
from tusou.text.prompt import check_prompt, fill_prompt


class PromptedEncoder:
    """Wraps an encoder; each text replaces `{query}` in each template. InvalidRequest.

    With several templates, a text's vector is the mean of its unit vectors, scaled to unit length,
    and its row of `Tokens` holds the tokens under all of them. The prompt counts towards the
    model's context.
    """

    def __init__(self, inner: TextEncoder, *templates: str) -> None:
        self.inner = inner
        self._templates = tuple(map(check_prompt, templates))
        self.dim, self.backend, self.precision = inner.dim, inner.backend, inner.precision

    def prepare(self, texts: Sequence[str]) -> Tokens:
        each = len(self._templates)
        filled = [fill_prompt(template, text) for text in texts for template in self._templates]
        tokens = self.inner.prepare(filled)
        cut = tokens.truncated
        truncated = tuple(any(cut[start : start + each]) for start in range(0, len(cut), each))
        return Tokens(tokens.ids.reshape(len(texts), each * tokens.ids.shape[1]), truncated)

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        return self.inner.unknown_share(texts)  # of the text itself, whatever the prompt says

    def warm_up(self) -> None:
        self.inner.warm_up()

    def encode(self, tokens: Tokens) -> Vectors:
        count, each = len(tokens.ids), len(self._templates)
        ids = tokens.ids.reshape(count * each, tokens.ids.shape[1] // each)
        vectors = self.inner.encode(Tokens(ids, ())).reshape(count, each, self.dim)
        return mean_of_units([vectors[:, number] for number in range(each)])
