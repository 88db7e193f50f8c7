"""What is wrong with images: unusable, misnamed, of odd shape, there twice."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tusou.core.ids import Failure
from tusou_lab.check.findings import Code, Findings
from tusou_lab.check.image_scan import ScannedImage

# Reasons that mean an image made to harm, or one that no shop needs.
_BOMB = re.compile("image (over|side over|needs too much|crashes)")
_SMALL = 16  # pixels of the shorter side
_LONG = 5.0  # times longer than wide, or wider than long
_ENDINGS = {"JPEG": {".jpg", ".jpeg", ".jfif"}, "PNG": {".png"}, "WEBP": {".webp"}}
_NOT_A_IMAGE = {".tsv", ".tar", ""}  # one file holds many
_COMMON = 12


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Numbers of a split's images."""

    rows: int
    usable: int
    formats: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]  # `224x224` -> images, the most frequent
    sides: dict[int, int]  # the longer side, in powers of two -> images
    kilobytes: dict[int, int]  # size of the file, in powers of two -> images


def check_images(
    split: str,
    images: Sequence[ScannedImage],
    failures: Sequence[Failure],
    first: int,
    findings: Findings,
) -> ImageFacts:
    """Add what is wrong with a split's images; `first` is the position of the first of them."""
    _unusable(split, failures, findings)
    _odd(split, images, first, findings)
    looks = [image.looks for image in images]
    return ImageFacts(
        rows=len(images) + len(failures),
        usable=len(images),
        formats=_counted(one.form for one in looks),
        modes=_counted(one.mode for one in looks),
        sizes=dict(list(_counted(f"{one.width}x{one.height}" for one in looks).items())[:_COMMON]),
        sides=_powers(max(one.width, one.height) for one in looks),
        kilobytes=_powers(max(1, image.row.length // 1024) for image in images),
    )


def _unusable(split: str, failures: Sequence[Failure], findings: Findings) -> None:
    kinds: dict[tuple[Code, str], list[str]] = {}
    for one in sorted(failures, key=lambda one: one.line):
        at = f"{one.file} " if one.file else f"line {one.line}"
        where = f"{at.strip()}{'' if one.item_id is None else f': {one.item_id}'}"
        kinds.setdefault((_code(one.reason), one.reason), []).append(where)
    for (code, reason), shown in kinds.items():
        findings.add("error", code, split, shown, reason)


def _code(reason: str) -> Code:
    if reason == "duplicate id":
        return "repeated_ids"
    return "bombs" if _BOMB.match(reason) else "unusable_images"


def _odd(split: str, images: Sequence[ScannedImage], first: int, findings: Findings) -> None:
    named, shapes, small = [], [], []
    for place, image in enumerate(images):
        looks, suffix = image.looks, image.path.suffix.lower()
        if suffix not in _NOT_A_IMAGE and suffix not in _ENDINGS.get(looks.form, {suffix}):
            named.append((place, f"{image.path.name} is {looks.form}"))
        short, long = sorted((looks.width, looks.height))
        told = f"{image.row.item_id}: {looks.width} x {looks.height}"
        if long > _LONG * short:
            shapes.append((place, told))
        elif short < _SMALL:
            small.append((place, told))
    kinds: tuple[tuple[Code, list[tuple[int, str]], str], ...] = (
        ("wrong_endings", named, "files whose ending names another format"),
        (
            "extreme_shapes",
            shapes,
            f"images with one side over {_LONG:g} times the other",
        ),
        ("tiny_images", small, f"images with a side under {_SMALL} pixels"),
    )
    for code, found, said in kinds:
        shown = [told for _, told in found]
        positions = [first + place for place, _ in found]
        findings.add("warning", code, split, shown, said, images=positions)


def tell_doubles(
    images: Sequence[ScannedImage],
    same: Sequence[Sequence[int]],
    near: Sequence[Sequence[int]],
    findings: Findings,
) -> None:
    """Tell of groups of equal images that lie within one split."""
    kinds: tuple[tuple[Code, Sequence[Sequence[int]], str], ...] = (
        ("same_bytes", same, "copies of another image of their split"),
        ("near_duplicates", near, "images that look like another one of their split"),
    )
    for code, groups, said in kinds:
        within: dict[str, list[list[int]]] = {}
        for group in groups:
            parts: dict[str, list[int]] = {}
            for place in group:
                parts.setdefault(images[place].split, []).append(place)
            for split, part in parts.items():
                if len(part) > 1:
                    within.setdefault(split, []).append(part)
        for split, found in within.items():
            shown = [" = ".join(images[one].row.item_id for one in part[:4]) for part in found]
            count = sum(len(part) - 1 for part in found)
            positions = [place for part in found for place in part[:2]]
            findings.add("warning", code, split, shown, said, count=count, images=positions)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _powers(values: Iterable[int]) -> dict[int, int]:
    counts = Counter(1 << (value.bit_length() - 1) for value in values)
    return dict(sorted(counts.items()))
