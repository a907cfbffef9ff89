"""Publishing a version: registration, gate, aliases, champion, journal, card."""
