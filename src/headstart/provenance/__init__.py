"""What made a version, whether it can be made again, and what differs between two."""
