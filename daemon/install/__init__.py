"""The service under systemd: what is put where, and how that is taken back."""
