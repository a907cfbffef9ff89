"""Stage backbone, and the network: build it, freeze it, cut it."""
