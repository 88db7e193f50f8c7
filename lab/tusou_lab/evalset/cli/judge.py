"""`tusou evalset judge`: its options and its output."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tusou.cli.output import plain_errors, print_json
from tusou_lab.evalset.cli.options import AsJson, SetPath


def judge(
    folder: SetPath,
    judge_name: Annotated[
        Literal["attributes", "clip", "llm"], typer.Option("--judge", help="Judge to use.")
    ] = "llm",
    url: Annotated[
        str | None, typer.Option("--llm", help="Server of a vision language model: http://.../v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model on the server.")] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File with the server's API key.", exists=True, dir_okay=False),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="For clip: a calibrated bundle; the pooled one by default.", exists=True),
    ] = None,
    thresholds: Annotated[
        str, typer.Option(help="For clip: lowest relevance for the grades 1, 2 and 3.")
    ] = "0.25,0.5,0.75",
    repeats: Annotated[int, typer.Option(min=1, max=10, help="Grades of each pair.")] = 1,
    in_flight: Annotated[int, typer.Option(min=1, max=512, help="Questions asked at once.")] = 16,
    image_side: Annotated[
        int, typer.Option(min=32, max=4096, help="Longer side of the images sent, in pixels.")
    ] = 448,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds without any answer after which to give up.")
    ] = 60,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one answer.")] = 120,
    temperature: Annotated[
        float,
        typer.Option(
            min=0, max=2, help="Sampling temperature of the model; 0: most likely answer."
        ),
    ] = 0,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="Price of a million input tokens.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="Price of a million output tokens.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grade the drawn pairs from 0 to 3; repeat the command to resume."""
    from tusou.cli.progress import progress
    from tusou_lab.evalset.attribute_judge import AttributeJudge
    from tusou_lab.evalset.clip_judge import ClipJudge, parse_thresholds
    from tusou_lab.evalset.judge import judge_set
    from tusou_lab.evalset.llm_cost import TokenPrices
    from tusou_lab.evalset.llm_judge import LlmJudge, LlmSpec
    from tusou_lab.evalset.open_judge import favoured_systems, open_clip_judge, open_llm_judge
    from tusou_lab.evalset.pool import open_pool
    from tusou_lab.evalset.set_folder import SetFolder

    if judge_name == "llm" and (url is None or model is None):
        raise typer.BadParameter("give --llm URL and --model NAME, or another --judge")
    if judge_name != "llm" and (url or model or repeats > 1):
        raise typer.BadParameter(
            f"--llm, --model and --repeats do not apply to --judge {judge_name}, which uses no "
            "server and always gives the same grade"
        )
    if judge_name != "clip" and bundle is not None:
        raise typer.BadParameter("--bundle needs --judge clip")
    favoured: list[str] = []
    with plain_errors(), progress() as bar:
        prices = TokenPrices.of(price_in, price_out)
        opened = SetFolder(folder)
        pooled = open_pool(opened)
        chosen: AttributeJudge | ClipJudge | LlmJudge
        if judge_name == "clip":
            chosen = open_clip_judge(opened, pooled, bundle, parse_thresholds(thresholds))
            favoured = favoured_systems(opened, chosen)
        elif url is None or model is None:
            chosen = AttributeJudge(pooled)
        else:
            spec = LlmSpec(url, model, None, in_flight, image_side, patience, temperature, timeout)
            chosen = open_llm_judge(opened, pooled, spec, key_file)
        report = judge_set(opened, chosen, repeats, bar)
    if favoured:
        typer.secho(
            f"note: this judge shares a model with {', '.join(favoured)}, and favours what they "
            "find: compare these systems by the grades of another judge or of people",
            err=True,
            fg="yellow",
        )
    cost = asdict(chosen.cost) if isinstance(chosen, LlmJudge) else {}
    if prices is not None:
        cost |= prices.figures(chosen.cost, report) if isinstance(chosen, LlmJudge) else {}
    if as_json:
        facts = {"favoured": favoured} if judge_name == "clip" else cost
        print_json({**asdict(report), **facts})
        return
    grades = ", ".join(f"{count} of grade {grade}" for grade, count in report.grades.items())
    typer.echo(f"{report.judged} judged now, {report.known} before; {grades or 'no grade'}")
    _print_cost(cost)
    if missing := repeats * report.pairs - report.judged - report.known:
        typer.echo(f"{missing} of {report.pairs} pairs cannot be judged by {judge_name}")


def _print_cost(cost: dict[str, Any]) -> None:
    if cost:
        typer.echo(
            f"{cost['questions']} questions, {cost['tokens']:,} tokens; {cost['reused']} judgments "
            f"of equal images reused, {cost['refused']} answers without a grade"
        )
    if "price" in cost:
        typer.echo(f"price {cost['price']:.4f} now, {cost['price_in_all']:.4f} in total")
