"""The journal: changes of `champion`, one MLflow run per entry, each with the digest of the one before."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mlflow.entities import Param, Run
from mlflow.tracking import MlflowClient

from headstart.ground.markdown import cell, table
from headstart.versions.registry import tracking, versions

EXPERIMENT = "headstart-journal"
MODEL_TAG, LAST_TAG, PARAM = "headstart.journal", "headstart.journal", "entry"
NUMBER_TAG = "headstart.journal.number"
WAIT_SECONDS = 0.1
ABANDONED_SECONDS = 60.0  # a writer that was killed
HEADING = "## Changes of champion"
UNKNOWN = "by hand, unknown"
SHOWN = 10  # entries on the model's page
LONGEST_CELL = 200
LONGEST = 1500  # characters of a reason: MLflow takes 6000 of an entry

Kind = Literal["promotion", "rollback", "removal", "refusal", "found"]


@dataclass(frozen=True)
class Change:
    """A change of the alias.

    Attributes:
        kind: `refusal`: a promotion that was put back, so that `after` is the champion that stays; `found`:
            the champion when the journal began.
        before, after: version that was champion, and that is now; None: no version.
        refused: the version whose promotion was put back.
        verdict: of the gate, or `not judged`.
        gate: the gate's own sentence.
        override: the reason for which a version that did not pass is champion.
    """

    kind: Kind
    before: str | None
    after: str | None
    who: str
    why: str = ""
    verdict: str = "not judged"
    gate: str = ""
    override: str = ""
    refused: str | None = None


@dataclass(frozen=True)
class Entry:
    """A change with its place; `previous` is the digest of the entry before, "" for the first."""

    number: int
    when: str
    previous: str
    change: Change

    def as_dict(self) -> dict[str, Any]:
        return {"number": self.number, "when": self.when, "previous": self.previous, **asdict(self.change)}

    def digest(self) -> str:
        return hashlib.sha256(_canonical(self.as_dict()).encode()).hexdigest()


@dataclass(frozen=True)
class Journal:
    """Entries of one model in order; `faults` is empty unless someone tampered with them."""

    entries: tuple[Entry, ...]
    faults: tuple[str, ...]

    @property
    def champion(self) -> str | None:
        return self.entries[-1].change.after if self.entries else None

    def as_dict(self) -> dict[str, Any]:
        """The journal for programs, with the digest of each entry."""
        entries = [{**entry.as_dict(), "digest": entry.digest()} for entry in self.entries]
        return {"entries": entries, "faults": list(self.faults)}


def read(client: MlflowClient, name: str) -> Journal:
    """All entries of a model; those that were changed or removed are reported as faults."""
    _take_along(client, name)
    entries = [entry for entry, _ in _stored(client, name)]
    return Journal(tuple(entries), tuple(_faults(entries, _last(client, name))))


def differs(name: str) -> bool:
    """Whether `champion` is another version than the journal says; False if there is no model of this name.

    Raises:
        TrackingError: MLflow is out of reach or refuses.
    """
    client = tracking.connect()
    with tracking.translated("compare alias and journal"):
        if not client.search_registered_models(f"name = '{name}'"):
            return False
        return read(client, name).champion != versions.champion(client, name)


def append(client: MlflowClient, name: str, change: Change) -> Entry:
    """Write the next entry, and the model's page. Of two concurrent writers, one waits for the other.

    An entry counts once its run is FINISHED. Before that, its writer checks whether others use its number:
    alone, it finishes; if another is finished or has the lower run id, it withdraws; else it waits for the
    other to withdraw.
    """
    _take_along(client, name)
    while True:
        entries = [entry for entry, _ in _stored(client, name)]
        entry = _next(entries, change, _last(client, name))
        run_id = _write(client, name, entry)
        if _is_alone(client, name, entry.number, run_id):
            client.set_terminated(run_id)
            break
        client.delete_run(run_id)
        time.sleep(WAIT_SECONDS)
    _show_last(client, name)
    return entry


def _take_along(client: MlflowClient, name: str) -> None:
    """After a model was renamed, give its entries the new name.

    The model keeps the digest of its last entry as a tag, and each entry that of the one before it, so its
    entries are known, whatever model is named in their runs.
    """
    number, digest = _last(client, name)
    if not number or any(entry.digest() == digest for entry, _ in _stored(client, name)):
        return
    finished = "attributes.status = 'FINISHED'"
    found = _parsed_runs(_runs(client, f"tags.`{NUMBER_TAG}` = '{number}' and {finished}"))
    before = next((run.data.tags[MODEL_TAG] for entry, run in found if entry.digest() == digest), None)
    if before is None:
        return  # it was removed, which `_faults` reports
    for entry, run in reversed(_stored(client, before)):
        if entry.digest() == digest:
            client.set_tag(run.info.run_id, MODEL_TAG, name)
            digest = entry.previous


def _show_last(client: MlflowClient, name: str) -> None:
    """The model's tag and page; repeated if another entry was written meanwhile."""
    shown: list[Entry] = []
    while shown != (entries := [entry for entry, _ in _stored(client, name)]):
        shown = entries
        client.set_registered_model_tag(name, LAST_TAG, f"{shown[-1].number} {shown[-1].digest()}")
        _show(client, name, shown)


