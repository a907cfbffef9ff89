"""A worker only writes in its own clone, and only the files that may be sent to it."""

from pathlib import Path

import pytest

from headstart.errors import LineageError
from headstart.repository import worker_clone


@pytest.mark.parametrize(
    "name", ["src/headstart/params.py", "../data.dvc", "/data.dvc", "artifacts/../../x.dvc"]
)
def test_no_other_file_is_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LineageError, match=r"only params\.yaml, dvc\.lock and \.dvc files"):
        worker_clone.take("0" * 40, {"params.yaml": "", name: ""})
    assert list(tmp_path.iterdir()) == []


def test_a_tree_that_is_no_workers_clone_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSTART_CLONE", raising=False)
    with pytest.raises(LineageError, match="HEADSTART_CLONE is None"):
        worker_clone.check_own()
    monkeypatch.setenv("HEADSTART_CLONE", str(tmp_path / "another"))
    with pytest.raises(LineageError, match="another"):
        worker_clone.check_own()
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("HEADSTART_CLONE", str(tmp_path / "link"))
    worker_clone.check_own()
