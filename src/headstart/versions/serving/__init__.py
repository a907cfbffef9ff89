"""Predictions of a registered version."""
