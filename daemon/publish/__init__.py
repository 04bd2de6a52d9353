"""Readings and moods reach MQTT, the log and people."""
