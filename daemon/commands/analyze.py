"""`affectd analyze`: recordings in, a line for each utterance out."""

import argparse
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from affectd.daemon import configuration
from affectd.daemon.capture.recording import Recording
from affectd.daemon.emotion.classifier import Classifier
from affectd.daemon.errors import AffectdError
from affectd.daemon.publish.console import verdict
from affectd.daemon.service import reading_fields
from affectd.daemon.settings import Settings
from affectd.daemon.speech.vad import RATE_HZ
from affectd.daemon.wiring import classifier_of, ear_of, quality_of, voice_of

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace) -> int:
    """Read each file; one that cannot be read is named, and the others are read all the same."""
    settings = configuration.load(args.config or configuration.find(os.environ), os.environ)
    classifier = classifier_of(settings)
    failed = False
    for path in args.files:
        try:
            silent = True
            for found in _read(path, settings, classifier):
                silent = False
                print(msgspec.json.encode(found).decode() if args.json else _line(found))
            if silent:
                logger.warning("no speech was found in %s", _printable(str(path)))
        except AffectdError as error:
            logger.error("%s", _printable(str(error)))
            failed = True
    return 1 if failed else 0


def _read(path: Path, settings: Settings, classifier: Classifier) -> Iterator[dict[str, Any]]:
    """The utterances of a recording, which is a voice of its own, as `--json` prints them."""
    recording = Recording(path, channel=settings.audio.channel)
    voice, quality = voice_of(settings, classifier.bundle), quality_of(settings)
    blocks = (block.samples for block in recording.blocks(threading.Event()))
    for heard in ear_of(settings).listen(blocks):
        encoding = classifier.encode(heard.features, heard.frames)
        reading = classifier.read(encoding, voice.mean_std())
        found = reading_fields(heard, reading, classifier.model, voice.utterances, quality)
        yield {"file": _printable(str(path)), "start_s": heard.utterance.start / RATE_HZ} | found
        if reading.is_speech:
            voice.hear(encoding)


def _printable(text: str) -> str:
    """The same with what is no Unicode, as a file name may hold, replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _line(found: dict[str, Any]) -> str:
    start_s, end_s = found["start_s"], found["start_s"] + found["duration_s"]
    decision = verdict(found["emotion"], found["confidence"], found["set"])
    return f"{found['file']}  {start_s:8.2f} to {end_s:.2f} s  {decision}"
