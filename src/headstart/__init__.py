"""Headstart: fine-tune a new head on a frozen VGG16 and carry it to production."""

__version__ = "0.1.0"
