"""Git and DVC: record what made a result, and restore it. Nothing else calls these two programs."""

from headstart.repository.commits import (
    Commit,
    bundle,
    check_recordable,
    current_commit,
    is_sent,
    keep_data,
    keep_run,
    name_version,
    project_folder,
    push_refs,
    run_of_version,
    send_data,
)
from headstart.repository.remote import Remote, pull_data, push_data
from headstart.repository.results import (
    DATA,
    LOCK,
    PIPELINE,
    add,
    cache_data,
    data_version,
    digest_of,
    lock_digest,
    stage_names,
    stale,
    versioned_files,
)
from headstart.repository.stage_run import run_stage
from headstart.repository.worker_clone import follow, is_stale

__all__ = [
    "DATA",
    "LOCK",
    "PIPELINE",
    "Commit",
    "Remote",
    "add",
    "bundle",
    "cache_data",
    "check_recordable",
    "current_commit",
    "data_version",
    "digest_of",
    "follow",
    "is_sent",
    "is_stale",
    "keep_data",
    "keep_run",
    "lock_digest",
    "name_version",
    "project_folder",
    "pull_data",
    "push_data",
    "push_refs",
    "run_of_version",
    "run_stage",
    "send_data",
    "stage_names",
    "stale",
    "versioned_files",
]
