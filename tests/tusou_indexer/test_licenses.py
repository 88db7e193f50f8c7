"""The licence of a Chinese-CLIP folder is said by a build, recorded and shown."""

from pathlib import Path

import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.show import show_bundle
from tusou_lab.convert_model.run import convert_model

from tests.drawing import image_line
from tests.tiny_models import save_tiny_model
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress


class Notices(NoProgress):
    """Keeps the notices of a build."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def notice(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.mark.parametrize(("name", "is_forbidden"), [("cc-by-nc-4.0", True), ("apache-2.0", False)])
def test_the_licence_of_the_default_family_is_not_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, is_forbidden: bool
) -> None:
    model = tmp_path / "model"
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", model)
    (model / "README.md").write_text(f"---\nlicense: {name}\n---\n")
    pool, notices = tmp_path / "MR_test_imgs.tsv", Notices()
    pool.write_bytes(b"".join(image_line(f"{n}.jpg", n) for n in range(3)))
    spec = BuildSpec(str(pool), str(model), workers=1, device="cpu", precision="fp32")
    build(spec, tmp_path / "bundle", notices)
    said = "the licence of model is cc-by-nc-4.0, which forbids commercial use"
    assert (said in notices.sentences) == is_forbidden
    recorded = Bundle.open(tmp_path / "bundle").manifest.model
    assert recorded.encoder is None
    assert (recorded.license, recorded.is_non_commercial) == (name, is_forbidden)
    show_bundle(tmp_path / "bundle", as_json=False)
    assert f"chinese-clip, licence {name}" in capsys.readouterr().out
