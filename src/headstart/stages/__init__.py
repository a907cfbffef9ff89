"""One file a stage of dvc.yaml; each is a plain function of paths and parameters."""
