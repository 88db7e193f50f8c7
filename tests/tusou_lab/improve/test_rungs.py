"""Rungs that need files: hub correction, rerankers, prompts, views, and further models."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tiny_models import save_tiny_model
from tusou_indexer.build import BuildSpec, build
from tusou_lab.improve.index_rungs import IndexGrid, ModelRung, index_command
from tusou_lab.improve.ladder import Ladder
from tusou_lab.improve.query_bank import count_shared
from tusou_lab.improve.recipes import Recipe
from tusou_lab.improve.rerank_rung import RerankRung, RerankScores
from tusou_lab.improve.run import ImproveSpec, improve
from tusou_lab.improve.softmax_rung import SOFTMAX_BETAS
from tusou_lab.improve.try_list import TryOptions, parse_try_list

from tests.tusou_lab.improve.planted import TEXTS, plant, rank_all
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest
from tusou.core.ids import ItemId
from tusou.evaluation.judgments import read_judgments
from tusou.evaluation.runs import read_run

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]  # runs commands as processes
QUERIES = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rungs")


@pytest.fixture(scope="module")
def other(folder: Path, pool: Path) -> Path:
    """Index the pool with another model."""
    model = save_tiny_model(folder / "other.pt", seed=1)
    build(BuildSpec(str(pool), str(model), workers=1, device="cpu"), folder / "o", NoProgress())
    return folder / "o"


@pytest.fixture(scope="module")
def bank(folder: Path) -> Path:
    """Write queries of which one is judged, too."""
    path = folder / "train.jsonl"
    texts = [TEXTS[0], *(f"{number}元的衣服" for number in range(19))]
    rows = ({"query_id": n, "query_text": text} for n, text in enumerate(texts))
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def rerank(plain: Sequence[ItemId], larger: Sequence[ItemId]) -> list[ItemId]:
    """Return the ranking with its first 100 items in another order."""
    first = set(plain[:100])
    return [*(item for item in larger if item in first), *plain[100:]]


@pytest.fixture(scope="module")
def ladder(tiny_bundle: Path, other: Path, bank: Path, folder: Path) -> Ladder:
    """Climb on queries whose correct items the other model finds better."""
    plain = rank_all(tiny_bundle)
    after = [rerank(*rankings) for rankings in zip(plain, rank_all(other), strict=True)]
    answers = plant(folder / "valid.jsonl", plain, after, [True] * QUERIES)
    spec = ImproveSpec(
        str(answers),
        (f"hub,rerank:vectors:{other}", f"model:{other}", "softmax"),
        TryOptions(query_bank=str(bank)),
        costs=False,
    )
    return improve(tiny_bundle, spec, folder / "ladder", NoProgress())


def test_the_vectors_of_a_better_model_are_taken(ladder: Ladder, other: Path, folder: Path) -> None:
    hub, rerank, model, _ = ladder.alone
    assert rerank.verdict == "taken"
    assert rerank.gains["mean_recall"].low > 0
    assert hub.verdict in {"no_gain", "holds_zero"}
    record = Bundle.open(folder / "ladder" / "bundle").manifest.stages.rerank
    assert model.name == f"model:{other}"
    assert record is not None or f"rerank:vectors:{other}" not in ladder.best.rungs


def test_every_temperature_of_inverted_softmax_is_tried(ladder: Ladder, folder: Path) -> None:
    commands = (folder / "ladder" / "commands.txt").read_text("utf-8")
    for beta in SOFTMAX_BETAS:
        assert f"--hub-alpha 0 --softmax-depth 100 --softmax-beta {beta}" in commands
    softmax = ladder.alone[3]
    assert (softmax.name, bool(softmax.gains)) == ("softmax", softmax.verdict != "no_gain")


def test_a_rung_on_top_of_others_says_so(ladder: Ladder) -> None:
    assert ladder.together[0].above == ()
    assert ladder.together[0].chosen_gain == max(
        rung.chosen_gain for rung in ladder.alone if rung.verdict == "taken"
    )
    for rung in ladder.together[1:]:
        assert rung.above == ladder.best.rungs[: len(rung.above)]


def test_p_values_are_corrected_for_all_tests(ladder: Ladder) -> None:
    tested = [rung for rung in (*ladder.alone, *ladder.together[1:]) if rung.gains]
    assert ladder.tests == len(tested)
    for rung in tested:
        assert rung.p_holm is not None
        assert rung.p_holm >= rung.gains["mean_recall"].p


def test_the_bundle_returns_what_chose_its_settings(ladder: Ladder, folder: Path) -> None:
    """The ranking that depth and weight were chosen on is that of the bundle made with them."""
    rung = ladder.alone[1]
    words = rung.settings.split()
    depth = int(words[words.index("--rerank-depth") + 1])
    weight = float(words[words.index("--rerank-weight") + 1])
    (scores,) = (folder / "ladder" / "work" / "scores").glob("*.json")
    rows = read_judgments(folder / "valid.jsonl").rows
    for half in ("choosing", "confirming"):
        run = read_run(folder / "ladder" / "runs" / half / f"{rung.run}.jsonl")
        for row, stored in zip(rows, json.loads(scores.read_bytes()), strict=True):
            if row.query_id in run.rankings:
                ranked = RerankScores(*map(tuple, stored))
                assert run.rankings[row.query_id] == ranked.reorder(depth, weight)[:10]


def test_the_note_of_shared_queries(ladder: Ladder, bank: Path, folder: Path) -> None:
    assert ladder.notes["bank_overlap"] == {"shared": 1, "bank": 20}
    with pytest.raises(InvalidRequest, match="holds judged queries only"):
        count_shared(str(folder / "valid.jsonl"), read_judgments(folder / "valid.jsonl"))


def test_scores_that_are_missing_keep_their_place() -> None:
    scores = RerankScores(("a", "b", "c", "d"), (0.4, 0.3, 0.2, 0.1), (0.1, np.nan, 0.9, 1.0))
    assert scores.reorder(3, 1.0) == ("c", "b", "a", "d")
    assert scores.reorder(3, 0.1) == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("rung", "message"),
    [
        ("hub", "--try hub needs --query-bank"),
        ("prompts", "--try prompts needs --prompt-file"),
        ("model:", "--try model:: the rungs are"),
        ("rerank:vectors:nowhere", "give rerank:vectors: with the folder of a bundle"),
        ("rerank:cross:nowhere.pt", "rerank:cross: with a file"),
        ("rerank:http://127.0.0.1:1/v1", "needs --rerank-model"),
        ("softmax", "--try softmax needs --query-bank"),
        ("softmax:3", "the rungs are feedback, hub, softmax, prompts"),
    ],
)
def test_refuses_a_rung_without_what_it_needs(rung: str, message: str, tiny_bundle: Path) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_try_list([rung], TryOptions(), Bundle.open(tiny_bundle))


def test_rungs_are_read_with_their_files(tiny_bundle: Path, other: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "模板.txt"
    prompts.write_text("{query}\n一张照片：{query}\n")
    options = TryOptions(prompt_file=prompts, rerank_model="qwen-vl")
    names = ["prompts", "views", f"model:{other}", "rerank:http://127.0.0.1:8001/v1"]
    prompt, views, model, endpoint = parse_try_list(names, options, Bundle.open(tiny_bundle))
    assert isinstance(prompt, IndexGrid)
    assert list(prompt.settings) == [
        (("--prompt", "一张照片：{query}"),),
        (("--prompt-file", str(prompts)),),
    ]
    assert isinstance(views, IndexGrid)
    assert views.settings == [(("--views", "flip"),), (("--views", "five_crops"),)]
    assert isinstance(model, ModelRung)
    assert Path(model.model).name == "other.pt"
    assert isinstance(endpoint, RerankRung)
    assert dict(endpoint.options)["--rerank-model"] == "qwen-vl"


def test_a_recipe_replaces_options_but_adds_models() -> None:
    recipe = Recipe().with_stages({"--feedback": "1:0.5"}).with_stages({"--feedback": "3:0.5"})
    assert recipe.text == "--feedback 3:0.5"
    recipe = recipe.with_index((("--model", "b.pt"), ("--weights", "0.5,0.5")))
    recipe = recipe.with_index((("--model", "c.pt"), ("--weights", "0.3,0.3,0.4")))
    assert recipe.text == "--model b.pt --model c.pt --weights 0.3,0.3,0.4 --feedback 3:0.5"
    assert recipe.without("--feed").stages == ()


def test_the_command_that_made_a_bundle(tiny_bundle: Path, pool: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    source, options = index_command(bundle, tiny_bundle)
    assert Path(source) == pool
    assert dict(options)["--model"] == bundle.manifest.model.location
    gone = bundle.manifest.source.model_copy(update={"path": str(tmp_path / "gone.tsv")})
    manifest = bundle.manifest.model_copy(update={"source": gone})
    with pytest.raises(InvalidRequest, match="is not there"):
        index_command(Bundle(bundle.folder, manifest, bundle.version), tiny_bundle)
