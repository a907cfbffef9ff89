"""Networks of every shape become files of other runtimes, with the numbers of this one."""

from pathlib import Path

import numpy as np
import pytest
from predictors import NETWORKS, predictor_of

from headstart.errors import HeadstartError
from headstart.versions.export import onnx_file, torch_file
from headstart.versions.export.description import describe
from headstart.versions.export.program import program_of


@pytest.mark.parametrize("name", NETWORKS)
def test_both_files_give_the_probabilities_of_the_network(name: str, tmp_path: Path) -> None:
    predictor = predictor_of(**NETWORKS[name])
    pixels = np.random.default_rng(2).integers(0, 256, (3, 224, 224, 3), np.uint8)
    expected = predictor.predict_pixels(pixels)
    program, description = program_of(predictor), describe(predictor, "models:/m/1", "r")
    onnx_file.write(program, description, tmp_path / "a.onnx")
    torch_file.write(program, description, tmp_path / "a.pt2")
    for run in (onnx_file.open_session(tmp_path / "a.onnx"), torch_file.open_program(tmp_path / "a.pt2")):
        found = run(pixels)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-5
        assert np.abs(run(pixels[:1]) - expected[:1]).max() < 1e-5


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(HeadstartError, match=r"needs onnxscript, .*pip install 'headstart\[onnx\]'"):
        onnx_file.check_installed()
