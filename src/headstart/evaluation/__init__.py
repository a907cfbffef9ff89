"""What a trained head is worth: metrics with intervals, plots and the report."""
