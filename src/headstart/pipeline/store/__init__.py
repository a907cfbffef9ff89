"""The local store of computed rows, by content."""
