"""Moods and what the microphones did, for the journal; the readings come with their publication."""

import time

from affectd.daemon.publish.journal import Journal
from affectd.daemon.publish.messages import (
    DiagnosticsMessage,
    HealthMessage,
    MoodMessage,
    UtteranceMessage,
    iso,
)


class Chronicle:
    """Enters each change into the journal; safe to use from the threads of several nodes."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def utterance(self, message: UtteranceMessage) -> None:
        """Leave it out: it was entered before it was published."""

    def mood(self, message: MoodMessage) -> None:
        """Enter the mood."""
        self._journal.mood(message)

    def speech(self, is_speaking: bool) -> None:
        """Leave it out."""

    def diagnostics(self, message: DiagnosticsMessage) -> None:
        """Leave it out: it may tell of what is withheld."""

    def health(self, message: HealthMessage) -> None:
        """Enter whether it listens."""
        now = iso(time.time())
        self._journal.listening(message.node, message.listening, message.reason, now)
