"""The `tusou` command: a table of verbs, each imported only when it is called."""

import faulthandler
import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Annotated, NoReturn, cast

import typer

from tusou import __version__
from tusou.cli.model_options import MODEL_VERBS, with_model_options
from tusou.cli.output import Terminated, print_io_error
from tusou.cli.verbosity import with_verbosity
from tusou.core.errors import InsufficientMemory, MissingDependency
from tusou.core.lazy_import import LazyImport, extras_named
from tusou.core.memory_budget import memory_shortage_named

# verb -> (its function, its help text): `tusou --help` imports no verb. A verb of two words belongs
# to the group that the first one names.
VERBS: dict[str, tuple[str, str]] = {
    "demo": (
        "tusou_lab.cli:demo",
        "Draw a pool, index it, serve it, replay its queries and score them.",
    ),
    "walkthrough": (
        "tusou_lab.walkthrough.cli:walkthrough",
        "Do a complete exercise on drawn data or your own, up to the submission.",
    ),
    "reproduce": (
        "tusou_lab.reproduce.cli:reproduce",
        "Measure a model on MUGE's files, beside the published figures.",
    ),
    "doctor": ("tusou.cli.doctor:doctor", "Check this machine, and say what to do."),
    "toy": ("tusou_lab.cli:toy", "Draw product images and their Chinese queries."),
    "check": ("tusou_lab.check.cli:check", "Report on the quality of a dataset."),
    "convert": ("tusou_lab.convert.cli:convert", "Write a dataset in another format."),
    "convert-model": (
        "tusou_lab.convert_model.cli:convert_model",
        "Write a model in another form, or put two towers together.",
    ),
    "split": ("tusou_lab.split.cli:split", "Divide a dataset into train, valid and test."),
    "train": ("tusou_lab.train.cli:train", "Train or fine-tune a model on images and queries."),
    "soup": ("tusou_lab.soup.cli:soup", "Average models that were trained from one start."),
    "distil": (
        "tusou_lab.distil.cli:distil",
        "Train a small query encoder that gives the vectors of a bundle's model.",
    ),
    "index": ("tusou_indexer.index_cli:index", "Encode images or texts into a searchable bundle."),
    "embed": ("tusou_indexer.embed_cli:embed", "Write vectors and their ids into files."),
    "compact": ("tusou_indexer.cli:compact", "Write live changes into the next version."),
    "stages": ("tusou_indexer.stages_cli:stages", "Change what happens after the index search."),
    "info": ("tusou_indexer.cli:info", "Describe a bundle, or a model and its training."),
    "verify": ("tusou_indexer.cli:verify", "Check every byte of a bundle."),
    "push": ("tusou_indexer.cli:push", "Copy a bundle into a store that speaks S3."),
    "serve": ("tusou_service.cli:serve", "Answer queries over HTTP."),
    "query": ("tusou_client.cli:query", "Search a running service."),
    "replay": (
        "tusou_client.cli:replay",
        "Write the results of a query file, ready to submit.",
    ),
    "watch": (
        "tusou_client.watch_cli:watch",
        "Keep a live service in step with a folder of images.",
    ),
    "load": ("tusou_client.cli:load", "Send queries at a fixed rate; report the latencies."),
    "evaluate": (
        "tusou_lab.evaluate.cli:evaluate",
        "Score search results against the correct answers.",
    ),
    "compare": ("tusou_lab.compare.cli:compare", "Test whether one search is better than another."),
    "fuse": ("tusou_lab.fuse.cli:fuse", "Fuse the rankings of several systems into one run."),
    "calibrate": (
        "tusou_lab.calibrate.cli:calibrate",
        "Fit the relevance of hits on judged queries.",
    ),
    "evalset plan": (
        "tusou_lab.evalset.cli.plan:plan",
        "Draw queries from a description of the domain, and from a log.",
    ),
    "evalset pool": (
        "tusou_lab.evalset.cli.pool:pool",
        "Pool the results of several systems, and draw the pairs to judge.",
    ),
    "evalset judge": (
        "tusou_lab.evalset.cli.judge:judge",
        "Grade the drawn pairs; resumes where it was stopped.",
    ),
    "evalset review": (
        "tusou_lab.evalset.cli.review:review",
        "Let people check a sample, on a page that needs no network.",
    ),
    "evalset agree": (
        "tusou_lab.evalset.cli.agree:agree",
        "Compare the judges of a set with each other and with themselves.",
    ),
    "evalset build": (
        "tusou_lab.evalset.cli.build:build",
        "Write the files of a judged set, and a card that says how it was made.",
    ),
    "sweep": ("tusou_lab.sweep.cli:sweep", "Compare prompts, pools, depths, indexes, precisions."),
    "improve": ("tusou_lab.improve.cli:improve", "Try stages, and take those that help."),
    "report": ("tusou_lab.report.cli:report", "Write a report of runs: one page to hand in."),
    "view": ("tusou_lab.view.cli:view", "Show queries with the images found, without answers."),
}

