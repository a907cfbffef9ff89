"""Accuracy in production: labels that people give afterwards, an estimate until then, and alarms."""
