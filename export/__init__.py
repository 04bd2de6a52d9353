"""Keras networks become a bundle that the daemon runs."""
