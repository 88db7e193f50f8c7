"""The modules that sentence-transformers saves beside a transformer, such as the pooling."""

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tusou.core.errors import BadModel
from tusou.encoders.model_folder import is_model_folder

Pooling: TypeAlias = Literal["first", "mean"]

_MODULES = "modules.json"  # lists the modules of a model, in the order in which a text takes them
SENTENCES = "sentence_bert_config.json"
_SIGNS = (_MODULES, SENTENCES, "config_sentence_transformers.json")
# The names of sentence-transformers for what makes a text's vector of its tokens'. The mean by the
# root of their number has the direction of the mean: the vectors are scaled to unit length later.
_POOLINGS = {
    "cls": "first",
    "pooling_mode_cls_token": "first",
    "mean": "mean",
    "pooling_mode_mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Modules after the transformer that leave a text's vector its direction.
_HARMLESS = ("Pooling", "Normalize", "Dropout")
_WITHOUT = (
    "Give --pooling first or --pooling mean, which the training of the new model then has to make "
    "up for, or take another text tower"
)


def first_module(root: Path) -> Path:
    """Return the folder of the transformer in a folder of sentence-transformers."""
    if is_model_folder(root) or not (root / _MODULES).is_file():
        return root
    path = root / _MODULES
    try:
        return root / str(_read_json(path)[0]["path"])
    except (LookupError, TypeError):
        raise BadModel(f"{path} does not name the folder of a transformer") from None


def read_pooling(root: Path) -> Pooling:
    """Return the pooling that sentence-transformers trained with; `first` if it did not.

    Raises BadModel for another one than the first token's vector or the mean, for a module after
    it, such as a dense layer, and for a folder of sentence-transformers that lacks its pooling.
    """
    _check_modules(root)
    for path in sorted(root.glob("*_Pooling/config.json")):
        settings = _read_json(path)
        if not isinstance(settings, dict):
            raise BadModel(f"{path} is not a JSON object")
        mode = settings.get("pooling_mode")  # in place of a field for each, since version 5
        modes = [mode] if isinstance(mode, str) else mode or []
        modes += [
            name for name, is_used in settings.items() if name in _POOLINGS and is_used is True
        ]
        known = {_POOLINGS.get(str(name), str(name)) for name in modes}
        if known == {"first"}:
            return "first"
        if known == {"mean"}:
            return "mean"
        raise BadModel(
            f"{path}: the texts' vectors are made by {', '.join(sorted(known)) or 'no pooling'}, "
            f"which Tusou does not do. {_WITHOUT}"
        )
    if signs := [name for name in _SIGNS if (root / name).is_file()]:
        raise BadModel(
            f"{root} is of sentence-transformers (it has {signs[0]}) and does not say how its "
            "texts' vectors are made: it lacks the folder of the pooling, such as "
            f"1_Pooling/config.json. Give the whole folder as its publisher has it. {_WITHOUT}"
        )
    return "first"


def _check_modules(root: Path) -> None:
    """Raise BadModel for a module that changes a text's vector after its pooling."""
    path = root / _MODULES
    if not path.is_file():
        return
    modules = _read_json(path)
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise BadModel(f"{path} is not a list of modules")
    kinds = [str(each.get("type")).rpartition(".")[2] for each in modules[1:]]
    if others := [kind for kind in kinds if kind not in _HARMLESS]:
        raise BadModel(
            f"{path}: the texts' vectors go through a module of type {others[0]} after the "
            f"transformer, which Tusou would leave out. {_WITHOUT}"
        )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise BadModel(f"{path} is not a JSON file: download it again") from None
