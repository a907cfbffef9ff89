"""The report on a flow run's page: correct for every outcome, and narrow enough for a phone."""

import json
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from packed import hold
from PIL import Image

from headstart.errors import DamagedFile
from headstart.versions.registry.versions import Registered
from headstart.versions.release import mistakes
from headstart.versions.release.decision import Decision, Verdict
from headstart.versions.release.overview import as_markdown

PICTURE = re.compile(r"!\[\]\(data:image/jpeg;base64,([^)]+)\)")
WIDEST_ROW = 48  # characters that Prefect's page shows at 420 pixels


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    write_results(Path("artifacts"))
    client = MlflowClient(uri, uri)
    client.create_registered_model("headstart")
    for accuracy in (0.8, 0.9):
        run = client.create_run("0")
        figures = {"accuracy": accuracy, "accuracy_low": accuracy - 0.1, "accuracy_high": accuracy + 0.05}
        for name, value in {**figures, "balanced_accuracy": accuracy}.items():
            client.log_metric(run.info.run_id, f"test/{name}", value)
        client.log_param(run.info.run_id, "evaluate.confidence", "0.95")
        client.create_model_version(
            "headstart", "file:///none", run.info.run_id, description="PASS: all\nmore"
        )
        version = client.search_model_versions("name = 'headstart'", order_by=["version_number DESC"])[0]
        client.set_model_version_tag("headstart", version.version, "gate", "passed")
    return client


def write_results(folder: Path) -> None:
    """Predictions of 9 test images, of which all but the last are wrong, behind an image of another split."""
    folder.mkdir(exist_ok=True)
    names = ["train.png", *(f"{index}.png" for index in range(9))]
    labels = ["dog", *["dog"] * 7, "c|t", "dog"]
    images = pd.DataFrame({"path": names, "split": ["train", *["test"] * 9], "label": labels})
    test = images[1:].assign(predicted=[*["c|t"] * 7, "dog", "dog"], confidence=np.linspace(0.6, 0.9, 9))
    test[["path", "label", "predicted", "confidence"]].to_parquet(folder / "predictions.parquet", index=False)
    shades = np.arange(10, dtype=np.uint8)[:, None, None, None] * 20
    listed = hold(np.broadcast_to(shades, (10, 224, 224, 3)), images)
    listed.to_parquet(folder / "images.parquet")


def report(
    version: str,
    aliases: tuple[str, ...],
    is_new: bool = True,
    verdict: Verdict | None = "passed",
    rival: str | None = None,
    is_unchanged: bool = False,
) -> str:
    """The page of a run that judged the version, or found it judged if `verdict` is None."""
    registered = Registered("headstart", version, aliases, "run", is_new, True)
    decision = Decision(verdict, (), rival, "accuracy 0.9") if verdict else None
    return as_markdown(registered, "3 new, 0 changed, 0 removed", decision, is_unchanged)


def test_a_version_that_was_rejected_is_no_champion(client: MlflowClient) -> None:
    client.set_model_version_tag("headstart", "1", "gate", "failed")
    said = report("1", (), verdict="failed")
    assert said.startswith("## Did not pass: headstart version 1\n")
    assert "**Rejected.**" in said
    assert "There is no champion to compare with." in said
    assert "is the champion" not in said
    assert "Data: 3 new, 0 changed, 0 removed" in said
    assert "PASS: all\n" in said
    assert "more" not in said


def test_figures_stand_beside_the_champions_in_rows_that_a_telephone_shows(client: MlflowClient) -> None:
    client.set_registered_model_alias("headstart", "champion", "1")
    said = report("2", ("challenger",))
    assert "**Accepted.**" in said
    assert "The champion is version 1" in said
    assert "Intervals are of 95 % confidence." in said
    assert "| accuracy | 0.900 | 0.800 |" in said
    assert "| *interval* | 0.800\u20130.950 | 0.700\u20130.850 |" in said
    assert "| roc auc | not defined | not defined |" in said
    rows = [PICTURE.sub("", line).replace("*", "") for line in said.splitlines() if line.startswith("|")]
    assert max(len(line) for line in rows) <= WIDEST_ROW
    assert "This version is the champion." in report("1", ("champion",))


