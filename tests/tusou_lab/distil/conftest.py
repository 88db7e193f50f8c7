"""Fixtures of the tests of distillation: queries, and a table of the tiny model."""

from itertools import product
from pathlib import Path

import pytest
from tusou_lab.distil.run import DistilSpec, distil

from tests.tusou_lab.distil.query_log import write_queries
from tusou.encoders.student.folder import Student

COLOURS = ("红色", "黑色", "白色", "蓝色", "绿色", "粉色", "灰色", "黄色", "紫色", "棕色")
THINGS = ("连衣裙", "皮鞋", "台灯", "沙发", "水杯", "背包", "手表", "雨伞", "耳机", "地毯")


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 200 queries of two or three words."""
    texts = [colour + thing for colour, thing in product(COLOURS, THINGS)]
    texts += [f"新款{text}" for text in texts]
    return write_queries(tmp_path_factory.mktemp("log") / "log.jsonl", texts)


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 30 judged queries, half of them in the log too."""
    texts = [f"{thing}{colour}" for colour, thing in zip(COLOURS, THINGS, strict=True)]
    texts += [f"新款{colour}{THINGS[0]}" for colour in COLOURS]
    return write_queries(tmp_path_factory.mktemp("judged") / "test.jsonl", texts, answers=True)


@pytest.fixture(scope="session")
def table(
    tiny_bundle: Path, log: Path, judged: Path, tmp_path_factory: pytest.TempPathFactory
) -> Student:
    """Distil a table of the tiny model."""
    out = tmp_path_factory.mktemp("students") / "table"
    spec = DistilSpec((str(log),), "table", answers=(str(judged),), composed=50, device="cpu")
    return distil(tiny_bundle, spec, out)
