"""Bundles of drawn photos, and sets of them that a model judges."""

from collections.abc import Sequence
from pathlib import Path

from drawing import image_bytes
from tusou_indexer.build import BuildSpec, build
from tusou_lab.evalset.judge import judge_set
from tusou_lab.evalset.llm_judge import LlmJudge, LlmSpec
from tusou_lab.evalset.open_judge import open_llm_judge
from tusou_lab.evalset.set_folder import SetFolder

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress


def build_photos(folder: Path, seeds: Sequence[int]) -> Path:
    """Index a photo for each seed with the demo model, equal ones for equal seeds."""
    (folder / "images").mkdir()
    for number, seed in enumerate(seeds):
        (folder / "images" / f"包-{number}.jpg").write_bytes(image_bytes(seed, side=40))
    build(BuildSpec(str(folder / "images"), "demo", workers=1), folder / "bundle", NoProgress())
    return folder / "bundle"


def judge(
    folder: SetFolder, bundle: Path, url: str, repeats: int = 1, **options: float
) -> LlmJudge:
    """Judge a set by the model at `url`; return the judge, with what it cost."""
    spec = LlmSpec(url, "小模型", in_flight=4, **options)  # type: ignore[arg-type]
    chosen = open_llm_judge(folder, Bundle.open(bundle), spec, None)
    try:
        judge_set(folder, chosen, repeats, NoProgress())
    finally:
        chosen.close()
    return chosen
