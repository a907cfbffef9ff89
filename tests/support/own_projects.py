"""Projects made by `headstart init`: they run the package, and hold no code."""

from pathlib import Path

from projects import draw_images, dvc, edit_params, make_narrow

from headstart.projects.new_project import Made, begin


def nothing(folder: Path) -> None:
    """Draw no sample."""


def make_project(root: Path, *, ci: str | None = None) -> Made:
    """Begin a project without images."""
    return begin(root, False, ci, nothing)


def make_project_with_images(root: Path) -> None:
    """Begin a project that has images of two classes and a narrow network, as tests train it."""
    make_project(root)
    make_narrow(root)
    edit_params(root, **{"backbone.weights": "random"})
    draw_images(root / "data", {"dark": 24, "light": 24})
    dvc(root, "add", "--quiet", "data")
