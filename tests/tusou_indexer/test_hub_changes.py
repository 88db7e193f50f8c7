"""`tusou stages --query-bank`: hubs are corrected in a bundle without its source."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.stages_cli import stages
from typer.testing import CliRunner, Result

from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.manifest import INDEX, VECTORS
from tusou.cli.progress import NoProgress
from tusou.retrieval.local import open_bundle
from tusou.stages.inverted_softmax import soft_mean_cosines

TEXTS = ("红色连衣裙", "3号红色碎花吊带裙", "皮鞋")
app = typer.Typer()
app.command()(stages)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def plain(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain") / "b"
    spec = BuildSpec(str(pool), str(tiny_model), "IVF8,Flat", "cpu", workers=1)
    build(spec, root, NoProgress())
    return root


@pytest.fixture
def root(plain: Path, tmp_path: Path) -> Path:
    shutil.copytree(plain, tmp_path / "b")
    return tmp_path / "b"


def hits(root: Path, **options: object) -> list[object]:
    with open_bundle(root) as opened:
        return [opened.search(text, top_k=20, **options) for text in TEXTS]  # type: ignore[arg-type]


def test_the_changed_version_is_that_of_a_build(
    root: Path, plain: Path, queries: Path, tmp_path: Path
) -> None:
    manifest = Bundle.open(plain).manifest
    result = run(root, "--query-bank", queries, "--hub-k", 10, "--hub-alpha", 0.5, "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)["stages"]["hub"]
    assert (shown["bank_size"], shown["k"], shown["alpha"]) == (40, 10, 0.5)
    spec = BuildSpec(
        manifest.source.path,
        manifest.model.location,
        "IVF8,Flat",
        "cpu",
        workers=1,
        query_bank=str(queries),
        hub_k=10,
        hub_alpha=0.5,
    )
    build(spec, tmp_path / "built", NoProgress())
    changed, built = Bundle.open(root), Bundle.open(tmp_path / "built")
    assert changed.manifest.files == built.manifest.files
    assert changed.manifest.stages == built.manifest.stages
    assert changed.manifest.index == built.manifest.index
    changed.check_parts()


def test_the_correction_is_changed_and_taken_away(root: Path, queries: Path) -> None:
    before, found = current_version(root), hits(root)
    assert run(root, "--query-bank", queries, "--hub-k", 10).exit_code == 0
    corrected = hits(root)
    assert corrected != found
    assert [each.item_ids for each in hits(root, adjust=False)] == [  # type: ignore[attr-defined]
        each.item_ids  # type: ignore[attr-defined]
        for each in found
    ]
    weights = Bundle.open(root).path(VECTORS).stat().st_ino
    assert run(root, "--hub-alpha", 0.25).exit_code == 0
    bundle = Bundle.open(root)
    record = bundle.manifest.stages.hub
    assert record is not None
    assert (record.k, record.alpha) == (10, 0.25)
    assert bundle.path(VECTORS).stat().st_ino == weights, "the vectors are shared, not copied"
    assert hits(root) not in (found, corrected)
    result = run(root, "--no", "hub")
    assert result.exit_code == 0, result.output
    assert current_version(root) == before  # the same bytes, and so the same name
    assert not list(root.glob(".stages-*"))


def test_an_alpha_of_zero_changes_no_ranking(root: Path, queries: Path) -> None:
    found = hits(root)
    assert run(root, "--query-bank", queries, "--hub-alpha", 0).exit_code == 0
    for before, after in zip(found, hits(root), strict=True):
        assert after.item_ids == before.item_ids  # type: ignore[attr-defined]
        np.testing.assert_allclose(after.scores, before.scores, atol=1e-6)  # type: ignore[attr-defined]


def test_settings_without_a_bank_are_refused(root: Path) -> None:
    result = run(root, "--hub-k", 5)
    assert result.exit_code == 1
    assert "has no query bank" in result.output
    assert run(root, "--no", "hub").exit_code == 0  # nothing to take away


def test_a_damaged_index_is_not_taken_over(root: Path, queries: Path) -> None:
    path = Bundle.open(root).path(VECTORS)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    version = current_version(root)
    result = run(root, "--query-bank", queries)
    assert (result.exit_code, "vectors.npy is damaged" in result.output) == (1, True)
    assert current_version(root) == version
    assert Bundle.open(root).path(INDEX).exists()


def test_an_inverted_softmax_orders_the_first_items(root: Path, queries: Path) -> None:
    assert (
        run(root, "--query-bank", queries, "--hub-alpha", 0, "--softmax-depth", 15).exit_code == 0
    )
    bundle = Bundle.open(root)
    bundle.verify()
    bundle.check_parts()
    record, nearest = bundle.manifest.stages.softmax, bundle.nearest_items
    assert record is not None
    assert nearest is not None
    assert (record.depth, record.beta) == (15, 20)
    vectors, bank = np.asarray(bundle.vectors), bundle.query_bank
    np.testing.assert_array_equal(np.flatnonzero(nearest), np.unique((bank @ vectors.T).argmax(1)))
    with open_bundle(root) as opened:
        for text in TEXTS:
            cosines = vectors @ opened.encode_texts([text])[0]
            ranking = np.argsort(-cosines, kind="stable")[:20]
            softened = bool(nearest[ranking[0]])
            adjusted = cosines - soft_mean_cosines(vectors, bank, 20.0)
            if softened:
                first = ranking[:15]
                ranking[:15] = first[np.argsort(-adjusted[first], kind="stable")]
            found = opened.search(text, top_k=20)
            assert list(found.item_ids) == [bundle.ids.at(int(key)) for key in ranking]
            np.testing.assert_allclose(found.scores, cosines[ranking], atol=1e-6)
            shown = adjusted if softened else cosines  # an alpha of 0 subtracts nothing
            np.testing.assert_allclose(found.adjusted_scores, shown[ranking], atol=1e-5)
            pages = [opened.search(text, 5, offset=start).item_ids for start in (0, 5, 10, 15)]
            assert tuple(item for page in pages for item in page) == found.item_ids
            plain = opened.search(text, 20, adjust=False).item_ids
            assert set(plain[:15]) == set(found.item_ids[:15])
    assert run(root, "--no", "softmax").exit_code == 0
    assert Bundle.open(root).manifest.stages.softmax is None
    assert Bundle.open(root).manifest.stages.hub is not None


def test_a_softmax_needs_a_bank(root: Path) -> None:
    result = run(root, "--softmax-depth", 5)
    assert (result.exit_code, "has no query bank" in result.output) == (1, True)
