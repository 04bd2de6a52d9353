"""Errors a person can act on; each says whose fault it is."""


class AffectdError(Exception):
    """Base of every error that affectd reports in one sentence instead of a traceback."""

    exit_status = 1


class SettingsError(AffectdError):
    """The configuration or the command line is wrong."""

    exit_status = 2


class BundleError(AffectdError):
    """The networks' bundle is missing, damaged or made for other features."""


class DeviceError(AffectdError):
    """The microphone is missing, ambiguous, busy or gone."""


class AudioHangsError(DeviceError):
    """The audio library does not return from a call: only another process can go on."""


class RecordingError(AffectdError):
    """A recording is missing, unreadable, empty or holds no valid samples."""


class BrokerError(AffectdError):
    """The MQTT broker cannot be used as configured."""


class BrokerRefusesError(BrokerError):
    """The MQTT broker takes the connection and refuses the login, or what is asked."""


class CommandError(AffectdError):
    """A command that came over MQTT is none, or cannot be obeyed here."""


class LogError(AffectdError):
    """The log of readings cannot be written where the configuration puts it."""


class JournalError(AffectdError):
    """The journal of readings cannot be used."""


class VoiceError(AffectdError):
    """The voice that was kept is damaged, or cannot be read or removed."""


class WatchError(AffectdError):
    """The affectd on this machine cannot be watched."""


class ReportError(AffectdError):
    """A report cannot be made, or not be written where it is wanted."""


class InstallError(AffectdError):
    """The service cannot be installed or removed here, or not by this user."""
