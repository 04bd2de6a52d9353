"""affectd hears how people feel: speech emotion from a microphone to MQTT."""

__version__ = "0.1.0"
