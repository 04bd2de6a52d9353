"""`affectd train …`: the desktop stage on the command line."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from affectd.train.corpora.corpus import Corpus
    from affectd.train.data import Sources
    from affectd.train.fits import Data
    from affectd.train.runs import RunConfig

DEFAULT_WORKDIR: Final = Path("build/train")
NETWORKS: Final = ("svm", "mlp", "cnn", "lstm")


def run(words: Sequence[str]) -> int:
    """Run one command of `affectd train`; return its exit status."""
    args = parser().parse_args(words)
    args.run(args)
    return 0


def parser() -> argparse.ArgumentParser:
    """What `affectd train` understands."""
    from affectd.train.corpora import fetch

    top = argparse.ArgumentParser(
        prog="affectd train", description="Measure and fit networks on labelled recordings."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    fetch.add_command(commands)
    _add_music(commands)
    evaluate = _command(
        commands, "evaluate", "measure every network on speakers it has never heard", _evaluate
    )
    _add_networks(evaluate, NETWORKS)
    _add_folds(evaluate)
    _add_recipe(evaluate)
    _add_scheduler(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the main figures as JSON")
    ablate = _command(
        commands, "ablate", "measure on validation speakers what each ingredient brings", _ablate
    )
    _add_networks(ablate, ("cnn", "lstm"))
    ablate.add_argument(
        "--only", nargs="+", metavar="CHANGE", help="of the changes, only these (default: all)"
    )
    _add_folds(ablate)
    _add_recipe(ablate)
    _add_scheduler(ablate)
    formats = _command(
        commands, "formats", "measure what smaller weights cost, after `evaluate`", _formats
    )
    _add_recipe(formats)
    final = _command(
        commands, "final", "fit CNN, LSTM and gate on all, for `affectd export`", _final
    )
    final.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    _add_recipe(final)
    ancestor = _command(
        commands, "ancestor", "show what a random split of oversampled clips pretends", _ancestor
    )
    ancestor.add_argument("--seeds", type=_positive, default=3, help="repetitions (default: 3)")
    report = commands.add_parser(
        "report",
        help="show the figures of an evaluation",
        description="Show the figures of an evaluation, by default of the committed one.",
    )
    report.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="folder with report.json (default: the committed report)",
    )
    report.add_argument("--json", action="store_true", help="print the main figures as JSON")
    report.set_defaults(run=_report)
    return top


def _add_music(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "play the scores of a game into recordings of music, for --noise"
    command = commands.add_parser(
        "music",
        help=text,
        description=text.capitalize() + ". By default it is Freedoom, as Debian has it.",
    )
    command.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="the folder to write them into"
    )
    command.add_argument(
        "--games", type=Path, nargs="+", metavar="WAD", help="with MIDI scores (default: Freedoom)"
    )
    command.add_argument(
        "--fonts",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="sound fonts to play them with, in turn (default: Debian's FluidR3 and MuseScore)",
    )
    command.set_defaults(run=_music)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form INGREDIENT=VALUE")
    return name, value


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    description: str,
    run: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=description, description=description.capitalize() + "."
    )
    command.set_defaults(run=run)
    _add_recordings(command)
    command.add_argument(
        "--workdir",
        type=Path,
        default=DEFAULT_WORKDIR,
        metavar="DIR",
        help=f"where features, weights and reports are kept (default: {DEFAULT_WORKDIR})",
    )
    command.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        help="parallel processes (default: one a core)",
    )
    return command


def _add_recordings(command: argparse.ArgumentParser) -> None:
    from affectd.train.corpora.layouts import LAYOUTS

    recordings = command.add_argument_group(
        "recordings",
        "Of those given, the first in this order is tested; the others are only learnt from.",
    )
    for key, layout in LAYOUTS.items():
        recordings.add_argument(
            f"--{key.replace('_', '-')}",
            dest=key,
            type=Path,
            metavar="DIR",
            help=f"{layout.name} as published: {layout.example} …",
        )
    recordings.add_argument(
        "--table",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="CSV table of your own recordings with the columns file, speaker, emotion; repeatable",
    )
    for option, what in (
        ("--noise", "sounds that are not speech, household noise first; repeatable"),
        ("--tried-noise", "other sounds that are not speech, to be tested with; repeatable"),
        ("--plain", "speech without acted emotion, taught as neutral; repeatable"),
    ):
        recordings.add_argument(
            option, type=Path, action="append", default=[], metavar="DIR", help=what
        )
    recordings.add_argument(
        "--rooms",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="impulse responses of rooms to learn from: files, or folders of them",
    )
    recordings.add_argument(
        "--tried-rooms",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="impulse responses of other rooms, to be tested in",
    )


def _add_networks(command: argparse.ArgumentParser, names: Sequence[str]) -> None:
    command.add_argument(
        "--networks",
        nargs="+",
        choices=names,
        default=list(names),
        help="which to fit (default: all; CNN and LSTM are also joined)",
    )


def _add_folds(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seeds", type=_positive, default=3, help="repetitions (default: 3)")
    command.add_argument(
        "--folds",
        type=int,
        nargs="+",
        choices=range(1, 7),
        default=list(range(1, 7)),
        help="which of the six folds to test on (default: all)",
    )


def _add_recipe(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        dest="changes",
        type=_change,
        action="append",
        default=[],
        metavar="INGREDIENT=VALUE",
        help="change the recipe, such as epochs=10; repeatable",
    )


def _add_scheduler(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="fit on the workers of this Dask scheduler, such as tcp://10.0.0.5:8786",
    )


def _music(args: argparse.Namespace) -> None:
    from affectd.train import music

    count = music.render(args.to, args.games, args.fonts)
    print(f"{count} pieces of {music.SECONDS} s in {args.to}")


def _evaluate(args: argparse.Namespace) -> None:
    from affectd.train import report
    from affectd.train.evaluate import evaluate
    from affectd.train.readings import readings
    from affectd.train.runs import JOINED, run_all

    data, corpora = _data(args)
    config = replace(_config(args), networks=tuple(args.networks))
    runs, gates = run_all(data, config, args.workdir / "runs", args.jobs, args.scheduler)
    made = report.Made(
        config=config,
        corpora=tuple(corpus.report() for corpus in corpora),
        utterances=data.examples.report(),
        fitted_s=sum(run.took_s for run in runs) + sum(gate.took_s for gate in gates),
    )
    is_joined = any(run.system == JOINED for run in runs)
    of_sounds = None
    if data.noise is not None and is_joined and len(config.folds) > 1:
        of_sounds = readings(data, data.noise, runs, gates)
    folder = args.workdir / "evaluation"
    written = report.write(folder, data, made, evaluate(data, runs), of_sounds)
    if args.json:
        print(json.dumps(report.summary(written)))
    else:
        print(f"{report.table(written)}\n\nPictures and figures: {folder}/report.md")


def _ablate(args: argparse.Namespace) -> None:
    from affectd.train import report
    from affectd.train.ablation import CHANGES, ablate
    from affectd.train.recipe import RecipeError

    names = list(CHANGES) if args.only is None else [next(iter(CHANGES)), *args.only]
    if unknown := set(names) - set(CHANGES):
        raise RecipeError(
            f"there is no change {', '.join(map(repr, unknown))}; there are {', '.join(CHANGES)}"
        )
    data, _ = _data(args)
    config = replace(_config(args), networks=tuple(args.networks))
    folder = args.workdir / "ablation"
    changes = {name: CHANGES[name] for name in dict.fromkeys(names)}
    result = ablate(data, config, changes, folder, args.jobs, args.scheduler)
    report.put_beside(args.workdir / "evaluation", report.ABLATION, data, config.recipe, result)
    print(report.ablation_table(result))


def _formats(args: argparse.Namespace) -> None:
    from affectd.export.formats import choose, measure
    from affectd.train import report
    from affectd.train.runs import load_all

    data, _ = _data(args)
    config = _config(args)
    runs = load_all(data, config, args.workdir / "runs")
    table = measure(data, runs, seed=0)
    report.put_beside(args.workdir / "evaluation", report.FORMATS, data, config.recipe, table)
    for form, figures in table.items():
        print(form, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print(f"chosen: {choose(table)}")


def _final(args: argparse.Namespace) -> None:
    from affectd.train.final import fit_final

    data, corpora = _data(args)
    folder = args.workdir / "final"
    fit_final(data, corpora, _config(args).recipe, args.seed, folder, args.jobs)
    print(f"Fitted on all; now: affectd export --workdir {args.workdir} --to DIR")


def _ancestor(args: argparse.Namespace) -> None:
    from affectd.train import ancestor
    from affectd.train.data import corpora
    from affectd.train.provenance import commit

    corpus = corpora(_sources(args))[0]
    print(corpus.report())
    table = ancestor.table(ancestor.reproduce(corpus, tuple(range(args.seeds)), args.jobs))
    args.workdir.mkdir(parents=True, exist_ok=True)
    path = args.workdir / "ancestor.md"
    path.write_text(f"{table}\n\nAccuracy in percent, {args.seeds} seeds, commit {commit()}.\n")
    print(f"{table}\n\nWritten to {path}")


def _report(args: argparse.Namespace) -> None:
    from affectd.train import report

    shown = report.load(args.folder or report.COMMITTED)
    print(json.dumps(report.summary(shown)) if args.json else report.markdown(shown))


def _sources(args: argparse.Namespace) -> "Sources":
    from affectd.train.corpora.layouts import LAYOUTS
    from affectd.train.data import Sources

    return Sources(
        corpora={key: getattr(args, key) for key in LAYOUTS if getattr(args, key) is not None},
        tables=tuple(args.table),
        noise=tuple(args.noise),
        tried_noise=tuple(args.tried_noise),
        plain=tuple(args.plain),
        rooms=tuple(args.rooms),
        tried_rooms=tuple(args.tried_rooms),
    )


def _data(args: argparse.Namespace) -> "tuple[Data, list[Corpus]]":
    from affectd.train.data import gather

    data, corpora = gather(_sources(args), args.workdir, args.jobs)
    for corpus in corpora:
        print(corpus.report(), file=sys.stderr)
    print(data.examples.report(), file=sys.stderr)
    return data, corpora


def _config(args: argparse.Namespace) -> "RunConfig":
    from affectd.train.recipe import Recipe
    from affectd.train.runs import RunConfig

    recipe = Recipe().changed(dict(args.changes))
    folds = tuple(fold - 1 for fold in getattr(args, "folds", (1,)))
    return RunConfig(folds=folds, seeds=tuple(range(getattr(args, "seeds", 1))), recipe=recipe)
