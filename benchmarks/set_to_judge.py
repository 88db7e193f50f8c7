"""Sets to judge for the benchmarks of judging: every query with every image of a small pool."""

from pathlib import Path

from tusou_indexer.build import BuildSpec, build
from tusou_lab.evalset.drawing import Drawing
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import pool_systems
from tusou_lab.evalset.set_folder import SetFolder
from tusou_lab.toy.products import draw_facts
from tusou_lab.toy.scene import draw_image

from benchmarks.stock import queries
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress


def draw_pool(folder: Path, images: int) -> Path:
    """Draw images of products and index them with the demo model; return the bundle."""
    files = folder / "images"
    files.mkdir()
    for number in range(images):
        product, rng = draw_facts(7, "test", number)
        (files / f"{number}.jpg").write_bytes(draw_image([product], rng))
    build(BuildSpec(str(files), "demo", workers=1), folder / "bundle", NoProgress())
    return folder / "bundle"


def write_set(folder: Path, bundle: Path, count: int) -> SetFolder:
    """Write a set of `count` queries, in which every image of the pool is to judge for each."""
    created = SetFolder(folder)
    planned = [
        PlannedQuery(number, text, None, "short", "template")
        for number, text in enumerate(queries(count), 1)
    ]
    created.create({"domain": {"name": "drawn"}, "seed": 1}, planned, force=False)
    images = Bundle.open(bundle).item_count
    everything = Drawing(depth=images, certain=images, ranked=0, unranked=1, seed=1)
    pool_systems(created, bundle, [bundle], everything, NoProgress())
    return created
