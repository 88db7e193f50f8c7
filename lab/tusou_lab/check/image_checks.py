"""Checks of images: unusable, misnamed, of extreme shape, tiny or duplicated."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tusou.core.ids import Failure
from tusou.images.formats import IMAGE_FORMATS
from tusou_lab.check.findings import FindingCode, Findings, Severity
from tusou_lab.check.image_scan import ScannedImage

# Reasons that point to an image made to exhaust memory, or to crash the decoder.
_BOMB = re.compile(
    "image (over|of|side over|needs too much|takes too long|crashes)|(JPEG|PNG) of over"
)
_MIN_SIDE = 16  # pixels
_MAX_ASPECT = 5.0
_SUFFIXES = {image_format.name: image_format.suffixes for image_format in IMAGE_FORMATS}
_CONTAINER_ENDINGS = {".tsv", ".tar", ""}  # one file with many images
_MAX_SIZES = 12


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Counts over the images of a split."""

    rows: int
    usable: int
    formats: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]  # `224x224` -> images, the most frequent ones
    sides: dict[int, int]  # longer side, rounded down to a power of two -> images
    kilobytes: dict[int, int]  # file size, rounded down to a power of two -> images


def check_images(
    split: str,
    images: Sequence[ScannedImage],
    failures: Sequence[Failure],
    first: int,
    findings: Findings,
) -> ImageFacts:
    """Add findings about a split's images; `first` is the position of its first image."""
    _check_failures(split, failures, findings)
    _check_shapes(split, images, first, findings)
    _check_preparation(split, images, first, findings)
    prints = [image.fingerprint for image in images]
    sizes = _count(f"{image.width}x{image.height}" for image in prints)
    return ImageFacts(
        rows=len(images) + len(failures),
        usable=len(images),
        formats=_count(image.format for image in prints),
        modes=_count(image.mode for image in prints),
        sizes=dict(list(sizes.items())[:_MAX_SIZES]),
        sides=_count_powers(max(image.width, image.height) for image in prints),
        kilobytes=_count_powers(max(1, image.row.length // 1024) for image in images),
    )


def _check_failures(split: str, failures: Sequence[Failure], findings: Findings) -> None:
    examples: dict[str, list[str]] = {}
    for failure in sorted(failures, key=lambda failure: failure.line):
        location = failure.file or f"line {failure.line}"
        example = location if failure.item_id is None else f"{location}: {failure.item_id}"
        examples.setdefault(failure.reason, []).append(example)
    for reason, shown in examples.items():
        code: FindingCode = "bombs" if _BOMB.match(reason) else "unusable_images"
        findings.add(
            "error", "repeated_ids" if reason == "duplicate id" else code, split, shown, reason
        )


def _check_shapes(
    split: str, images: Sequence[ScannedImage], first: int, findings: Findings
) -> None:
    misnamed, extreme, tiny = [], [], []
    for position, image in enumerate(images, start=first):
        facts, ending = image.fingerprint, image.path.suffix.lower()
        if ending not in _CONTAINER_ENDINGS and ending not in _SUFFIXES.get(
            facts.format, (ending,)
        ):
            misnamed.append((position, f"{image.path.name} is {facts.format}"))
        shorter, longer = sorted((facts.width, facts.height))
        example = f"{image.row.item_id}: {facts.width} x {facts.height}"
        if longer > _MAX_ASPECT * shorter:
            extreme.append((position, example))
        elif shorter < _MIN_SIDE:
            tiny.append((position, example))
    checks: tuple[tuple[FindingCode, list[tuple[int, str]], str], ...] = (
        ("wrong_endings", misnamed, "files whose ending names another format"),
        ("extreme_shapes", extreme, f"images with one side over {_MAX_ASPECT:g} times the other"),
        ("tiny_images", tiny, f"images with a side under {_MIN_SIDE} pixels"),
    )
    for code, cases, message in checks:
        examples = [example for _, example in cases]
        positions = [position for position, _ in cases]
        findings.add("warning", code, split, examples, message, images=positions)


def _check_preparation(
    split: str, images: Sequence[ScannedImage], first: int, findings: Findings
) -> None:
    """Add findings about images that `tusou index --prepare` changes, or libraries warn of."""
    turned, transparent, warned = [], [], []
    for position, image in enumerate(images, start=first):
        facts, item_id = image.fingerprint, image.row.item_id
        if facts.turned:
            turned.append((position, item_id))
        if facts.transparent:
            transparent.append((position, item_id))
        if facts.warning:
            warned.append((position, f"{item_id}: {facts.warning}"))
    checks: tuple[tuple[Severity, FindingCode, list[tuple[int, str]], str], ...] = (
        ("warning", "turned_images", turned, "images that --prepare upright would turn"),
        ("warning", "transparent_images", transparent, "images that --prepare white would change"),
        ("note", "library_warnings", warned, "images that a library reads with a warning"),
    )
    for severity, code, cases, message in checks:
        examples = [example for _, example in cases]
        positions = [position for position, _ in cases]
        findings.add(severity, code, split, examples, message, images=positions)


def check_duplicates(
    images: Sequence[ScannedImage],
    same: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    findings: Findings,
) -> None:
    """Add findings about groups of equal (`same`) and similar (`near`) images within a split.

    Similar images of a split count if the first of their group, which they look like, is in it.
    """
    checks: tuple[tuple[FindingCode, Sequence[Sequence[int]], str], ...] = (
        ("same_bytes", same, "copies of another image of their split"),
        ("near_duplicates", near, "images that look like another one of their split"),
    )
    for code, groups, message in checks:
        by_split: dict[str, list[list[int]]] = {}
        for group in groups:  # positions ascend, and the images of a split are contiguous
            for split, positions in groupby(group, lambda position: images[position].split):
                part = list(positions)
                if len(part) > 1 and (groups is same or part[0] == group[0]):
                    by_split.setdefault(split, []).append(part)
        for split, split_groups in by_split.items():
            examples = [
                " = ".join(images[position].row.item_id for position in part[:4])
                for part in split_groups
            ]
            count = sum(len(part) - 1 for part in split_groups)
            shown = [position for part in split_groups for position in part[:2]]
            findings.add("warning", code, split, examples, message, count=count, images=shown)


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _count_powers(values: Iterable[int]) -> dict[int, int]:
    counts = Counter(1 << (value.bit_length() - 1) for value in values)
    return dict(sorted(counts.items()))
