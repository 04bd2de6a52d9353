"""Where samples come from: a microphone or a recording."""
