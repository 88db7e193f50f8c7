"""Assignment of images to splits: images that belong together stay together."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from tusou.core.errors import BadDataset

# Images go to the first of these splits that can still take them, else to the last.
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
    ids: Sequence[str], groups: Iterable[Sequence[int]], shares: Mapping[str, float], seed: int
) -> list[str]:
    """Return the split of each image; `shares` has those of valid and test.

    The order is that of digests of the seed and an id, so it does not depend on the order of the
    source. Raises BadDataset if a split with a share would be empty.
    """
    rooms = {name: round(share * len(ids)) for name, share in shares.items()}
    merged = merge_groups(len(ids), groups)

    def digest(group: Sequence[int]) -> bytes:
        name = min(ids[position] for position in group)
        return blake2b(f"{seed}\n{name}".encode(), digest_size=16).digest()

    splits = ["train"] * len(ids)
    for group in sorted(merged, key=digest):
        for name in SPLIT_ORDER:
            if name == "train" or rooms[name] >= len(group):
                break
        if name != "train":
            rooms[name] -= len(group)
        for position in group:
            splits[position] = name
    empty = [name for name in SPLIT_ORDER if shares.get(name, 1) > 0 and name not in splits]
    if empty:
        raise BadDataset(
            f"{len(ids)} images in {len(merged)} groups that stay together are too few: "
            f"{' and '.join(empty)} would be empty; change --valid and --test"
        )
    return splits
