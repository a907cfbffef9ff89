"""Images in, trained head out: one package per stage of dvc.yaml, none of which talks to a server."""
