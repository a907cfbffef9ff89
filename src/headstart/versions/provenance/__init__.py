"""What made a version, whether it can be made again, and how two differ."""
