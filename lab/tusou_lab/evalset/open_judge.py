"""Opens the judges of a set that are models, and names the systems that a judge favours."""

from dataclasses import replace
from pathlib import Path

from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadDataset
from tusou.core.key_file import read_key_lines
from tusou_lab.evalset.clip_judge import ClipJudge, Thresholds
from tusou_lab.evalset.image_contents import find_other_image
from tusou_lab.evalset.judge import JUDGMENTS, PAIRS
from tusou_lab.evalset.llm_judge import LlmJudge, LlmSpec, judge_name
from tusou_lab.evalset.set_folder import SetFolder


def open_llm_judge(
    folder: SetFolder, bundle: Bundle, spec: LlmSpec, key_file: Path | None
) -> LlmJudge:
    """Return the judge; BadDataset for a pool of texts, InputError for an unreadable key."""
    if bundle.items != "images":
        raise BadDataset("a vision language model judges images, but the pool holds texts")
    keys = read_key_lines(key_file) if key_file else []
    spec = replace(spec, key=keys[0].key if keys else None)
    guideline = folder.plan()["domain"].get("guideline")
    name = judge_name(spec, guideline)
    return LlmJudge(
        spec,
        bundle,
        guideline,
        folder.guidelines(name),
        folder.judgments(JUDGMENTS),
        folder.keep_guideline,
    )


def open_clip_judge(
    folder: SetFolder, bundle: Bundle, root: Path | None, thresholds: Thresholds
) -> ClipJudge:
    """Return the judge by a bundle, the pooled one if not given; errors as for `ClipJudge`.

    Raises BadDataset also for a bundle with other images under the ids of the pool.
    """
    if bundle.items != "images":
        raise BadDataset("--judge clip judges images, but the pool holds texts")
    root = root or Path(folder.pool()["bundle"])
    judge = ClipJudge(root, thresholds)
    items = dict.fromkeys(pair.item_id for pair in folder.pairs(PAIRS))
    if (item := find_other_image(bundle, judge.bundle, items)) is not None:
        raise BadDataset(
            f"{root} has another image for the item {item} than the pool: judge with a bundle of "
            "the same images"
        )
    return judge


def favoured_systems(folder: SetFolder, judge: ClipJudge) -> list[str]:
    """Return the pooled systems that have a model of the judge, which favours their results."""
    models = folder.pool().get("models", {})
    return [name for name, digests in models.items() if judge.models.intersection(digests)]
