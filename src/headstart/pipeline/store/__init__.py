"""The local, content-addressed store of computed rows."""
