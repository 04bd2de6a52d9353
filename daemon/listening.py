"""Who may listen, and by which rules, though the nodes are wired anew."""

import logging
import os
import threading
from collections.abc import Sequence

from affectd.daemon.capture.microphone import Microphone, lookout_now
from affectd.daemon.capture.source import Source
from affectd.daemon.control import Control
from affectd.daemon.events import about
from affectd.daemon.settings import Settings, pause_path

logger = logging.getLogger(__name__)


class Listening:
    """The microphones that are in use, if any, and what each node was told.

    A node keeps pause and commands when its microphone is replaced by another one of that name.
    listen() may be used from any thread, and counts also while there are no microphones.
    """

    def __init__(self) -> None:
        self._lookout = lookout_now()
        self._lock = threading.Lock()
        self._microphones: dict[str, Microphone] = {}  # by node
        self._former: dict[str, Microphone] = {}
        self._wanted: bool | None = None  # what was told while there were none
        self._controls: dict[str, Control] = {}

    def listen(self, may: bool) -> None:
        """Resume all if it may be listened, else pause them."""
        with self._lock:
            if not self._microphones:
                self._wanted = may
            for microphone in self._microphones.values():
                microphone.listen(may)

    def open(self, nodes: Sequence[Settings]) -> dict[str, Microphone]:
        """A microphone for each node, paused if the node was."""
        with self._lock:
            self._microphones = {node.node: self._microphone(node) for node in nodes}
            self._former, self._wanted = {}, None
            return self._microphones

    def let_go(self) -> None:
        """Take that the microphones are not used any more."""
        with self._lock:
            self._former, self._microphones = self._microphones or self._former, {}

    def control(self, node: str, source: Source) -> Control:
        """What a node is told, which goes to its source from now on."""
        control = self._controls.setdefault(node, Control())
        if isinstance(source, Microphone):
            control.attach(source.listen)
        return control

    def _microphone(self, settings: Settings) -> Microphone:
        audio, former = settings.audio, self._former.get(settings.node)
        if self._wanted is not None:
            paused = not self._wanted
        elif former is not None:
            paused = former.is_paused
        else:
            paused = pause_path(settings, os.environ).exists()
        if paused:
            logger.info(
                "%s is paused, as it was before; SIGUSR2 or MQTT resumes listening",
                settings.node,
                extra=about(settings.node),
            )
        return Microphone(audio.device, audio.channel, paused, self._lookout, settings.node)
