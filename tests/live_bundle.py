"""Five items with attributes, for the tests of live changes."""

from benchmarks.vector_bundle import unit_vectors
from tusou.attributes.schema import Attributes, AttributeSchema

IDS = ["1.jpg#zhc#0", "1.jpg#zhc#1", "连衣裙.jpg", "0007", "10"]
VECTORS = unit_vectors(5, seed=1)
SCHEMA: AttributeSchema = {"title": "string", "price": "number", "stock": "integer"}
ATTRIBUTES: list[Attributes] = [
    {"title": "碎花连衣裙", "price": 99.0, "stock": 3},
    {"title": "碎花连衣裙", "price": 129.5},
    {"title": "皮鞋", "stock": 0},
    {},
    {"title": "皮鞋", "price": 300.0, "stock": 12},
]
CONTENTS = [b"\xff\xd8\xffone", b"\xff\xd8\xfftwo", b"\x89PNG\r\n\x1a\nthree", b"four", b"five"]
