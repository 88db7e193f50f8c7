"""Locations of bundles: folders, and addresses of stores."""

from pathlib import Path

import pytest

from tusou.bundle.location import S3Address, parse_location
from tusou.core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("bundle", Path("bundle")),
        ("/srv/店铺/bundle", Path("/srv/店铺/bundle")),
        ("s3:/shop/bundle", Path("s3:/shop/bundle")),
        ("s3://shop/bundles/clothing", S3Address("shop", "bundles/clothing")),
        ("S3://shop/店铺/", S3Address("shop", "店铺")),
        ("s3://shop", S3Address("shop", "")),
    ],
)
def test_a_location_is_a_folder_or_an_address(text: str, location: object) -> None:
    assert parse_location(text) == location


@pytest.mark.parametrize(
    "text",
    [
        "http://shop/bundle",
        "file:///srv/bundle",
        "s3://",
        "s3:///bundle",
        "s3://shop/../other",
        "s3://shop/a//b",
        "s3://shop/a\nb",
        "s3://a key@shop/bundle",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^a bundle is a folder or an address such as s3://B"):
        parse_location(text)


def test_an_address_is_written_as_it_is_read() -> None:
    assert str(parse_location("s3://shop/bundles/a/")) == "s3://shop/bundles/a"
    assert str(parse_location("s3://shop/")) == "s3://shop"
