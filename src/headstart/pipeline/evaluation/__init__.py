"""Stage evaluate: metrics with intervals, plots and the report."""
