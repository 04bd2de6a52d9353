"""`affectd voice show|reset`: what this node has learnt of its speech, and forgetting it."""

import argparse
import os
from pathlib import Path

import msgspec

from affectd.daemon import configuration
from affectd.daemon.emotion import bundle as bundles
from affectd.daemon.emotion.bundle import Bundle
from affectd.daemon.emotion.voice_file import load
from affectd.daemon.errors import VoiceError
from affectd.daemon.settings import voice_path
from affectd.daemon.wiring import bundle_folder


def run(args: argparse.Namespace) -> int:
    """Show or remove the file of the configured node.

    Raises VoiceError, BundleError or SettingsError.
    """
    settings = configuration.load(args.config or configuration.find(os.environ), os.environ)
    path = voice_path(settings, os.environ)
    if args.action == "reset":
        print(_reset(path))
    else:
        _show(path, bundles.load(bundle_folder(settings)), args.json)
    return 0


def _show(path: Path, bundle: Bundle, as_json: bool) -> None:
    try:
        state = load(path, bundle.encoder.digits, bundle.encoder.width)
    except VoiceError as error:
        raise VoiceError(
            f"{error}; the next start of affectd moves it aside, and adaptation starts anew"
        ) from error
    known = {
        "file": str(path),
        "utterances": state.utterances if state else 0,
        "speech_s": round(state.frames * bundle.frame_s, 1) if state else 0.0,
        "share": round(state.share, 3) if state else 0.0,
        "updated": state.updated if state else None,
    }
    if as_json:
        print(msgspec.json.encode(known).decode())
    elif state is None:
        print(f"there is no voice in {path} yet")
    else:
        print(
            f"{path}, written {state.updated}\n"
            f"{state.utterances} utterance(s) heard; {known['speech_s']:.0f} s of speech make "
            f"{state.share:.0%} of its mean, the training voices the rest"
        )


def _reset(path: Path) -> str:
    """Remove the file, and tell."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no voice in {path}; nothing to forget"
    except OSError as error:
        raise VoiceError(
            f"{path} cannot be removed ({error.strerror}); try again as the user affectd runs as"
        ) from error
    return (
        f"the voice in {path} is forgotten; a running affectd starts anew with its next utterance"
    )
