"""Is a microphone's stream alive? Judged by what arrives when; knows no device and no clock."""

from typing import Final

STARTS_S: Final = 5.0  # within which an open stream must deliver for the first time
DEAF_S: Final = 2.0  # without a sample for so long, the stream is dead
GAP_S: Final = 0.5  # so much missing audio, for
SETTLED_S: Final = 1.0  # so long, is a gap: what is only late has arrived by then
WINDOW_S: Final = 20.0  # over which the rate is measured
STRAYS: Final = 0.03  # a rate that differs by more than this share is another one
MUTE_S: Final = 10.0  # of samples that are all alike, after which a microphone counts as silent
DRIFT_S: Final = 600.0  # after which the drift of its clock is known well enough to be told


class Watch:
    """Follows one stream from its opening; every time is in seconds of one steady clock.

    After a gap a sound server may go on with another device's audio and no sign of it, so a gap
    is a reason to open anew, even where samples flow again.
    """

    def __init__(self, rate_hz: int, now_s: float) -> None:
        """rate_hz: that was asked for; now_s: when the stream was opened."""
        self._rate_hz = rate_hz
        self._opened_s = self._newest_s = self._sound_s = now_s
        self._began_s: float | None = None  # when the first sample was recorded, about
        self._samples = 0
        self._anchor_s = now_s  # when it would have been, had no sample come late
        self._late_s = 0.0  # of the newest sample
        self._least_late_s = 0.0  # in this window
        self._longest_pause_s = 0.0  # between two arrivals in this window
        self._missing_since_s: float | None = None
        self._window = (now_s, 0)  # when it began, and the samples until then
        self.is_strange = False  # whether it delivers another rate than was asked for

    @property
    def reached_s(self) -> float:
        """Until when everything has been delivered."""
        return self._newest_s - self._late_s

    @property
    def is_mute(self) -> bool:
        """Whether it has delivered nothing but silence for MUTE_S."""
        return self._newest_s - self._sound_s >= MUTE_S

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than this clock the device's runs; None until that is known."""
        if self._began_s is None or self._newest_s - self._began_s < DRIFT_S:
            return None
        ratio = self._samples / (self._newest_s - self._began_s) / self._rate_hz
        return 1e6 * (ratio - 1)

    def push(self, now_s: float, samples: int, is_still: bool) -> str | None:
        """Take what has arrived by now; return why the stream must be opened anew, or None.

        samples: how many, a channel; perhaps none. is_still: whether all of a channel are alike.
        """
        if samples:
            self._arrived(now_s, samples, is_still)
        elif self._began_s is None:
            if now_s - self._opened_s >= STARTS_S:
                return f"it has delivered nothing within {STARTS_S:g} s"
            return None
        elif now_s - self._newest_s >= DEAF_S:
            return f"it has delivered nothing for {DEAF_S:g} s"
        return self._gap(now_s) or self._other_rate(now_s)

    def _arrived(self, now_s: float, samples: int, is_still: bool) -> None:
        if self._began_s is None:
            self._began_s = self._anchor_s = self._sound_s = now_s - samples / self._rate_hz
            self._window = (now_s, samples)
        else:
            self._longest_pause_s = max(self._longest_pause_s, now_s - self._newest_s)
        self._samples += samples
        self._newest_s = now_s
        if not is_still:
            self._sound_s = now_s
        self._late_s = now_s - self._anchor_s - self._samples / self._rate_hz
        self._least_late_s = min(self._least_late_s, self._late_s)
        if self._late_s < 0:  # the first samples were late themselves
            self._anchor_s += self._late_s
            self._late_s = self._least_late_s = 0.0

    def _gap(self, now_s: float) -> str | None:
        if self._late_s < GAP_S:
            self._missing_since_s = None
        elif self._missing_since_s is None:
            self._missing_since_s = now_s
        elif now_s - self._missing_since_s >= SETTLED_S:
            if self._longest_pause_s < GAP_S / 2:  # nothing was missed at once: it is too slow
                return self._strange(now_s)
            return f"{self._late_s:.1f} s are missing; what follows may be of another device"
        return None

    def _other_rate(self, now_s: float) -> str | None:
        since_s, before = self._window
        if self._began_s is None or now_s - since_s < WINDOW_S:
            return None
        measured = (self._samples - before) / (now_s - since_s)
        if abs(measured / self._rate_hz - 1) > STRAYS:
            return self._strange(now_s)
        self._window = (now_s, self._samples)
        self._longest_pause_s = 0.0
        self._anchor_s += self._least_late_s  # so much slower is the device's clock
        self._least_late_s = self._late_s = self._late_s - self._least_late_s
        return None

    def _strange(self, now_s: float) -> str:
        since_s, before = self._window
        measured = (self._samples - before) / (now_s - since_s)
        self.is_strange = True
        return f"it delivers {measured:.0f} Hz where {self._rate_hz} Hz were asked for"
