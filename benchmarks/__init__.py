"""What figures are made with."""
