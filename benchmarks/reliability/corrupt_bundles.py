"""Damages and forges a bundle in random ways, and opens it as a service does.

python -m benchmarks.reliability.corrupt_bundles
python -m benchmarks.reliability.corrupt_bundles --full

Every damage must be detected. A forgery, whose digests are right, may be undetectable; it must be
served or refused with an error of Tusou, and never end in a traceback or a crash.
Each case is opened in a process of its own.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import tusou.encoders
import tusou.retrieval.compatibility
from benchmarks.record import record
from benchmarks.reliability.forgery import damage, forge
from benchmarks.running import demo_bundle
from tusou.core.errors import ArtifactError
from tusou.encoders import find_weights, open_text_encoder
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart

SMALL, FULL = 500, 10_000
SERVED, REFUSED, BUG = 0, 10, 11


def main() -> None:
    """Open every changed bundle and record the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, help=f"of each kind; {SMALL}, or {FULL:,} if full")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    count = arguments.mutations or (FULL if arguments.full else SMALL)
    load_once()
    with tempfile.TemporaryDirectory() as folder:
        bundle = demo_bundle(Path(folder), arguments.items)
        open_and_search(bundle)  # which loads the model for all the processes to come
        damaged = outcomes(bundle, damage, count, arguments.seed)
        forged = outcomes(bundle, forge, count, arguments.seed)
    figures = {
        "damages": count,
        "damages_unnoticed": count - damaged[REFUSED],
        "forgeries": count,
        "forgeries_refused": forged[REFUSED],
        "forgeries_served": forged[SERVED],
        "tracebacks_or_crashes": count - forged[REFUSED] - forged[SERVED],
        "items": arguments.items,
        "seed": arguments.seed,
    }
    record("reliability.corrupt_bundles", figures)
    sys.exit(bool(figures["damages_unnoticed"] or figures["tracebacks_or_crashes"]))


def outcomes(
    bundle: Path, change: Callable[[Path, random.Random], str], count: int, seed: int
) -> Counter[int]:
    """Return how many changed copies of a bundle were served, refused, or anything else."""
    counts = Counter[int]()
    copy = bundle.with_name("changed")
    for number in range(count):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        done = change(copy, random.Random(f"{seed} {number}"))
        outcome = outcome_of(copy)
        counts[outcome] += 1
        if outcome not in {SERVED, REFUSED}:
            print(f"{number}: {done}: ended with {outcome}", file=sys.stderr)
    return counts


def outcome_of(bundle: Path) -> int:
    """Open a bundle in a process of its own; return its exit code, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = BUG
    try:
        open_and_search(bundle)
        code = SERVED
    except ArtifactError:
        code = REFUSED
    except BaseException:  # noqa: BLE001 - reported by the parent, which counts it
        traceback.print_exc()
    finally:
        os._exit(code)


def open_and_search(bundle: Path) -> None:
    """Open a bundle as a service does, and search it."""
    pipeline = SearchPipeline.open(bundle, device="cpu")
    pipeline.search([Query((TextPart("红色连衣裙"),), 10, 0)])


def load_once() -> None:
    """Load the model once for all bundles that name the same."""
    vars(tusou.encoders)["open_text_encoder"] = cache(open_text_encoder)
    vars(tusou.retrieval.compatibility)["find_weights"] = cache(find_weights)


if __name__ == "__main__":
    main()
