from pathlib import Path

import pytest

from headstart.cli.entering import enter_with
from headstart.ground.paths import PACKAGE


def test_paths_typed_in_a_subfolder_are_seen_from_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / "src/headstart").symlink_to(PACKAGE)
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "me@home.png").touch()
    absolute = folder / "answers.parquet"
    absolute.touch()
    monkeypatch.chdir(folder)

    seen = enter_with("a.png", "me@home.png", str(absolute), "models:/headstart/1", "headstart@champion")

    assert Path.cwd() == tmp_path
    assert seen == [
        "photos/a.png",
        "photos/me@home.png",
        str(absolute),
        "models:/headstart/1",
        "headstart@champion",
    ]
