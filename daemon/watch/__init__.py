"""What `affectd watch` shows: sources -> inbox -> scene -> picture."""
