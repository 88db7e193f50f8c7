"""A tokenizer that puts texts into a prompt template, as a bundle with that prompt does."""

from collections.abc import Callable, Sequence

from tusou.encoders.base import Tokens
from tusou.text.prompt import check_prompt, fill_prompt


class PromptedTokenizer:
    """Tokenises texts inside a template with `{query}`, or as they are if it is empty."""

    def __init__(self, tokenize: Callable[[Sequence[str]], Tokens], prompt: str) -> None:
        """Take a model's tokenizer; InvalidRequest for a template without `{query}`."""
        self._tokenize = tokenize
        self._prompt = check_prompt(prompt) if prompt else "{query}"

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of the texts (n, width)."""
        return self._tokenize([fill_prompt(self._prompt, text) for text in texts])
