"""Command-line interface: train."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors


def train(
    data: Annotated[
        str,
        typer.Argument(help="Dataset with a train and a valid split, or DATA#SPLIT to train on."),
    ],
    valid: Annotated[
        str | None,
        typer.Argument(help="DATA#SPLIT to validate on; the valid split of DATA by default."),
    ] = None,
    *,
    further: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="Further DATA to train on; DATA:0.3 for three tenths of its pairs."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Checkpoint or folder to write: the best epoch on valid.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="MODEL of any family to fine-tune; a .json of cn_clip to train from scratch."
        ),
    ] = None,
    hub: Hub = None,
    task: Annotated[
        Literal["contrastive", "rerank"],
        typer.Option(help="Towers, or a cross-encoder that orders a bundle's results again."),
    ] = "contrastive",
    bundle: Annotated[
        Path | None,
        typer.Option("--from", help="Bundle to order again.", exists=True, file_okay=False),
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, max=12, help="Layers of a cross-encoder; 2 by default.")
    ] = None,
    recipe: Annotated[
        Literal["small", "medium", "large"] | None,
        typer.Option(help="Settings that are not given; by the number of pairs by default."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="At most; by the recipe, or 8 for rerank.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=0, help="Epochs without a better one that end the run; 0: none does."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=2, help="Pairs contrasted at once, by the recipe; queries of a rerank step, 32."
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(min=0.0, help="Peak learning rate; by the recipe, or 1e-3 for rerank."),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(min=0.0, help="By the recipe, or 0.01 for rerank.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], typer.Option(help="Precision of what is trained.")
    ] = "fp32",
    freeze: Annotated[
        str, typer.Option(help="What stays as it is: none, vision, text or layers:N of each tower.")
    ] = "none",
    lora: Annotated[
        int | None,
        typer.Option(
            min=1, help="Train adapters of this rank, merged into the weights at the end."
        ),
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(min=0.0, help="The adapters are scaled by this / rank; 2 x rank by default."),
    ] = None,
    lora_target: Annotated[
        Literal["attention", "all"] | None,
        typer.Option(help="Linear layers that get an adapter; attention by default."),
    ] = None,
    loss: Annotated[
        Literal["family", "cn_clip", "multi-positive", "sigmoid", "triplet", "arcface"],
        typer.Option(help="Loss; `family`: the one that the model was trained with."),
    ] = "family",
    margin: Annotated[
        float | None,
        typer.Option(min=0.0, help="Of triplet, a cosine; of arcface, an angle; 0.2 by default."),
    ] = None,
    duplicates: Annotated[
        Literal["near", "exact", "none"],
        typer.Option(help="Images that are correct wherever one of them is."),
    ] = "near",
    hard_negatives: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Wrong images near to each query that a batch adds."),
    ] = None,
    mine_every: Annotated[
        int | None,
        typer.Option(min=1, help="Steps between two searches for them; an epoch by default."),
    ] = None,
    mine_by: Annotated[
        str | None, typer.Option(help="Near by what: score, words, look; all by default.")
    ] = None,
    negative_ceiling: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Their highest score, as a share of the correct image's; 0.95."
        ),
    ] = None,
    augment_images: Annotated[
        str | None,
        typer.Option(
            help="crop, shift, flip, colour, cut-out, with commas, or none; shift,flip by default."
        ),
    ] = None,
    augment_text: Annotated[
        str | None,
        typer.Option(help="order, synonyms, drop, templates, with commas; none by default."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Template for all texts, such as 这是一个商品搜索：{query}"),
    ] = None,
    grad_cache: Annotated[
        int, typer.Option(min=0, help="Rows that a tower encodes at once; 0: the whole batch.")
    ] = 0,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Batches whose gradients are averaged for an update.")
    ] = 1,
    checkpointing: Annotated[
        bool,
        typer.Option("--checkpointing", help="Compute layers again instead of keeping them."),
    ] = False,
    mask_patches: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of an image's patches to leave out.")
    ] = 0.0,
    layer_decay: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Factor of the rate from layer to layer, downwards."),
    ] = 1.0,
    ema: Annotated[
        float, typer.Option(min=0, max=0.99999, help="Decay of averaged weights, which are saved.")
    ] = 0.0,
    why: Annotated[
        bool, typer.Option("--why", help="Say what may hinder the training, of a finished one too.")
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder to write TensorBoard's files to.", file_okay=False)
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that decode images; 0: one per core.")
    ] = 0,
    teacher: Annotated[
        str | None, typer.Option(help="MODEL whose vectors, or scores, the trained one follows.")
    ] = None,
    distil: Annotated[
        Literal["features", "relations"] | None,
        typer.Option(help="Its vectors, or its scores within a batch; relations by default."),
    ] = None,
    distil_weight: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Its share of the loss; 0.5 by default."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Start over, replacing OUT.")] = False,
) -> None:
    """Train or fine-tune a model, or train a reranker; run it again after a kill to resume."""
    import os

    # Waiting threads yield their core: on a busy machine, spinning makes a step several times as
    # long. OpenMP reads this once, when torch is loaded below.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from tusou.cli.progress import progress
    from tusou_lab.train.augment import AugmentSpec
    from tusou_lab.train.distillation_spec import DistillationSpec
    from tusou_lab.train.hard_negatives import NegativesSpec
    from tusou_lab.train.losses import LossSpec
    from tusou_lab.train.options import GivenOptions, run_task
    from tusou_lab.train.step_spec import StepSpec
    from tusou_lab.train.stopping import TrainingStopped

    try:
        with plain_errors(), progress() as bar:
            given = GivenOptions(
                task,
                model and name_model(model, hub),
                bundle,
                layers,
                epochs,
                batch_size,
                lr,
                weight_decay,
                seed,
                precision,
                freeze,
                lora,
                lora_alpha,
                lora_target,
                LossSpec(loss, margin, duplicates),
                NegativesSpec.parse(hard_negatives, mine_every, mine_by, negative_ceiling),
                AugmentSpec.parse(augment_images, augment_text),
                prompt,
                StepSpec(grad_cache, accumulate, checkpointing, mask_patches, layer_decay, ema),
                tuple(further or ()),
                recipe,
                patience,
                DistillationSpec.parse(teacher and name_model(teacher, hub), distil, distil_weight),
            )
            result = run_task(
                data,
                given,
                out,
                valid=valid,
                device=device,
                force=force,
                progress=bar,
                workers=workers,
                tensorboard=tensorboard,
                why=why,
            )
    except TrainingStopped as stopped:
        typer.secho(f"interrupted: {stopped}", err=True, fg="red")
        raise typer.Exit(128 + stopped.signal_number) from None
    if int(os.environ.get("RANK", "0")):  # of torchrun: the first process reports
        return
    for note in result.notes:
        typer.secho(f"note: {note}", err=True, fg="yellow")
    typer.echo(result.summary)
