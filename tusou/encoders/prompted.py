"""A text encoder that wraps every query in a prompt template."""

from collections.abc import Sequence

from tusou.core.arrays import Vectors
from tusou.encoders.base import Passes, TextEncoder, Tokens
from tusou.text.prompt import check_prompt, fill_prompt


class PromptedEncoder:
    """The inner encoder, given `template` with the text in place of `{query}`."""

    def __init__(self, inner: TextEncoder, template: str) -> None:
        self._inner = inner
        self._template = check_prompt(template)
        self.dim, self.backend, self.precision = inner.dim, inner.backend, inner.precision

    def prepare(self, texts: Sequence[str]) -> Tokens:
        """Fill the template with each text and tokenise it; the prompt counts as context."""
        return self._inner.prepare([fill_prompt(self._template, text) for text in texts])

    def warm_up(self) -> None:
        """Warm the inner encoder up."""
        self._inner.warm_up()

    def encode(self, tokens: Tokens) -> Vectors:
        """Encode what `prepare` returned."""
        return self._inner.encode(tokens)

    @property
    def passes(self) -> Passes | None:
        """Give the inner encoder's: by then the prompt is in the tokens."""
        return self._inner.passes