GROUPS = {"evalset": "Build an evaluation set for your own domain."}

# Verbs that run without PyTorch, with the extra `data`.
_LIGHT_VERBS = frozenset(
    {"check", "compare", "convert", "evaluate", "fuse", "info", "push", "split", "stages", "verify"}
)
_EPILOGS = {"serve": "tusou_service.settings:describe_settings"}


def main() -> None:
    """Run the command line; exit 0: done, 1: an error of ours, 2: wrong usage."""
    faulthandler.enable()  # print where a library crashed
    signal.signal(signal.SIGTERM, _terminate)
    # Warnings would break progress bars; `tusou check` reports the images that libraries warn of.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    verb = _called_verb([word for word in _words()[1:] if not word.startswith("-")])
    try:
        # Verbs import what they need when they run.
        with extras_named("cpu"), memory_shortage_named():
            _app(verb)()
    except (InsufficientMemory, MissingDependency) as error:
        typer.secho(f"{error.code}: {error}", err=True, fg="red")
        sys.exit(1)
    except OSError as error:  # results cannot be printed: stdout is a file on a full disk
        print_io_error(error)
        sys.exit(1)


def _called_verb(words: list[str]) -> str | None:
    """Return the verb that the words of a command line name; of a group, with its second word."""
    return " ".join(words[: 2 if words[0] in GROUPS else 1]) if words else None


def _words() -> list[str]:
    """Return the words of the command line, or of the one that a shell completes."""
    completed = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS")
    return completed.split() if completed and "_TUSOU_COMPLETE" in os.environ else sys.argv


def _terminate(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise Terminated


def _app(called: str | None) -> typer.Typer:
    names = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, context_settings=names)
    app.callback(help="Find product images with Chinese queries (图搜).")(_options)
    groups = {
        name: typer.Typer(no_args_is_help=True, context_settings=names, help=summary)
        for name, summary in GROUPS.items()
    }
    for verb, (target, summary) in VERBS.items():
        function = LazyImport(target).load() if verb == called else _listed(summary)
        if verb == called and verb in MODEL_VERBS:
            function = with_model_options(cast("Callable[..., None]", function))
        epilog = _epilog(verb) if verb == called else None
        group, _, name = verb.rpartition(" ")
        parent = groups[group] if group else app
        parent.command(name=name, epilog=epilog)(with_verbosity(function))  # type: ignore[arg-type]
    for name, group_app in groups.items():
        app.add_typer(group_app, name=name)
    return app


def _epilog(verb: str) -> str | None:
    """Return the text below the options in the help of a verb, if the help is asked for."""
    if verb not in _EPILOGS or not {"-h", "--help"}.intersection(sys.argv):
        return None
    describe = cast("Callable[[], str]", LazyImport(_EPILOGS[verb]).load())
    return describe()


def _listed(summary: str) -> Callable[[], None]:
    """Return a stand-in for a verb that the help only lists."""

    def stand_in() -> None: ...

    stand_in.__doc__ = summary
    return stand_in


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"tusou {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None: ...
