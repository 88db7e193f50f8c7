"""The file in an open_clip model's folder that configures a text tower of transformers."""

_CONFIG = "config.json"


def text_config_name(model: object) -> str | None:
    """Return the name of that file, from the folder, by the model's `model_cfg`.

    It is None for a text tower of open_clip's own. The file may be absent: the configurations of
    published text models are known.
    """
    text = model.get("text_cfg") if isinstance(model, dict) else None
    name = text.get("hf_model_name") if isinstance(text, dict) else None
    return f"{name}/{_CONFIG}" if name else None
