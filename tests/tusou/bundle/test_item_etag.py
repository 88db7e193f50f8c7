"""ETags of items and the header If-Match."""

import numpy as np
import pytest

from tusou.bundle.item_etag import etag_of, parse_if_match

VECTOR = np.array([0.6, 0.8], np.float32)


def test_an_etag_depends_on_content_vector_and_attributes() -> None:
    etags = {
        etag_of(3, 7, VECTOR, {"price": 5}),
        etag_of(4, 7, VECTOR, {"price": 5}),
        etag_of(3, 8, VECTOR, {"price": 5}),
        etag_of(3, 7, -VECTOR, {"price": 5}),
        etag_of(3, 7, VECTOR, {"price": 6}),
    }
    assert len(etags) == 5
    assert etag_of(3, 7, VECTOR, {"price": 5.0}) in etags


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", {"*"}),
        (" * ", {"*"}),
        ('"a"', {"a"}),
        ("a", {"a"}),
        ('W/"a"', {"a"}),
        ('"a", "b"', {"a", "b"}),
        ('"a","b" ,W/"c"', {"a", "b", "c"}),
        ('"a", *', {"a"}),
        ('"*"', set()),
        ("", {""}),
    ],
)
def test_if_match_is_a_list_of_etags_or_an_asterisk(header: str, expected: set[str]) -> None:
    assert parse_if_match(header) == expected
