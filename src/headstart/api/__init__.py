"""Use from Python: `headstart.load` and `headstart.Project`."""
