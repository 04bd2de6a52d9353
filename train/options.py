"""Options that several commands of `affectd train` share."""

import argparse
from pathlib import Path
from typing import Final

SYSTEMS: Final = ("cnn", "lstm", "svm", "mlp", "mfcc cnn", "mfcc lstm")
GATE_STEPS: Final = 2000
ENCODER: Final = Path("recordings/encoder/whisper_tiny_en_encoder.npz")


def add_recordings(command: argparse.ArgumentParser) -> None:
    """Where recordings lie."""
    from affectd.train.corpora.layouts import LAYOUTS

    recordings = command.add_argument_group(
        "recordings",
        "Of those given, the first in this order is tested on folds of its speakers; each with "
        "people of its own is also left out in turn.",
    )
    for key, layout in LAYOUTS.items():
        recordings.add_argument(
            f"--{key.replace('_', '-')}",
            dest=key,
            type=Path,
            metavar="DIR",
            help=f"{layout.name} as published: {layout.example} …",
        )
    for option, metavar, text in (
        ("--table", "FILE", "CSV table of your own recordings: file, speaker, emotion"),
        ("--test-only", "FILE", "the same for recordings that nothing is learnt from"),
        ("--noise", "DIR", "sounds that are not speech, household noise first"),
        ("--music", "DIR", "the same for music, which is never laid under voices"),
        ("--tried-noise", "DIR", "other sounds that are not speech, to be tested with"),
        ("--plain", "DIR", "speech without acted emotion, for the speech gate"),
    ):
        recordings.add_argument(
            option,
            type=Path,
            action="append",
            default=[],
            metavar=metavar,
            help=f"{text}; repeatable",
        )
    for option, text in (
        ("--rooms", "impulse responses of rooms to learn from: files, or folders of them"),
        ("--tried-rooms", "impulse responses of other rooms, to be tested in"),
    ):
        recordings.add_argument(option, type=Path, nargs="+", default=[], metavar="PATH", help=text)
    recordings.add_argument(
        "--encoder",
        type=Path,
        default=ENCODER,
        metavar="FILE",
        help=f"the speech encoder of `affectd train fetch encoder` (default: {ENCODER})",
    )


def add_systems(command: argparse.ArgumentParser) -> None:
    """Which systems are fitted."""
    command.add_argument(
        "--systems",
        nargs="+",
        choices=SYSTEMS,
        default=list(SYSTEMS),
        metavar="SYSTEM",
        help=f"of {', '.join(SYSTEMS)} only these (default: all; CNN and LSTM are also joined)",
    )


def add_seeds(command: argparse.ArgumentParser) -> None:
    """How often they are fitted."""
    command.add_argument("--seeds", type=positive, default=3, help="repetitions (default: 3)")


def add_recipe(command: argparse.ArgumentParser) -> None:
    """What they are fitted with."""
    command.add_argument(
        "--set",
        dest="changes",
        type=_change,
        action="append",
        default=[],
        metavar="INGREDIENT=VALUE",
        help="change the recipe, such as steps=500; repeatable",
    )


def add_scheduler(command: argparse.ArgumentParser) -> None:
    """Where they are fitted."""
    command.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="fit on the workers of this Dask scheduler, such as tcp://10.0.0.5:8786",
    )


def add_gate_steps(command: argparse.ArgumentParser) -> None:
    """How long the speech gate is fitted."""
    command.add_argument(
        "--gate-steps",
        type=positive,
        default=GATE_STEPS,
        metavar="N",
        help=f"batches that the speech gate is fitted to (default: {GATE_STEPS})",
    )


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form INGREDIENT=VALUE")
    return name, value
