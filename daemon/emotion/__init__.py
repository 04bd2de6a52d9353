"""Features become readings, and readings become a mood."""
