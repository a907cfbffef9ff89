"""Stage train: everything after the cut."""
