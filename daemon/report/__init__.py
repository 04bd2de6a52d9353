"""A day, week or month of the journal as figures, plots and one page."""
