"""`tusou train`: its options and its output."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            help="Dataset with the splits train and valid, or DATA#SPLIT to train on; by default, "
            "the first --data."
        ),
    ] = None,
    valid: Annotated[
        str | None,
        typer.Argument(help="DATA#SPLIT to validate on; by default, the valid split of DATA."),
    ] = None,
    *,
    further: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="DATA to train on, or more of it; DATA:0.3 for three tenths of its pairs; "
            "repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Checkpoint or folder to write the best epoch on valid to.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="MODEL to fine-tune, of any family, or a .json of cn_clip to train from scratch."
        ),
    ] = None,
    hub: Hub = None,
    task: Annotated[
        Literal["contrastive", "rerank"],
        typer.Option(help="Train the towers, or a cross-encoder that reranks a bundle's results."),
    ] = "contrastive",
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Bundle whose results to rerank.", exists=True, file_okay=False
        ),
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, max=12, help="Layers of the cross-encoder; 2 by default.")
    ] = None,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="For rerank: do not look for refusals in texts."),
    ] = False,
    recipe: Annotated[
        Literal["small", "medium", "large"] | None,
        typer.Option(help="Defaults of other options; by default, by the number of pairs."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Most epochs; by the recipe, or 8 for rerank.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=0, help="Epochs without improvement after which to stop; 0: never."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=2, help="Pairs of a batch, by the recipe; for rerank, queries of a batch, 32."
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(min=0.0, help="Peak learning rate; by the recipe, or 1e-3 for rerank."),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(min=0.0, help="Decay of the optimiser; by the recipe, or 0.01 for rerank."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], typer.Option(help="Precision of the computation.")
    ] = "fp32",
    freeze: Annotated[
        str, typer.Option(help="What to freeze: none, vision, text, or layers:N of each tower.")
    ] = "none",
    lora: Annotated[
        int | None,
        typer.Option(
            min=1, help="Train adapters of this rank, merged into the weights at the end."
        ),
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(min=0.0, help="Adapters are scaled by this / rank; by default, 2 x rank."),
    ] = None,
    lora_target: Annotated[
        Literal["attention", "all"] | None,
        typer.Option(help="Linear layers that get an adapter; by default, attention."),
    ] = None,
    loss: Annotated[
        Literal["family", "cn_clip", "multi-positive", "sigmoid", "triplet", "arcface"],
        typer.Option(help="Loss function; `family`: the one that the model was trained with."),
    ] = "family",
    margin: Annotated[
        float | None,
        typer.Option(min=0.0, help="Margin of triplet (a cosine) or arcface (radians); 0.2."),
    ] = None,
    duplicates: Annotated[
        Literal["near", "exact", "none"],
        typer.Option(help="Images to treat as the same image: if one is correct, all are."),
    ] = "near",
    hard_negatives: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Similar but wrong images to add to a batch, per query."),
    ] = None,
    mine_every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps between searches for hard negatives; by default, an epoch."
        ),
    ] = None,
    mine_by: Annotated[
        str | None,
        typer.Option(help="Sources of hard negatives: score, words, look; by default, all."),
    ] = None,
    negative_ceiling: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Highest score of a hard negative, as a share of the correct image's; 0.95.",
        ),
    ] = None,
    augment_images: Annotated[
        str | None,
        typer.Option(
            help="crop, shift, flip, colour, cut-out, separated by commas, or none; by default, "
            "shift,flip."
        ),
    ] = None,
    augment_text: Annotated[
        str | None,
        typer.Option(
            help="order, synonyms, drop, templates, separated by commas; by default, none."
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Template to put all queries into, such as 这是一个商品搜索：{query}"),
    ] = None,
    grad_cache: Annotated[
        int, typer.Option(min=0, help="Rows that a tower encodes at a time; 0: the whole batch.")
    ] = 0,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Batches whose gradients are averaged for each update.")
    ] = 1,
    checkpointing: Annotated[
        bool,
        typer.Option(
            "--checkpointing", help="Save memory: compute activations again in the backward pass."
        ),
    ] = False,
    mask_patches: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of each image's patches to leave out.")
    ] = 0.0,
    layer_decay: Annotated[
        float,
        typer.Option(
            min=0.01, max=1, help="Factor of the learning rate from each layer to the one below."
        ),
    ] = 1.0,
    ema: Annotated[
        float,
        typer.Option(
            min=0, max=0.99999, help="Decay of a moving average of the weights to save; 0: none."
        ),
    ] = 0.0,
    why: Annotated[
        bool,
        typer.Option("--why", help="Print why the training may not help, also of a finished run."),
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder to write TensorBoard's files to.", file_okay=False)
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that decode images; 0: one per core.")
    ] = 0,
    teacher: Annotated[
        str | None, typer.Option(help="MODEL to learn from, besides the labels.")
    ] = None,
    distil: Annotated[
        Literal["features", "relations"] | None,
        typer.Option(
            help="Learn the teacher's vectors (features) or its scores in a batch (relations); "
            "by default, relations."
        ),
    ] = None,
    distil_weight: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of the teacher in the loss; 0.5 by default."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the order of the data and initial weights.")
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Start over, replacing OUT.")] = False,
) -> None:
    """Train or fine-tune a model, or train a reranker; repeat the command to resume a run."""
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
    from tusou_lab.train.sources import all_sources
    from tusou_lab.train.step_spec import StepSpec
    from tusou_lab.train.stopping import TrainingStopped

    try:
        with plain_errors(), progress() as bar:
            main_data, *more_data = all_sources(data, further or ())
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
                tuple(more_data),
                recipe,
                patience,
                DistillationSpec.parse(teacher and name_model(teacher, hub), distil, distil_weight),
                not no_interpret,
            )
            result = run_task(
                main_data,
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
