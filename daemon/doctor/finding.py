"""What a check finds, and everything that may be wrong by its name.

Each name has a section in docs/troubleshooting.md.
"""

from enum import Enum, unique
from typing import Any, Literal

import msgspec

State = Literal["ok", "warning", "failed", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """One line of `affectd doctor`."""

    check: str  # one of CHECKS
    state: State  # skipped: it could not be told, or is only worth knowing
    finding: str  # what it is, by the name of a Problem; empty if all is well
    message: str  # what was found
    remedy: str  # empty if there is nothing to do
    facts: dict[str, Any]  # what was measured, for programs; names carry units


@unique
class Problem(Enum):
    """What may be found, how bad that is, and what to do about it."""

    CHECK_HANGS = (
        "failed",
        "see whether the machine is overloaded or a disk or a server hangs, and try again",
    )
    CHECK_FAILS = ("failed", "report it with this line; the other checks do not depend on it")
    CHECK_CRASHES = (
        "failed",
        "see ~/.asoundrc and /etc/asound.conf if it is the microphone's; else install affectd anew",
    )
    NOT_PERMITTED = ("skipped", "try again with sudo, or as the user that affectd runs as")

    CONFIGURATION_WRONG = (
        "failed",
        "correct it; config/affectd.yaml documents every key, and `affectd config check` tries it",
    )

    RUNTIME_MISSING = (
        "failed",
        "install ai-edge-litert into affectd's environment, or tflite-runtime on 32-bit ARM",
    )

    CLOCK_NOT_SYNCHRONISED = (
        "warning",
        "`timedatectl set-ntp true`, or install systemd-timesyncd or chrony; "
        "until then readings may have wrong times",
    )
    CLOCK_WRONG = (
        "failed",
        "set it (`date`, `timedatectl set-time`), and see that the machine reaches a time server",
    )

    SOUND_NOT_PERMITTED = (
        "warning",
        "`sudo usermod -aG audio USER`, then log in again; the unit is in the group by itself",
    )
    SOUND_ABSENT = (
        "warning",
        "plug a microphone in, and see that `arecord -l` or `pactl list short sources` lists it",
    )
    SOUND_LIBRARY_MISSING = ("failed", "`sudo apt install libportaudio2`")
    SOUND_SERVER_HANGS = (
        "failed",
        "start it again: `systemctl --user restart pipewire pipewire-pulse wireplumber`, or "
        "`pulseaudio -k`; a running affectd is started again by systemd",
    )

    MICROPHONE_PAUSED = (
        "skipped",
        "to hear it, resume the node: send ON to its topic listening/set",
    )
    MICROPHONE_ABSENT = (
        "failed",
        "plug one in, and see that `arecord -l` or `pactl list short sources` lists it",
    )
    MICROPHONE_NOT_FOUND = (
        "failed",
        "set audio.device to a part of one line of `affectd devices`, or to null for the default",
    )
    MICROPHONE_UNUSABLE = (
        "failed",
        "see what else `affectd devices` lists, and that this user is in the group audio",
    )
    MICROPHONE_BUSY = (
        "failed",
        "end the other program, or give both a device that shares: that of a sound server",
    )
    MICROPHONE_IN_USE = (
        "skipped",
        "its topic `health` says what affectd hears; to measure here, stop it for a moment",
    )
    MICROPHONE_DEAF = (
        "failed",
        "unplug it and plug it in again; on a Raspberry Pi try another port or power supply",
    )
    MICROPHONE_FALTERS = (
        "warning",
        "try another USB port or cable, and see whether the machine is overloaded (`top`)",
    )
    MICROPHONE_SILENT = (
        "failed",
        "look for a mute switch; then `alsamixer` (F4, space), or "
        "`wpctl set-mute @DEFAULT_AUDIO_SOURCE@ 0`",
    )
    MICROPHONE_QUIET = (
        "warning",
        "raise it: `alsamixer` (F4), or `wpctl set-volume @DEFAULT_AUDIO_SOURCE@ 80%`; "
        "or bring it nearer",
    )
    MICROPHONE_CLIPS = (
        "warning",
        "lower it: `alsamixer` (F4; Mic Boost to 0), or "
        "`wpctl set-volume @DEFAULT_AUDIO_SOURCE@ 40%`; or move it away",
    )
    MICROPHONE_NOISY = (
        "warning",
        "move it away from fans and speakers, or lower its boost in `alsamixer` (F4)",
    )
    MICROPHONE_OFFSET = (
        "warning",
        "use another input or sound card; readings are right, but loud speech clips early",
    )
    NOISE_AS_SPEECH = (
        "warning",
        "move the microphone away from the noise, or raise speech.vad_mode to 3",
    )
    SPEECH_NOT_HEARD = ("skipped", "say something while it listens, or give it longer: --listen 10")

    BUNDLE_BROKEN = (
        "failed",
        "install affectd again, or set emotion.bundle to a folder that `affectd export` wrote",
    )
    BUNDLE_SLOW = (
        "warning",
        "see what else keeps the machine busy (`top`); emotion.networks cnn or lstm saves little",
    )

    BROKER_UNRESOLVABLE = (
        "failed",
        "check mqtt.host (`getent hosts NAME`), or give the broker's address instead",
    )
    BROKER_UNREACHABLE = (
        "failed",
        "check mqtt.host and mqtt.port, that the broker runs, that it listens beyond its own "
        "machine, and the firewall between",
    )
    BROKER_UNTRUSTED = (
        "failed",
        "check mqtt.tls, mqtt.ca_file and the clock; the certificate must be for the name in "
        "mqtt.host",
    )
    BROKER_CERTIFICATE_ENDS = (
        "warning",
        "make a new one and give it to the broker; after that day affectd does not connect",
    )
    BROKER_REFUSES = (
        "failed",
        "check mqtt.username and mqtt.password_file against the broker's own list",
    )
    BROKER_NO_ANSWER = (
        "failed",
        "check mqtt.port, mqtt.version and mqtt.transport, and whether it wants mqtt.tls",
    )
    BROKER_PUBLISH_REFUSED = (
        "failed",
        "allow it in the broker's access list: docs/many-nodes.md has one",
    )
    BROKER_SUBSCRIBE_REFUSED = (
        "failed",
        "allow it in the broker's access list: without it affectd hears no commands there",
    )
    BROKER_UNVERIFIED = (
        "skipped",
        "set mqtt.version to 5, by which a broker says what it refuses; or listen as another user "
        "while this one publishes",
    )
    BROKER_RETAINED_COMMAND = (
        "warning",
        "remove it: `mosquitto_pub -r -n -t TOPIC`, and have its sender not retain it",
    )

    HOME_ASSISTANT_OFF = ("skipped", "set home_assistant.discovery to device if you want it")
    HOME_ASSISTANT_UNKNOWN = ("skipped", "mend the broker first")
    HOME_ASSISTANT_NOT_SEEN = (
        "skipped",
        "nothing, if entities appear there; else set up its MQTT integration with this broker",
    )
    HOME_ASSISTANT_OFFLINE = ("warning", "start Home Assistant, or see its log")
    HOME_ASSISTANT_NOT_ANNOUNCED = (
        "skipped",
        "`affectd run` announces the node whenever it connects; if it runs, see its log",
    )

    JOURNAL_DAMAGED = (
        "failed",
        "restart affectd: it sets the file aside and begins a new one; see whether the disk fails "
        "(`dmesg`)",
    )
    JOURNAL_UNUSABLE = (
        "failed",
        "set journal.path to a file that affectd may write, or move away what is there",
    )
    JOURNAL_SET_ASIDE = (
        "warning",
        "see whether the disk fails (`dmesg`); delete what was set aside when nobody wants it",
    )
    JOURNAL_PENDING = ("warning", "see what is found of the broker; they follow when it is there")
    LOG_UNUSABLE = ("failed", "set log.path to a file that affectd may write")
    FILE_OF_ROOT = (
        "failed",
        "`sudo chown --reference=FOLDER FILE*`, and start affectd as its own user",
    )
    DISK_FULL = ("failed", "make room there: `df -h`, `journalctl --vacuum-size=100M`")
    DISK_LOW = ("warning", "make room there soon: `df -h`, `journalctl --vacuum-size=100M`")

    UNIT_NO_SYSTEMD = ("skipped", "nothing: affectd runs where you start it")
    UNIT_NOT_INSTALLED = ("skipped", "the README says how to install it, if it shall always run")
    UNIT_DISABLED = (
        "warning",
        "`sudo systemctl enable affectd`, so that it starts with the system",
    )
    UNIT_INACTIVE = ("warning", "`sudo systemctl start affectd`")
    UNIT_FAILED = (
        "failed",
        "`journalctl -u affectd -n 50` says why; then `systemctl restart affectd`",
    )
    UNIT_RESTARTS = ("warning", "`journalctl -u affectd` says why it ended")
    UNIT_EXPOSED = (
        "warning",
        "install the unit that comes with affectd, and see `systemd-analyze security affectd`",
    )
    UNIT_NO_LINGER = (
        "warning",
        "`sudo loginctl enable-linger USER`, so that it runs while you are not logged in",
    )

    def __init__(self, state: State, remedy: str) -> None:
        self.state = state
        self.remedy = remedy

    @property
    def slug(self) -> str:
        """Its name, as it is printed and as docs/troubleshooting.md has it."""
        return self.name.lower().replace("_", "-")


def well(check: str, message: str, **facts: object) -> Finding:
    """Nothing is wrong."""
    return Finding(check, "ok", "", message, "", facts)


def wrong(check: str, problem: Problem, message: str, **facts: object) -> Finding:
    """Something is."""
    return Finding(check, problem.state, problem.slug, message, problem.remedy, facts)
