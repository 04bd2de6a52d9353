"""Writes what the site tells of configuration, payloads and commands, from the code itself."""
