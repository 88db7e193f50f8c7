"""Time to tokenise a query, by cn_clip's tokenizer and by ours.

python -m benchmarks.tokens

`pytest -m slow tests/tusou/encoders/test_tokenizer.py` shows that both return the same ids for
100,000 hostile texts and every character of Unicode.
"""

from collections.abc import Callable
from functools import partial

from cn_clip.clip import tokenize

from benchmarks.record import record
from benchmarks.stock import queries
from benchmarks.timing import compare
from tusou.encoders.tokenizer import ClipTokenizer

_TEXTS = 2048


def main() -> None:
    """Run and record."""
    record("tokens", measure_tokens(rounds=15))


def measure_tokens(rounds: int) -> dict[str, object]:
    """Tokenise the same texts one at a time, and 32 at a time."""
    ours, texts = ClipTokenizer(), queries(_TEXTS)

    def in_batches(work: Callable[[list[str]], object], size: int) -> None:
        for start in range(0, _TEXTS, size):
            work(texts[start : start + size])

    return {
        f"batch {size}": compare(
            {
                "cn_clip": partial(in_batches, tokenize, size),
                "tusou": partial(in_batches, ours.prepare, size),
            },
            "cn_clip",
            rounds,
            _TEXTS,
        )
        for size in (1, 32)
    }


if __name__ == "__main__":
    main()
