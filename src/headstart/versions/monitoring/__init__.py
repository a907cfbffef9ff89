"""Monitoring: whether new images still look like those a version was trained on."""
