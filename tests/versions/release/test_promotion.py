"""Changes of champion: judged, recorded, put back; with good and bad versions of the same images."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from projects import edit_params, headstart, repro

from headstart.errors import HeadstartError
from headstart.params import load_params
from headstart.versions.registry import tracking, versions
from headstart.versions.release import journal, promotion
from headstart.versions.release.promotion import Outcome
from headstart.versions.release.settings import Requirements

pytestmark = pytest.mark.slow


@dataclass
class Registry:
    """A project with good versions 1 (champion) and 2, and a bad version 3."""

    root: Path
    client: MlflowClient

    def headstart(self, *arguments: str, status: int = 0) -> str:
        return headstart(self.root, *arguments, status=status)

    def set_by_hand(self, number: str, alias: str = "champion") -> None:
        self.client.set_registered_model_alias("headstart", alias, number)

    def champion(self) -> str | None:
        return versions.champion(self.client, "headstart")

    def reconcile(self, say: promotion.Say = print) -> Outcome:
        return promotion.reconcile("headstart", wanted(), say)

    def changes(self) -> list[journal.Change]:
        found = journal.read(self.client, "headstart")
        assert found.faults == ()
        return [entry.change for entry in found.entries]

    def tags(self, number: str) -> dict[str, str]:
        return dict(self.client.get_model_version("headstart", number).tags)


def wanted() -> Requirements:
    return load_params(Path("params.yaml")).requirements


@pytest.fixture(scope="module")
def registered(common_repository: Path) -> Path:
    root = common_repository
    edit_params(root, **{"gate.min_images": 4, "gate.min_class_images": 2, "gate.confidence": 0.5})
    edit_params(root, **{f"gate.{name}": None for name in ("mirror", "brightness", "shift", "encoding")})
    edit_params(root, **{"register.thresholds.accuracy": 0.7, "register.thresholds.balanced_accuracy": 0.7})
    for change in ({}, {"train.lr": 0.02}, {"train.lr": 1e-9, "train.epochs": 1, "train.seed": 3}):
        edit_params(root, **change)
        repro(root)
        headstart(root, "register")
    return root


@pytest.fixture
def registry(registered: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Version 1 is champion, whatever an earlier test left."""
    monkeypatch.chdir(registered)
    found = Registry(registered, tracking.connect())
    before = found.changes()[-1].after
    if before != "1":
        journal.append(found.client, "headstart", journal.Change("promotion", before, "1", "a test"))
        found.set_by_hand("1")
    return found


def test_the_first_champion_is_in_the_journal_and_other_aliases_are_not(registry: Registry) -> None:
    assert [(each.before, each.after, each.who) for each in registry.changes()] == [(None, "1", "training")]
    assert registry.reconcile().change is None
    registry.set_by_hand("3", "Champion")
    assert registry.reconcile().change is None


def test_a_bad_version_set_by_hand_is_put_back_once(registry: Registry) -> None:
    registry.set_by_hand("3")
    refused = registry.reconcile()
    assert refused.is_refusal
    assert registry.champion() == "1"
    assert registry.changes()[-1].refused == "3"
    assert registry.changes()[-1].who == "by hand, unknown"
    assert "FAIL" in registry.tags("3")["promotion.refused"]
    page = registry.client.get_model_version("headstart", "3").description
    assert page.startswith("FAIL: ")
    assert "Promotion refused" in page
    assert registry.reconcile().change is None  # its own change triggers nothing


def test_a_good_version_set_by_hand_stays_with_its_reason(registry: Registry) -> None:
    registry.client.set_model_version_tag("headstart", "2", "promotion.why", "sees more")
    registry.set_by_hand("2")
    kept = registry.reconcile().change
    assert kept is not None
    assert (kept.kind, kept.before, kept.after) == ("promotion", "1", "2")
    assert (kept.why, kept.verdict) == ("sees more", "passed")
    assert "promotion.why" not in registry.tags("2")


def test_a_command_promotes_a_bad_version_only_with_a_reason(registry: Registry) -> None:
    assert "does not pass the gate" in registry.headstart("promote", "models:/headstart/3", status=1)
    assert registry.champion() == "1"
    registry.headstart("promote", "models:/headstart/3", "--why", "a trial", "--override", "we know")
    assert registry.champion() == "3"
    assert (registry.changes()[-1].override, registry.changes()[-1].verdict) == ("we know", "failed")
    assert registry.reconcile().change is None
    assert "we know" in registry.headstart("history")

    registry.client.set_model_version_tag("headstart", "1", "gate", "failed")  # a rollback asks no gate
    assert "is version 1" in registry.headstart("rollback", "--why", "a trial ended")


def test_a_removed_alias_stays_removed(registry: Registry) -> None:
    registry.client.delete_registered_model_alias("headstart", "champion")
    removed = registry.reconcile().change
    assert removed is not None
    assert (removed.kind, removed.before, removed.after) == ("removal", "1", None)
    registry.set_by_hand("3")
    assert registry.reconcile().champion is None
    assert registry.champion() is None


def test_the_history_shows_every_change(registry: Registry) -> None:
    shown = json.loads(registry.headstart("history", "--json"))["entries"]
    kinds = [each["kind"] for each in shown]
    assert kinds == [change.kind for change in registry.changes()]
    assert {"promotion", "refusal", "rollback", "removal"} <= set(kinds)
    page = registry.client.get_registered_model("headstart").description
    assert page.startswith("A new head on a frozen VGG")
    assert page.count(journal.HEADING) == 1
    assert "3 refused, none stays" in page


def test_there_is_no_way_back_to_a_deleted_version(registry: Registry) -> None:
    registry.headstart("promote", "models:/headstart/2")
    registry.client.delete_model_version("headstart", "1")
    assert "version 1, the champion before, was deleted" in registry.headstart("rollback", status=1)
    assert registry.champion() == "2"
    with pytest.raises(HeadstartError):
        promotion.rollback("nothing of this name", "a person", "")


def test_a_look_before_the_first_version_finds_nothing_to_do(repository: Path) -> None:
    outcome = promotion.reconcile("headstart", wanted(), print)
    assert outcome.change is None
    assert outcome.sentence == "headstart: no model of this name is registered"
