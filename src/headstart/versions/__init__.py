"""Everything that happens to a registered version; only this imports MLflow."""
