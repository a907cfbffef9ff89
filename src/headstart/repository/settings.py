"""Section `repository` of params.yaml."""

import os

from headstart.ground.settings import Count, Section

SEND = "HEADSTART_PUSH_REFS"


class Repository(Section):
    push_refs: bool = False
    """whether refs of runs, versions and data are sent to the git remote, too"""
    keep_runs_days: Count = 90
    """days after which the ref of a run that made no version is removed"""

    @property
    def sends_refs(self) -> bool:
        """Whether refs are sent: `push_refs`, or HEADSTART_PUSH_REFS is 1, as for the workers of a team."""
        return self.push_refs or os.environ.get(SEND) == "1"
