"""headstart.lock.yaml: a stage runs what it names, and nothing else in the package runs it again."""

import shutil
from importlib import metadata
from pathlib import Path

import pytest
from projects import ROOT
from ruamel.yaml import YAML

from headstart import __version__
from headstart.errors import DamagedFile, LineageError
from headstart.ground import import_closure, paths
from headstart.projects import lock_file
from headstart.repository import code_lock, environments
from headstart.repository.code_lock import MODULES, check, running, take_libraries


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, copied to be edited, as installed among others."""
    copy = tmp_path / "site-packages" / "headstart"
    shutil.copytree(paths.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy.parent / "torch").mkdir()
    (copy.parent / "torch/__init__.py").write_text("import uvicorn\n")
    monkeypatch.setattr(import_closure, "PACKAGE", copy)
    return copy


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lock_file.write(tmp_path, lock_file.contents({"dvc.yaml": "stages: {}\n"}))
    return tmp_path


def edit(project: Path, stage: str, part: str, value: object) -> None:
    path = project / paths.CODE_LOCK
    lock = YAML(typ="safe", pure=True).load(path)
    lock["stages"][stage][part] = value
    YAML().dump(lock, path)


def stages_changed(package: Path, name: str, text: str) -> set[str]:
    """The stages whose entry changes if a file of the package gets another line."""
    before = {stage: running(stage) for stage in MODULES}
    path = package / name
    path.write_text(path.read_text() + text)
    return {stage for stage in MODULES if running(stage) != before[stage]}


def test_an_installed_package_has_the_digests_of_the_clone(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {stage: running(stage) for stage in MODULES}
    monkeypatch.setattr(import_closure, "PACKAGE", paths.PACKAGE)
    assert there == {stage: running(stage) for stage in MODULES}


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("pipeline/training/loop.py", "\nNEW = 1\n", {"train"}),
        ("pipeline/evaluation/report.html.j2", "<p>new</p>", {"evaluate"}),
        ("pipeline/pages/page.css", "p {}", {"validate", "inspect", "evaluate"}),
        ("ground/paths.py", "\nNEW = 1\n", set(MODULES)),
        ("cli/main.py", "\nNEW = 1\n", set()),
        ("orchestration/services.py", "\nNEW = 1\n", set()),
        ("versions/release/gate.py", "\nNEW = 1\n", set()),
        ("errors.py", "\nNEW = 1\n", set()),
        ("pipeline/training/loop.py", "\nimport uvicorn\n", {"train"}),
    ],
)
def test_a_stage_depends_on_what_it_runs(package: Path, name: str, text: str, changed: set[str]) -> None:
    assert stages_changed(package, name, text) == changed


def test_the_libraries_are_those_that_are_imported(package: Path) -> None:
    found = {stage: set(running(stage)["libraries"]) for stage in MODULES}
    assert {"torch", "safetensors", "pandas", "pyarrow"} <= found["train"]
    assert {"pillow", "great-expectations"} <= found["validate"]
    assert {"matplotlib", "scipy", "scikit-learn"} <= found["evaluate"]
    assert not {"uvicorn", "mlflow", "prefect", "dvc", "tqdm"} & set().union(*found.values())


def test_every_imported_library_has_the_name_of_its_distribution() -> None:
    distributions = metadata.packages_distributions()
    for stage in MODULES:
        for module in import_closure.libraries(MODULES[stage]):
            named = code_lock.DISTRIBUTIONS.get(module, module)
            assert named in {name.lower().replace("_", "-") for name in distributions[module]}


def test_what_is_locked_is_what_runs(project: Path) -> None:
    check()
    check(["train"], project)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("code", "0" * 64, "train has other code"),
        ("libraries", {"torch": "1.0"}, r"train has numpy .* \(locked: none\)"),
    ],
)
def test_another_package_is_an_error_that_names_the_way_out(
    project: Path, part: str, value: object, said: str
) -> None:
    edit(project, "train", part, value)
    with pytest.raises(LineageError, match=f"{said}.*`headstart upgrade` takes this one"):
        check(["train"])
    with pytest.raises(LineageError, match="headstart upgrade"):
        check()
    check(["features"])


def test_a_build_of_the_same_version_is_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version
    monkeypatch.setattr(environments.metadata, "version", lambda name: version(name) + "+cpu")
    check()


def test_a_lock_that_lacks_a_stage_does_not_pass(project: Path) -> None:
    path = project / paths.CODE_LOCK
    path.write_text("headstart: 0.1.0\n")
    with pytest.raises(LineageError, match="backbone is not in it; validate is not in it"):
        check()


@pytest.mark.parametrize(
    "text",
    [
        "headstart: 0.2.0\nstages: [b]\n",
        "headstart: 0.2.0\nfiles: [a]\n",
        "headstart: dev build\nstages: {}\n",
        "stages: {}\n",
        "headstart: 0.2.0\nstages: {train: {libraries: {}}}\n",
        "[]\n",
        "{",
    ],
)
def test_a_damaged_lock_is_named_with_the_way_to_make_it_again(project: Path, text: str) -> None:
    (project / paths.CODE_LOCK).write_text(text)
    with pytest.raises(DamagedFile, match=r"headstart\.lock\.yaml.*git checkout.*headstart upgrade"):
        check()


def test_a_conflict_of_two_upgrades_is_named(project: Path) -> None:
    path = project / paths.CODE_LOCK
    path.write_text(f"<<<<<<< HEAD\n{path.read_text()}=======\n>>>>>>> theirs\n")
    with pytest.raises(DamagedFile, match="holds the marks of a git conflict.*--theirs.*headstart upgrade"):
        check()


def test_an_older_package_is_not_advised_to_upgrade(project: Path) -> None:
    path = project / paths.CODE_LOCK
    path.write_text(path.read_text().replace(f"headstart: {__version__}", "headstart: 99.0"))
    edit(project, "train", "code", "0" * 64)
    with pytest.raises(LineageError, match=r"install headstart 99\.0") as caught:
        check()
    assert "headstart upgrade" not in str(caught.value)


def test_pins_that_differ_from_what_runs_are_not_recorded(project: Path) -> None:
    shutil.copy(ROOT / "requirements.lock", project)
    code_lock.check_pins()
    text = (project / "requirements.lock").read_text()
    version = metadata.version("markupsafe")
    (project / "requirements.lock").write_text(text.replace(f"markupsafe=={version}", "markupsafe==1.0"))
    with pytest.raises(LineageError, match=f"pins markupsafe 1.0, and .* names {version} for stage"):
        code_lock.check_pins()


def test_without_the_file_there_is_nothing_to_check(tmp_path: Path) -> None:
    check(folder=tmp_path)


def test_a_reproduction_takes_the_libraries_that_are_here_and_no_other_code(project: Path) -> None:
    edit(project, "train", "libraries", dict.fromkeys(running("train")["libraries"], "1.0"))
    take_libraries(project)
    check()
    imported = {"numpy": "1.0", "gone": "1.0"}  # which ones is up to the recorded code
    edit(project, "features", "libraries", imported)
    take_libraries(project)
    found = code_lock.read(project)["stages"]["features"]["libraries"]
    assert found == {"numpy": metadata.version("numpy"), "gone": "none"}
    edit(project, "features", "libraries", running("features")["libraries"])
    edit(project, "train", "code", "0" * 64)
    take_libraries(project)
    with pytest.raises(LineageError, match="train has other code"):
        check()
