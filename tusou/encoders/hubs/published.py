"""The repositories of the published models on the hubs."""

from tusou.bundle.model_record import HubName

# The same files under two owners.
_OWNERS: dict[HubName, str] = {"huggingface": "OFA-Sys", "modelscope": "AI-ModelScope"}
_REPOSITORIES = {
    "ViT-B-16": "chinese-clip-vit-base-patch16",
    "ViT-L-14": "chinese-clip-vit-large-patch14",
    "ViT-L-14-336": "chinese-clip-vit-large-patch14-336px",
    "ViT-H-14": "chinese-clip-vit-huge-patch14",
    "RN50": "chinese-clip-rn50",
}


def published_id(name: str, hub: HubName) -> str:
    """Return the id of a published model on a hub."""
    return f"{_OWNERS[hub]}/{_REPOSITORIES[name]}"


def id_on(hub: HubName, model_id: str) -> str:
    """Return a model's id on a hub: the published models have another owner on each."""
    owner, _, repository = model_id.partition("/")
    if owner in _OWNERS.values() and repository in _REPOSITORIES.values():
        return f"{_OWNERS[hub]}/{repository}"
    return model_id
