"""What the figures of the documents are made with."""
