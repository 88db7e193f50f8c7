"""A text encoder that puts every text into a prompt template first."""

from collections.abc import Sequence

from tusou.core.arrays import Vectors
from tusou.encoders.base import TextEncoder, Tokens
from tusou.text.prompt import check_prompt, fill_prompt


class PromptedEncoder:
    """Wraps an encoder; each text replaces `{query}` in the template. InvalidRequest for a bad one.

    The prompt counts towards the model's context.
    """

    def __init__(self, inner: TextEncoder, template: str) -> None:
        self.inner = inner
        self._template = check_prompt(template)
        self.dim, self.backend, self.precision = inner.dim, inner.backend, inner.precision

    def prepare(self, texts: Sequence[str]) -> Tokens:
        return self.inner.prepare([fill_prompt(self._template, text) for text in texts])

    def warm_up(self) -> None:
        self.inner.warm_up()

    def encode(self, tokens: Tokens) -> Vectors:
        return self.inner.encode(tokens)
