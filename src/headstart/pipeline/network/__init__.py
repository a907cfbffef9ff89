"""Stage backbone, and the network: how it is built, frozen and cut."""
