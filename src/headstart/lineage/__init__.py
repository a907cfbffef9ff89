"""Git and DVC: what made a result, and having it again. Nothing else calls these two programs."""

from headstart.lineage.commits import Commit, bundle, current_commit, keep_run, name_version, push_refs
from headstart.lineage.results import (
    DATA,
    LOCK,
    PIPELINE,
    add,
    cache_data,
    data_version,
    default_remote,
    describe_missing,
    digest_of,
    lock_digest,
    missing_on_remote,
    pull_data,
    push,
    push_data,
    stage_names,
    stale,
    versioned_files,
)
from headstart.lineage.stage_run import run_stage
from headstart.lineage.worker_clone import follow, is_stale

__all__ = [
    "DATA",
    "LOCK",
    "PIPELINE",
    "Commit",
    "add",
    "bundle",
    "cache_data",
    "current_commit",
    "data_version",
    "default_remote",
    "describe_missing",
    "digest_of",
    "follow",
    "is_stale",
    "keep_run",
    "lock_digest",
    "missing_on_remote",
    "name_version",
    "pull_data",
    "push",
    "push_data",
    "push_refs",
    "run_stage",
    "stage_names",
    "stale",
    "versioned_files",
]
