"""Models of other families are fine-tuned by ten steps from a tiny one, in each mode."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.models import test_siglip
from tests.models.family_checks import LibraryVectors
from tests.models.tiny import save_tiny_siglip, save_tiny_siglip2
from tests.models.training_checks import (
    check_adapters,
    check_forward,
    check_frozen,
    check_resumption,
    check_training,
)

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True)
class TrainedFamily:
    """A maker of tiny models, the library's vectors of them, and the family's loss."""

    save: Callable[[Path], Path]
    library_of: Callable[[Path], LibraryVectors]
    loss: str


FAMILIES = {
    "siglip": TrainedFamily(save_tiny_siglip, test_siglip.library_of, "sigmoid"),
    "siglip2": TrainedFamily(save_tiny_siglip2, test_siglip.library_of, "sigmoid"),
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> TrainedFamily:
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def model(family: TrainedFamily, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return family.save(tmp_path_factory.mktemp("family") / "model")


def test_it_learns_and_is_saved_as_its_library_reads_it(
    family: TrainedFamily, model: Path, tmp_path: Path
) -> None:
    check_training(model, tmp_path, family.library_of, family.loss)


def test_training_computes_the_vectors_of_the_encoders(model: Path) -> None:
    check_forward(model)


def test_merged_adapters_give_the_vectors_of_the_adapters(model: Path) -> None:
    check_adapters(model)


def test_each_tower_can_be_frozen(model: Path) -> None:
    check_frozen(model)


@pytest.mark.parametrize(
    "mode",
    [{}, {"freeze": "vision"}, {"lora": 2, "lora_alpha": 4.0}],
    ids=["all", "frozen", "lora"],
)
def test_a_killed_run_resumes_to_the_same_weights(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: dict[str, object]
) -> None:
    check_resumption(model, tmp_path, monkeypatch, **mode)