def test_each_outcome_of_a_judgement_is_shown(client: MlflowClient) -> None:
    assert "**Champion.** No other version was champion" in report("1", ("challenger", "champion"))
    assert report("1", ("challenger",)).startswith("## Passed: ")
    said = report("1", (), verdict="inconclusive")
    assert said.startswith("## Inconclusive: ")
    assert "**Inconclusive.** Its test images do not decide." in said
    assert "without an alias" in said
    assert "judged" not in said  # by this run, as every reader expects


def test_a_version_that_an_interrupted_try_registered_is_judged_now(client: MlflowClient) -> None:
    said = report("2", ("challenger",), is_new=False, rival="1")
    assert "**Accepted.**" in said
    assert "the gate judged it just now" in said
    assert "Registered before" not in said
    rejected = report("2", ("staging",), is_new=False, verdict="failed")
    assert "The version and its run are kept. Aliases now: `staging`." in rejected
    assert "It has the alias already" in report("2", ("champion",), is_new=False, rival="1")


def test_a_verdict_of_an_earlier_run_has_its_own_time_and_champion(client: MlflowClient) -> None:
    run_id = client.get_model_version("headstart", "2").run_id
    for day in (2, 1):  # the last decision counts, in any order
        client.log_metric(run_id, "gate/accuracy", 0.9, timestamp=day * 86_400_000)
    client.set_model_version_tag("headstart", "2", "compared_with", "1")
    client.set_model_version_tag("headstart", "2", "gate", "failed")
    said = report("2", (), is_new=False, verdict=None, is_unchanged=True)
    assert said.startswith("## Did not pass: ")
    assert "**Unchanged.**" in said
    assert "given on 1970-01-03 00:00 UTC, when it was compared with version 1. Aliases now: none." in said
    found = report("1", ("challenger", "champion"), is_new=False, verdict=None)
    assert "**Registered before.**" in found
    assert "given earlier, when no other version was champion" in found  # by a version before the times
    assert "Aliases now: `challenger`, `champion`." in found


def test_each_kind_of_mistake_is_shown_before_any_is_repeated(client: MlflowClient) -> None:
    lines = mistakes.as_markdown()
    assert lines[0] == "8 of 9 test images are wrong; the most confident, kinds in turn:"
    rows = lines[4:]
    assert len(rows) == mistakes.SHOWN
    assert r"**c\|t** taken for **dog**, 86.2%<br>7.png" in rows[0]
    assert r"**dog** taken for **c\|t**, 82.5%<br>6.png" in rows[1]
    assert "5.png" in rows[2]
    for row, number in zip(rows, (7, 6, 5, 4, 3, 2), strict=True):
        found = PICTURE.search(row)
        assert found is not None
        picture = Image.open(BytesIO(b64decode(found[1])))
        assert picture.size == (96, 96)
        assert abs(np.asarray(picture).mean() - 20 * (number + 1)) < 2  # the row of this very image
    assert len("\n".join(lines)) < 100_000


def test_a_picture_that_is_too_large_is_named_and_right_answers_are_not_shown(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mistakes, "MOST_BYTES", 10)
    assert "not shown: " in mistakes.as_markdown()[4]
    path = Path("artifacts/predictions.parquet")
    table = pd.read_parquet(path)
    for count, said in ((1, "1 of 9 test images is wrong:"), (6, "6 of 9 test images are wrong:")):
        predicted = table["predicted"].where(np.arange(9) < count, table["label"])
        table.assign(predicted=predicted).to_parquet(path, index=False)
        assert mistakes.as_markdown()[0] == said
    table.assign(predicted=table["label"]).to_parquet(path, index=False)
    assert mistakes.as_markdown() == ["All 9 test images are right."]
    path.unlink()
    with pytest.raises(DamagedFile, match="predictions.parquet"):
        mistakes.as_markdown()


def test_images_are_counted_by_class_and_split(client: MlflowClient, tmp_path: Path) -> None:
    import mlflow

    from headstart.versions.registry.dataset import DvcSource, ImageFolder

    counts = {"light": {"train": 4, "test": 2}, "dark": {"train": 3, "test": 1}}
    run_id = client.get_model_version("headstart", "1").run_id
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run(run_id=run_id):
        mlflow.log_input(ImageFolder(DvcSource("data", "0" * 32, "c"), counts), context="training")
    said = report("1", ())
    assert "| images | train | test |" in said
    assert said.index("| dark | 3 | 1 |") < said.index("| light | 4 | 2 |")
    assert json.dumps(counts) not in said