def as_text(name: str, journal: Journal) -> str:
    """A table for a terminal."""
    rows = [("#", "when", "change", "who", "gate", "why"), *(_row(entry) for entry in journal.entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join([*(row[column].ljust(width) for column, width in enumerate(widths)), row[5]]).rstrip()
        for row in rows
    ]
    return "\n".join(lines) if journal.entries else f"{name}: no change of champion is recorded yet"


def _canonical(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _last(client: MlflowClient, name: str) -> tuple[int, str]:
    """Number and digest of the last entry, as recorded when it was written; 0 and "" before the first."""
    number, _, digest = client.get_registered_model(name).tags.get(LAST_TAG, "0 ").partition(" ")
    return int(number), digest


def _next(entries: list[Entry], change: Change, last: tuple[int, str]) -> Entry:
    """The entry after the last one ever written: the number of a removed one is not reused."""
    cut = {key: getattr(change, key)[:LONGEST] for key in ("who", "why", "gate", "override")}
    short = Change(**{**asdict(change), **cut})
    when = datetime.now(UTC).isoformat(timespec="seconds")
    if entries:
        last = max(last, (entries[-1].number, entries[-1].digest()), key=lambda place: place[0])
    return Entry(last[0] + 1, when, last[1], short)


def _write(client: MlflowClient, name: str, entry: Entry) -> str:
    """The entry is a parameter of its run: MLflow refuses to change those."""
    tags = {
        MODEL_TAG: name,
        NUMBER_TAG: str(entry.number),
        "mlflow.runName": f"{name} {entry.number}: {_words(entry.change)}",
    }
    run = client.create_run(tracking.experiment_id(client, EXPERIMENT), tags=tags)
    client.log_batch(run.info.run_id, params=[Param(PARAM, _canonical(entry.as_dict()))])
    return str(run.info.run_id)


def _is_alone(client: MlflowClient, name: str, number: int, run_id: str) -> bool:
    while True:
        waits = False
        for other in _runs(client, f"tags.`{MODEL_TAG}` = '{name}' and tags.`{NUMBER_TAG}` = '{number}'"):
            if other.info.run_id == run_id:
                continue
            if other.info.status == "FINISHED":
                return False
            if time.time() - other.info.start_time / 1000 > ABANDONED_SECONDS:
                client.delete_run(other.info.run_id)
            elif other.info.run_id < run_id:
                return False
            else:
                waits = True
        if not waits:
            return True
        time.sleep(WAIT_SECONDS)


def _stored(client: MlflowClient, name: str) -> list[tuple[Entry, Run]]:
    runs = _runs(client, f"tags.`{MODEL_TAG}` = '{name}' and attributes.status = 'FINISHED'")
    return sorted(_parsed_runs(runs), key=lambda pair: (pair[0].number, pair[1].info.run_id))


def _parsed_runs(runs: list[Run]) -> list[tuple[Entry, Run]]:
    return [(_parsed(run.data.params[PARAM]), run) for run in runs if PARAM in run.data.params]


def _runs(client: MlflowClient, wanted: str) -> list[Run]:
    found = client.get_experiment_by_name(EXPERIMENT)
    runs: list[Run] = []
    token = None
    while found is not None:
        page = client.search_runs([found.experiment_id], wanted, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            break
    return runs


def _parsed(text: str) -> Entry:
    values = json.loads(text)
    place = {key: values.pop(key) for key in ("number", "when", "previous")}
    return Entry(**place, change=Change(**values))


def _faults(entries: list[Entry], last: tuple[int, str]) -> list[str]:
    faults, expected, digest = [], 1, ""
    for entry in entries:
        if entry.number > expected:
            faults.append(f"entries {expected} to {entry.number - 1} were removed")
        elif entry.number < expected:
            faults.append(f"there are two entries {entry.number}")
        elif entry.previous != digest:
            faults.append(f"entry {entry.number - 1} is not what it was when the next was written")
        expected, digest = entry.number + 1, entry.digest()
    number, known = last
    if number:
        same = [entry for entry in entries if entry.number == number]
        if not same:
            faults.append(f"entry {number}, the last one, was removed")
        elif same[0].digest() != known:
            faults.append(f"entry {number} is not what it was when it was written")
    return faults


def _words(change: Change) -> str:
    if change.kind == "refusal":
        return f"{change.refused} refused, {change.after or 'none'} stays"
    return f"{change.before or 'none'} -> {change.after or 'none'}"


def _row(entry: Entry) -> tuple[str, str, str, str, str, str]:
    change = entry.change
    verdict = f"{change.verdict}, overridden" if change.override else change.verdict
    why = "; ".join(filter(None, (change.why, change.override, change.gate)))
    words = f"{_words(change)} ({change.kind})"
    return (str(entry.number), entry.when[:19].replace("T", " "), words, change.who, verdict, why)


def _show(client: MlflowClient, name: str, entries: list[Entry]) -> None:
    """Show the last entries on the model's page, below its own text."""
    text = (client.get_registered_model(name).description or "").partition(HEADING)[0].rstrip()
    client.update_registered_model(name, f"{text}\n\n{HEADING}\n\n{_as_markdown(client, name, entries)}\n")


def _as_markdown(client: MlflowClient, name: str, entries: list[Entry]) -> str:
    is_shared = tracking.is_shared()
    rows = []
    for entry in reversed(entries[-SHOWN:]):
        cells = [cell(text, LONGEST_CELL) for text in _row(entry)]
        version = entry.change.refused or entry.change.after or entry.change.before
        if is_shared and version:
            cells[2] = f"[{cells[2]}]({tracking.page(f'models/{name}/versions/{version}')})"
        rows.append(cells)
    place = f"experiment `{EXPERIMENT}`"
    if is_shared:
        place = f"[{place}]({tracking.page(f'experiments/{tracking.experiment_id(client, EXPERIMENT)}')})"
    return "\n".join(
        [
            table(("", "when (UTC)", "change", "who", "gate", "why"), rows),
            "",
            f"Every entry, {len(entries)} so far: `headstart history {name}`, {place}.",
        ]
    )
