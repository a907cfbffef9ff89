"""Alias, journal and rollback on a real registry; the slow gate is replaced by fixed verdicts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sections import section

from headstart.errors import HeadstartError, TrackingError, TrackingUnreachable
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.versions import Registered
from headstart.versions.release import journal, promotion
from headstart.versions.release.decision import Check, Decision
from headstart.versions.release.promotion import Outcome
from headstart.versions.release.settings import Requirements

NAME = "headstart"
WANTED = Requirements(section("register").thresholds, section("gate"))


class Registry:
    """Versions 1 to 4; 3 does not pass and 4 cannot be judged; `on_gate` is called while the gate runs."""

    def __init__(self) -> None:
        self.client = tracking.connect()
        self.client.create_registered_model(NAME, description="What it is.")
        run = self.client.create_run("0").info.run_id
        for number in range(1, 5):
            about = f"line {number}\n\nmore"
            self.client.create_model_version(NAME, f"runs:/{run}/model", run, description=about)
        self.judged: list[tuple[str, str | None]] = []
        self.on_gate: Callable[[], None] = lambda: None

    def check(
        self, name: str, number: str, wanted: Requirements, champion: str | None, say: object
    ) -> Decision:
        self.judged.append((number, champion))
        self.on_gate()
        if number == "4":
            raise TrackingError("version 4 has no record")
        verdict = "failed" if number == "3" else "passed"
        return Decision(verdict, (Check("accuracy", verdict, 0.5, "at least 0.8"),), champion, "figures")

    def reconcile(self) -> Outcome:
        return promotion.reconcile(NAME, WANTED, print)

    def promote(self, number: str, override: str | None = None) -> Outcome:
        return promotion.promote(NAME, number, WANTED, "ann", "because", override, print)

    def set_by_hand(self, number: str) -> None:
        self.client.set_registered_model_alias(NAME, "champion", number)

    @property
    def champion(self) -> str | None:
        number = self.client.get_registered_model(NAME).aliases.get("champion")
        return None if number is None else str(number)

    def changes(self) -> list[journal.Change]:
        found = journal.read(self.client, NAME)
        assert found.faults == ()
        return [entry.change for entry in found.entries]

    def tags(self, number: str) -> dict[str, str]:
        return dict(self.client.get_model_version(NAME, number).tags)


@pytest.fixture
def registry(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    monkeypatch.setattr(promotion.gate, "check", made.check)
    return made


def test_a_bad_version_goes_back_where_it_was_and_is_told(registry: Registry) -> None:
    registry.set_by_hand("3")  # there was no champion
    assert registry.reconcile().is_refusal
    assert registry.champion is None
    registry.promote("1")
    registry.set_by_hand("3")
    assert registry.reconcile().is_refusal
    assert registry.judged[-1] == ("3", "1")
    assert registry.champion == "1"
    assert registry.reconcile().change is None
    assert registry.changes()[-1].refused == "3"
    assert "accuracy failed" in registry.tags("3")["promotion.refused"]
    described = registry.client.get_model_version(NAME, "3").description
    assert described.splitlines()[0] == "line 3"
    assert "Promotion refused" in described


def test_a_version_that_cannot_be_judged_goes_back(registry: Registry) -> None:
    registry.promote("1")
    registry.set_by_hand("4")
    assert "could not be judged: version 4 has no record" in registry.reconcile().sentence
    assert registry.champion == "1"


def test_a_good_version_stays_and_the_models_page_lists_it(registry: Registry) -> None:
    registry.promote("1")
    registry.set_by_hand("2")
    kept = registry.reconcile().change
    assert kept is not None
    assert (kept.before, kept.after, kept.who, kept.verdict) == ("1", "2", "by hand, unknown", "passed")
    page = registry.client.get_registered_model(NAME).description
    assert page.startswith("What it is.\n\n## Changes of champion")
    assert page.count(journal.HEADING) == 1
    assert registry.tags("2")["was_champion"] == "yes"


def test_a_difference_between_alias_and_journal_is_noticed_without_judging(registry: Registry) -> None:
    assert not journal.differs("another model")
    assert not journal.differs(NAME)  # neither has a champion
    registry.promote("1")
    assert not journal.differs(NAME)
    for change in (
        lambda: registry.set_by_hand("3"),
        lambda: registry.client.delete_registered_model_alias(NAME, "champion"),
    ):
        change()
        judged = len(registry.judged)
        assert journal.differs(NAME)
        assert len(registry.judged) == judged
        registry.reconcile()
        assert not journal.differs(NAME)


def test_the_verdict_of_an_earlier_run_is_read_from_the_version(registry: Registry) -> None:
    version = Registered(NAME, "1", (), "run", is_new=False, is_settled=True)
    with pytest.raises(TrackingError, match=r"its tag `gate` is 'None' .* judges it again"):
        versions.verdict_of(version)
    registry.client.set_model_version_tag(NAME, "1", versions.GATE_TAG, "inconclusive")
    assert versions.verdict_of(version) == "inconclusive"


def test_an_override_counts_for_one_change(registry: Registry) -> None:
    registry.promote("1")
    with pytest.raises(HeadstartError, match="does not pass the gate"):
        registry.promote("3")
    assert registry.champion == "1"
    registry.promote("3", "we know")
    assert (registry.changes()[-1].verdict, registry.changes()[-1].override) == ("failed", "we know")
    assert registry.reconcile().change is None
    registry.promote("1")
    registry.set_by_hand("3")
    assert registry.reconcile().is_refusal
    registry.client.set_model_version_tag(NAME, "3", "promotion.override", "again")
    registry.client.set_model_version_tag(NAME, "3", "promotion.by", "bob")
    registry.set_by_hand("3")
    assert not registry.reconcile().is_refusal
    assert (registry.changes()[-1].who, registry.changes()[-1].override) == ("bob", "again")
    assert not {key for key in registry.tags("3") if key.startswith("promotion.")}


def test_a_promotion_that_is_refused_accepts_nothing_that_was_set_by_hand(registry: Registry) -> None:
    registry.promote("1")
    registry.set_by_hand("3")  # not judged yet
    with pytest.raises(HeadstartError, match="does not pass the gate"):
        registry.promote("4")
    assert registry.reconcile().is_refusal
    assert registry.champion == "1"
    registry.set_by_hand("2")
    kept = registry.promote("2").change
    assert kept is not None
    assert (kept.before, kept.after, kept.who, kept.verdict) == ("1", "2", "ann", "passed")
    registry.set_by_hand("3")
    registry.promote("1")
    assert [(each.before, each.after) for each in registry.changes()[-2:]] == [("2", "3"), ("3", "1")]


def test_a_rollback_takes_back_one_promotion_after_the_other(registry: Registry) -> None:
    with pytest.raises(HeadstartError, match="no champion before no version"):
        promotion.rollback(NAME, "ann", "")
    for number in ("1", "2"):
        registry.promote(number)
    registry.set_by_hand("3")  # not noticed yet
    assert promotion.rollback(NAME, "ann", "false alarms").champion == "2"
    assert registry.changes()[-2].after == "3"
    assert promotion.rollback(NAME, "ann", "").champion == registry.champion == "1"
    assert registry.reconcile().change is None
    with pytest.raises(HeadstartError, match="no champion before version 1"):
        promotion.rollback(NAME, "ann", "")
    registry.client.delete_registered_model_alias(NAME, "champion")
    removed = registry.reconcile().change
    assert removed is not None
    assert (removed.kind, removed.before, removed.after) == ("removal", "1", None)
    assert promotion.rollback(NAME, "ann", "").champion == registry.champion == "1"
    registry.promote("2")
    registry.client.delete_model_version(NAME, "1")
    with pytest.raises(HeadstartError, match="version 1, the champion before, was deleted"):
        promotion.rollback(NAME, "ann", "")
    assert registry.champion == "2"


def test_the_newest_change_counts(registry: Registry) -> None:
    registry.promote("1")

    def change_it_again() -> None:
        registry.on_gate = lambda: None
        registry.set_by_hand("2")

    registry.on_gate = change_it_again
    registry.set_by_hand("3")
    assert registry.reconcile().champion == registry.champion == "2"
    assert registry.judged[-2:] == [("3", "1"), ("2", "1")]


def test_a_server_out_of_reach_puts_nothing_back(registry: Registry) -> None:
    def lose_it() -> None:
        raise TrackingUnreachable("gone")

    registry.promote("1")
    registry.on_gate = lose_it
    registry.set_by_hand("3")
    with pytest.raises(TrackingUnreachable):
        registry.reconcile()
    assert registry.champion == "3"
    registry.on_gate = lambda: None
    assert registry.reconcile().is_refusal


def test_the_champion_of_an_older_registry_is_where_the_journal_begins(registry: Registry) -> None:
    registry.client.set_model_version_tag(NAME, "3", "was_champion", "yes")
    registry.set_by_hand("3")
    found = registry.reconcile().change
    assert found is not None
    assert (found.kind, found.after) == ("found", "3")
    assert registry.champion == "3"


def test_entries_that_were_changed_or_removed_are_seen(tree: Path) -> None:
    client: MlflowClient = tracking.connect()
    client.create_registered_model("other")
    for before, after in ((None, "1"), ("1", "2"), ("2", "3"), ("3", "2")):
        journal.append(client, "other", journal.Change("promotion", before, after, "a person"))
    runs = [run.info.run_id for _, run in journal._stored(client, "other")]
    assert journal.read(client, "other").faults == ()
    with pytest.raises(Exception, match="Changing param values is not allowed"):
        client.log_param(runs[0], journal.PARAM, "{}")
    client.delete_run(runs[1])
    assert journal.read(client, "other").faults == ("entries 2 to 2 were removed",)
    client.restore_run(runs[1])
    client.delete_run(runs[3])
    assert journal.read(client, "other").faults == ("entry 4, the last one, was removed",)
    assert journal.append(client, "other", journal.Change("promotion", "3", "1", "a person")).number == 5
    assert journal.read(client, "other").faults == ("entries 4 to 4 were removed",)


def test_a_renamed_model_takes_its_journal_along(registry: Registry) -> None:
    for number in ("1", "2"):
        registry.promote(number)
    before = journal.read(registry.client, NAME)
    registry.client.rename_registered_model(NAME, "metal")
    assert journal.read(registry.client, "metal") == before
    assert before.faults == ()
    registry.client.create_registered_model(NAME)  # another one, which has no history
    assert journal.read(registry.client, NAME).entries == ()
    journal.append(registry.client, "metal", journal.Change("promotion", "2", "1", "ann"))
    after = journal.read(registry.client, "metal")
    assert [entry.number for entry in after.entries] == [1, 2, 3]
    assert after.faults == ()


def test_two_that_write_at_once_make_one_chain(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tracking.connect()
    client.create_registered_model("other")
    write = journal._write
    raced: list[str] = []

    def write_after_another(client: MlflowClient, name: str, entry: journal.Entry) -> str:
        if not raced:
            raced.append("yes")
            journal.append(client, name, journal.Change("promotion", None, "1", "the other"))
        return write(client, name, entry)

    monkeypatch.setattr(journal, "_write", write_after_another)
    journal.append(client, "other", journal.Change("promotion", None, "2", "the one"))
    found = journal.read(client, "other")
    assert found.faults == ()
    assert [(entry.number, entry.change.who) for entry in found.entries] == [(1, "the other"), (2, "the one")]


def test_writers_side_by_side_make_one_chain(tree: Path) -> None:
    tracking.connect().create_registered_model("other")

    def write(person: str) -> None:
        for after in ("1", "2", "3"):
            journal.append(tracking.connect(), "other", journal.Change("promotion", None, after, person))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, ("ann", "bob", "eve")))
    found = journal.read(tracking.connect(), "other")
    assert found.faults == ()
    assert [entry.number for entry in found.entries] == list(range(1, 10))


def test_a_writer_that_was_killed_leaves_no_entry(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tracking.connect()
    client.create_registered_model("other")
    change = journal.Change("promotion", None, "1", "ann")
    journal._write(client, "other", journal._next([], change, (0, "")))
    assert journal.read(client, "other").entries == ()
    monkeypatch.setattr(journal, "ABANDONED_SECONDS", 0.5)
    assert journal.append(client, "other", change).number == 1
    assert journal.read(client, "other").faults == ()
