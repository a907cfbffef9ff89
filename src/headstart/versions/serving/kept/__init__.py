"""Answered requests that a server keeps: rows in SQLite, image files by their digest."""
