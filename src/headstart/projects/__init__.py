"""A project that runs the installed package: its files, and bringing them up to date."""
