"""A release is one number, with a dated entry in the changelog."""

import re

from packaging.version import Version
from projects import ROOT

from headstart import __version__

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_has_an_entry_for_this_version() -> None:
    entries = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", CHANGELOG, flags=re.MULTILINE)
    assert entries[0] == __version__
    assert entries == sorted(entries, key=Version, reverse=True)


def test_every_entry_has_the_usual_sections_and_says_something() -> None:
    unreleased, *entries = re.split(r"^## .*$", CHANGELOG, flags=re.MULTILINE)[1:]
    for entry in entries:
        assert "\n- " in entry
    for entry in (unreleased, *entries):
        kinds = re.findall(r"^### (.+)$", entry, flags=re.MULTILINE)
        assert set(kinds) <= KINDS
        assert len(kinds) == len(set(kinds))
