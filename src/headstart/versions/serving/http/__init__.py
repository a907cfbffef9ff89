"""The server of `headstart serve`: images over HTTP, with one version that follows its alias."""
