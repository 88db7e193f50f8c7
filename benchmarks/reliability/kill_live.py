"""Kills processes that change a bundle live, or compact it, and counts lost and revived items.

python -m benchmarks.reliability.kill_live
python -m benchmarks.reliability.kill_live --full

A child changes items (upserts, patches, deletions, batches) and tells each change before and after
it is acknowledged. It is killed at a random moment, and the bundle is opened again: every
acknowledged change must be there, every removed item must be gone, and a change that was not
acknowledged must be there wholly or not at all. One child in eight compacts the bundle instead,
beside a writer that goes on.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, TypeAlias

import numpy as np
from tusou_indexer.compact import compact

from benchmarks.record import record
from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.bundle.bundle import Bundle
from tusou.live.operations import Delete, Operation, Patch, Upsert
from tusou.live.snapshot import LiveSnapshot
from tusou.live.store import LiveStore

ITEMS, NAMES, DIM = 50, 120, 16
COMPACTIONS = 8  # every eighth kill is of a compaction
VECTORS = unit_vectors(997, seed=1, dim=DIM)
# By item id: the number of its content, and its price.
State: TypeAlias = dict[str, tuple[int, float | None]]
Change: TypeAlias = list[tuple[str, str, int]]  # kind, item id, number


def main() -> None:
    """Kill the processes and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, help="20, or 1,000 if full")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    kills = arguments.kills or (1000 if arguments.full else 20)
    with tempfile.TemporaryDirectory() as folder:
        figures = run(Path(folder) / "b", kills, arguments.seed)
    record("reliability.kill_live", figures, save=arguments.full)
    wrong = ("acknowledged_changes_lost", "removed_items_found", "changes_applied_in_part")
    sys.exit(any(figures[name] for name in wrong))


