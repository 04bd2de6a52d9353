"""What each `affectd` command does; imported by the command that is run."""
