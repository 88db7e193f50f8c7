"""Coverage of the estimates of a judged set, and the order of systems by it.

    python -m benchmarks.judged_set

On toy products whose attributes say of every pair whether it is correct: in each repeat, pairs are
drawn with the probabilities of `tusou evalset pool`, two of five systems being pooled, and
precision@10 and recall@100 of all five are estimated from the drawn pairs alone. `new queries`
draws the queries of a repeat too, from all planned ones, whose value is the truth; `same queries`
keeps them.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tusou_lab.evalset.drawing import Drawing, best_ranks, probabilities

from benchmarks.judged_world import DEPTH, ToyWorld, make_world
from benchmarks.record import record
from benchmarks.wilson import wilson_interval
from tusou.core.arrays import Ids
from tusou.evaluation.agreement import kendall_tau
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.metrics import Values
from tusou.evaluation.sampled import EstimatedShare, SampledRanking, estimate_metrics
from tusou.evaluation.significance import permutation_test

POOLED = ("demo", "prompt")
MEASURES = ("precision@10", "recall@100")
BUDGETS = {
    "a tenth": Drawing(depth=50, certain=10, ranked=30, unranked=55, seed=0),
    "default": Drawing(depth=50, certain=10, ranked=15, unranked=10, seed=0),
}

Shares = npt.NDArray[np.float64]
Estimates = dict[tuple[str, str], EstimatedShare]  # by system and measure


def main() -> None:
    """Draw the world, repeat, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--planned", type=int, default=1500, help="queries to choose from")
    parser.add_argument("--queries", type=int, default=100, help="of a set")
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), options.items, options.planned)
    repeats: dict[str, object] = {}
    for name, drawing in BUDGETS.items():
        shares = draw_probabilities(world, drawing)
        for fresh in (True, False) if name == "a tenth" else (True,):
            label = f"{name}, {'new' if fresh else 'same'} queries"
            print(label, flush=True)
            repeats[label] = repeat(world, shares, options.queries, options.repeats, fresh=fresh)
    counts = world.correct.sum(axis=1)
    figures: dict[str, object] = {
        "items": options.items,
        "planned_queries": len(world.texts),
        "queries_of_a_set": options.queries,
        "repeats": options.repeats,
        "pooled": POOLED,
        "correct_items_a_query": [int(each) for each in np.percentile(counts, (5, 50, 95))],
        "sets": repeats,
        "hit_and_precision": tell_apart(world, "demo", "32 dimensions", 2 * options.queries),
    }
    record("judged_set", figures)


def draw_probabilities(world: ToyWorld, drawing: Drawing) -> Shares:
    """Return the probability of every pair, (queries, items)."""
    count = len(world.item_ids)
    ranked = [
        best_ranks([world.rankings[name][row] for name in POOLED], drawing.depth)
        for row in range(len(world.texts))
    ]
    return np.stack([probabilities(drawing, best, count) for best in ranked])


def repeat(
    world: ToyWorld, shares: Shares, queries: int, repeats: int, *, fresh: bool
) -> dict[str, object]:
    """Return the shares of intervals that hold the truth, and Kendall's tau of the systems."""
    workers = os.cpu_count() or 1
    make = partial(make_sets, world, shares, queries, fresh)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        sets = chain.from_iterable(
            pool.map(make, [range(n, repeats, workers) for n in range(workers)])
        )
        judged, estimated = zip(*sets, strict=True)
    everything = np.arange(len(world.texts))
    truths = {
        system: world.truth(system, everything if fresh else everything[:queries])
        for system in world.rankings
    }
    return {
        "judged_share": round(sum(judged) / repeats / queries / len(world.item_ids), 4),
        "systems": {
            system: {
                measure: summarise([each[system, measure] for each in estimated], truth[measure])
                for measure in MEASURES
            }
            for system, truth in truths.items()
        },
        "tau": {measure: order(estimated, truths, measure) for measure in MEASURES},
    }


def make_sets(
    world: ToyWorld, shares: Shares, queries: int, fresh: bool, seeds: range
) -> list[tuple[int, Estimates]]:
    """Return the number of judged pairs and the estimates of a set of each seed."""
    everything = np.arange(len(world.texts))
    sets = []
    for seed in seeds:
        random = np.random.default_rng([seed, 7])
        rows = random.choice(everything, queries, replace=False) if fresh else everything[:queries]
        drawn = random.random((queries, shares.shape[1])) < shares[rows]
        keys = [np.flatnonzero(each) for each in drawn]
        estimated = {}
        for system in world.rankings:
            estimates = estimate(world, system, rows, keys, shares)
            for measure in MEASURES:
                estimated[system, measure] = estimates[f"estimated_{measure}"]
        sets.append((sum(map(len, keys)), estimated))
    return sets


def estimate(
    world: ToyWorld, system: str, rows: Ids, keys: list[Ids], shares: Shares
) -> dict[str, EstimatedShare]:
    """Estimate a system's metrics from the drawn pairs of some queries."""
    return estimate_metrics(
        [
            SampledRanking(
                world.rankings[system][row].tolist(),
                dict(
                    zip(drawn.tolist(), world.correct[row, drawn].astype(int).tolist(), strict=True)
                ),
                dict(zip(drawn.tolist(), shares[row, drawn].tolist(), strict=True)),
            )
            for row, drawn in zip(rows.tolist(), keys, strict=True)
        ],
        DEPTH,
    )


def summarise(estimates: list[EstimatedShare], truth: float) -> dict[str, object]:
    """Return how often the intervals hold the truth, with Wilson's interval of that share."""
    held = sum(each.interval[0] <= truth <= each.interval[1] for each in estimates)
    widths = [each.interval[1] - each.interval[0] for each in estimates]
    return {
        "truth": round(truth, 4),
        "mean_estimate": round(float(np.mean([each.value for each in estimates])), 4),
        "held": round(held / len(estimates), 4),
        "held_interval": wilson_interval(held, len(estimates)),
        "median_width": round(float(np.median(widths)), 4),
    }


def order(
    estimated: Sequence[Estimates], truths: Mapping[str, Mapping[str, float]], measure: str
) -> dict[str, float]:
    """Return Kendall's tau of the systems by the estimates and by the truth, over the repeats."""
    true = [values[measure] for values in truths.values()]
    taus = [
        kendall_tau([each[system, measure].value for system in truths], true) for each in estimated
    ]
    return {
        "mean": round(float(np.mean(taus)), 3),
        "same_order": round(float(np.mean([tau > 0.999 for tau in taus])), 3),
    }


def tell_apart(world: ToyWorld, first: str, second: str, queries: int) -> dict[str, object]:
    """Compare two systems by hit@10 and by precision@10 on the first queries."""
    values: dict[str, dict[str, Values]] = {}
    for system in (first, second):
        found = world.found(system, 10)[:queries]
        values[system] = {"hit@10": (found > 0).astype(np.float64), "precision@10": found / 10}
    differences = {name: values[first][name] - values[second][name] for name in values[first]}
    p, bounds = permutation_test(differences), intervals(differences)
    return {
        "queries": queries,
        "systems": [first, second],
        **{
            name: {
                "values": [round(float(values[each][name].mean()), 4) for each in (first, second)],
                "difference_interval": [round(bound, 4) for bound in bounds[name]],
                "p": round(p[name], 4),
            }
            for name in differences
        },
    }


if __name__ == "__main__":
    main()
