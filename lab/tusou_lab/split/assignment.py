"""Assignment of images to splits: images that belong together stay together."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from tusou.core.errors import BadDataset

# Images go to the first of these splits that can still take them.
SPLIT_ORDER = ("test", "valid", "train")


def merge_groups(count: int, groups: Iterable[Sequence[int]]) -> list[list[int]]:
    """Return all of `count` positions, those that groups connect together, each ascending."""
    parent = list(range(count))

    def find_root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    for first, *others in groups:
        for other in others:
            low, high = sorted((find_root(first), find_root(other)))
            parent[high] = low
    merged: dict[int, list[int]] = {}
    for position in range(count):
        merged.setdefault(find_root(position), []).append(position)
    return list(merged.values())


def assign_splits(
    ids: Sequence[str], groups: Iterable[Sequence[int]], sizes: Mapping[str, float], seed: int
) -> list[str | None]:
    """Return the split of each image, None for one that is left out.

    `sizes` has those of valid and test: a share of the images below 1, a number of images from
    1 on. It may have the number of images of train, which takes all that remain otherwise. The
    order is that of digests of the seed and an id, so it does not depend on the order of the
    source. Raises BadDataset if a split with a size would be empty.
    """
    rooms = {
        name: round(size * len(ids)) if size < 1 else int(size) for name, size in sizes.items()
    }
    merged = merge_groups(len(ids), groups)

    def digest(group: Sequence[int]) -> bytes:
        name = min(ids[position] for position in group)
        return blake2b(f"{seed}\n{name}".encode(), digest_size=16).digest()

    splits = list[str | None]([None] * len(ids))
    for group in sorted(merged, key=digest):
        for name in SPLIT_ORDER:
            room = rooms.get(name)
            if room is None or room >= len(group):
                break
        else:
            continue
        if room is not None:
            rooms[name] = room - len(group)
        for position in group:
            splits[position] = name
    empty = [name for name in SPLIT_ORDER if sizes.get(name, 1) > 0 and name not in splits]
    if empty:
        raise BadDataset(
            f"{len(ids)} images in {len(merged)} groups that stay together are too few: "
            f"{' and '.join(empty)} would be empty; change --valid and --test"
        )
    return splits