def run(root: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill children at random moments; return the figures, of which the faults must be 0."""
    started, draw = perf_counter(), random.Random(seed)
    ids = [f"{number}.jpg" for number in range(ITEMS)]
    contents = [content(number) for number in range(ITEMS)]
    write_vector_bundle(root, ids, VECTORS[:ITEMS], contents)
    state: State = {item_id: (number, None) for number, item_id in enumerate(ids)}
    faults, counts = Counter[str](), Counter[str]()
    for number in range(kills):
        in_flight: Change = []
        child_seed, moment = draw.randrange(2**32), draw.uniform(0, 0.08)
        if number % COMPACTIONS == COMPACTIONS - 1:
            with_compaction(root, draw.uniform(0, 0.5), child_seed, state, counts)
        else:
            in_flight = follow(killed(partial(change, root, child_seed), moment), state, counts)
        counts["kills"] += 1
        check(root, state, in_flight, faults, counts)
    return {
        **counts,
        "acknowledged_changes_lost": faults["lost"],
        "removed_items_found": faults["revived"],
        "changes_applied_in_part": faults["part"],
        "items_at_the_end": len(state),
        "seconds": round(perf_counter() - started, 1),
    }


def killed(work: Callable[[int], None], moment: float) -> list[str]:
    """Run work in a child process that is killed after a moment; return what it told."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        with suppress(BaseException):
            work(writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        first = pipe.readline()  # the child has begun
        sleep(moment)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        *whole, _torn = (first + pipe.read()).decode().split("\n")
    return whole


def with_compaction(
    root: Path, moment: float, seed: int, state: State, counts: Counter[str]
) -> None:
    """Kill a compaction while this process changes items."""
    store, draw = LiveStore(root, Bundle.open(root)), random.Random(seed)

    def compacting(out: int) -> None:
        os.write(out, b"begun\n")
        compact(root)
        os.write(out, b"done\n")

    for operations in changes(draw, 3):
        apply(store, operations, state)
    told = killed(compacting, moment)
    for operations in changes(draw, 3):
        apply(store, operations, state)
    counts["acknowledged"] += 6
    counts["compactions_killed" if "done" not in told else "compactions_done"] += 1
    store.close()


def apply(store: LiveStore, operations: Change, state: State) -> None:
    usable = applicable(operations, state.__contains__)
    store.change(*map(operation, usable))
    update(state, usable)


def change(root: Path, seed: int, out: int) -> None:
    """Change items until the process is killed; tell every change before and after it."""
    store, draw = LiveStore(root, Bundle.open(root)), random.Random(seed)
    os.write(out, b"begun\n")
    for operations in changes(draw, 10**6):
        usable = applicable(operations, lambda item_id: store.snapshot.find(item_id) is not None)
        os.write(out, (json.dumps(usable) + "\n").encode())
        store.change(*map(operation, usable))
        os.write(out, b"ok\n")


def applicable(operations: Change, is_there: Callable[[str], bool]) -> Change:
    """Leave out the patches of items that are not there by then."""
    usable: Change = []
    for part in operations:
        before = [kind for kind, item_id, _ in usable if item_id == part[1]]
        known = before[-1] != "delete" if before else is_there(part[1])
        if known or part[0] != "patch":
            usable.append(part)
    return usable


def changes(draw: random.Random, count: int) -> Iterator[Change]:
    """Yield random changes, one in three of them a batch."""
    for _ in range(count):
        size = draw.randint(2, 8) if draw.random() < 0.3 else 1
        yield [
            (
                draw.choice(("upsert", "upsert", "patch", "delete")),
                f"{draw.randrange(NAMES)}.jpg",
                draw.randrange(len(VECTORS)),
            )
            for _ in range(size)
        ]


def operation(part: tuple[str, str, int]) -> Operation:
    kind, item_id, number = part
    if kind == "upsert":
        return Upsert(item_id, content(number), VECTORS[number], MODEL, {})
    return Patch(item_id, {"price": float(number)}) if kind == "patch" else Delete(item_id)


def content(number: int) -> bytes:
    return b"\xff\xd8\xff" + str(number).encode() + b"." * 200


def follow(lines: list[str], state: State, counts: Counter[str]) -> Change:
    """Apply the acknowledged changes to the state; return the last one if it is not."""
    told = [line for line in lines if line not in ("begun", "ok")]
    acknowledged = lines.count("ok")
    counts["acknowledged"] += acknowledged
    for line in told[:acknowledged]:
        update(state, json.loads(line))
    in_flight: Change = json.loads(told[-1]) if len(told) > acknowledged else []
    counts["changes_in_flight"] += bool(in_flight)
    return in_flight


def update(state: State, operations: Change) -> None:
    for kind, item_id, number in operations:
        if kind == "upsert":
            state[item_id] = (number, None)
        elif kind == "patch":
            state[item_id] = (state[item_id][0], float(number))
        else:
            state.pop(item_id, None)


def check(
    root: Path, state: State, in_flight: Change, faults: Counter[str], counts: Counter[str]
) -> None:
    """Open the bundle and compare it with the state, with or without the change in flight."""
    store = LiveStore(root, Bundle.open(root))
    counts["torn_tails"] += bool(store.torn_bytes)
    found = state_of(store.snapshot)
    store.close()
    with_last = dict(state)
    update(with_last, in_flight)
    if found != state and found == with_last:
        state.clear()
        state.update(with_last)
    elif found != state:
        names = {part[1] for part in in_flight}
        differing = {n for n in {*found, *state} - names if found.get(n) != state.get(n)}
        faults["revived"] += sum(name not in state for name in differing)
        faults["lost"] += sum(name in state for name in differing)
        faults["part"] += not differing
        state.clear()
        state.update(found)


def state_of(snapshot: LiveSnapshot) -> State:
    """Return all items of a snapshot; their images and vectors must agree."""
    state: State = {}
    for key, item_id in snapshot.ids(snapshot.visible, limit=10**6):
        number = int(snapshot.image(str(item_id))[0][3:].partition(b".")[0])
        price = snapshot.item_attributes(str(item_id)).get("price")
        same = np.array_equal(snapshot.vectors([key])[0], VECTORS[number])
        state[str(item_id)] = (number if same else -1, price)  # type: ignore[assignment]
    return state


if __name__ == "__main__":
    main()
