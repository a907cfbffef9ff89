"""The network: build it, freeze it, cut it, train what comes after the cut."""
