"""A damaged file of DVC is an error that names it and what to do."""

from pathlib import Path

import pytest

from headstart.errors import DamagedFile
from headstart.repository import data_version, lock_digest, stage_names
from headstart.repository.worker_clone import merge_entry

LOCK = """schema: '2.0'
stages:
  train:
    cmd: bin/headstart train
    outs:
    - path: artifacts/head.safetensors
      md5: 0123
"""
CONFLICT = f"<<<<<<< HEAD\n{LOCK}=======\n{LOCK}>>>>>>> other\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_marks_of_a_conflict_are_named(folder: Path) -> None:
    for name, read in (("dvc.lock", lock_digest), ("data.dvc", data_version), ("dvc.yaml", stage_names)):
        (folder / name).write_text(CONFLICT)
        with pytest.raises(DamagedFile, match=rf"{name} holds the marks of a git conflict; .*`git checkout`"):
            read()


@pytest.mark.parametrize("size", [0, 8, 22, 25, 33, 66])
def test_a_cut_lock_is_named(folder: Path, size: int) -> None:
    (folder / "dvc.lock").write_text(LOCK)
    assert len(lock_digest()) == 64
    (folder / "dvc.lock").write_text(LOCK[:size])
    with pytest.raises(DamagedFile, match=r"cannot read dvc\.lock: it is cut off or damaged"):
        lock_digest()


@pytest.mark.parametrize("text", ["", "outs: []", "outs:\n- path: data\n", "- 1", "a: [", "\0", "a: !!int b"])
def test_a_damaged_data_file_is_named(folder: Path, text: str) -> None:
    (folder / "data.dvc").write_text(text)
    with pytest.raises(DamagedFile, match=r"cannot read data\.dvc: it is cut off or damaged.*`dvc add data`"):
        data_version()


def test_an_entry_is_not_merged_into_a_damaged_lock(folder: Path) -> None:
    (folder / "dvc.lock").write_text(CONFLICT)
    with pytest.raises(DamagedFile, match=r"cannot read dvc\.lock"):
        merge_entry("train", "train: {cmd: x}")
    assert (folder / "dvc.lock").read_text() == CONFLICT
