"""Every change of `champion`: the first one, by command, back to the one before, and by hand (judged)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from headstart.errors import HeadstartError, TrackingError, UnreachableError
from headstart.versions.registry import tracking, versions
from headstart.versions.registry.versions import CHAMPION, CHAMPION_TAG, Registered
from headstart.versions.release import gate, journal
from headstart.versions.release.decision import Decision
from headstart.versions.release.journal import UNKNOWN, Change, Journal
from headstart.versions.release.settings import Requirements

BY, WHY, OVERRIDE, REFUSED = "promotion.by", "promotion.why", "promotion.override", "promotion.refused"
LIMIT = 5000  # characters of a description that MLflow's database takes
ROUNDS = 5  # of judging, if the alias keeps changing meanwhile
GUARD = "Headstart's guard"

Say = Callable[[str], object]


@dataclass(frozen=True)
class Outcome:
    """Result of comparing the alias with the journal; `change` is None if they already agreed."""

    name: str
    champion: str | None
    change: Change | None
    sentence: str

    @property
    def is_refusal(self) -> bool:
        return self.change is not None and self.change.kind == "refusal"


def settle(registered: Registered, decision: Decision) -> Registered:
    """Make a version that passed the `challenger`, and the `champion` too if there is none.

    Args:
        registered: a version whose aliases are not settled yet.

    Raises:
        TrackingError: MLflow is out of reach or refuses.
    """
    client = tracking.connect()
    name, number = registered.name, registered.version
    with tracking.translated("set aliases"):
        if decision.passed:
            client.set_registered_model_alias(name, versions.CHALLENGER, number)
            if versions.champion(client, name) is None:
                client.set_registered_model_alias(name, versions.CHAMPION, number)
                first = Change(
                    "promotion", None, number, "training", "no champion yet", "passed", decision.sentence()
                )
                if journal.read(client, name).champion != number:  # the guard may have been first
                    journal.append(client, name, first)
        versions.mark_champion(client, name)
        client.set_model_version_tag(name, number, versions.STATE_TAG, versions.COMPLETE)
        aliases = versions.aliases_of(client, name, client.get_model_version(name, number))
    return replace(registered, aliases=aliases, is_settled=True)


def promote(
    name: str, number: str, wanted: Requirements, who: str, why: str, override: str | None, say: Say
) -> Outcome:
    """Make a version champion after the gate.

    Raises:
        HeadstartError: it does not pass, and there is no reason to override that.
    """
    client = tracking.connect()
    with tracking.translated("read the journal"):
        known, seen = journal.read(client, name).champion, versions.champion(client, name)
    if known == seen == number:
        return Outcome(name, number, None, f"{name}: version {number} is champion already")
    verdict, sentence = _judge(name, number, wanted, known, say)
    if verdict != "passed" and not override:
        raise HeadstartError(
            f"{name} version {number} does not pass the gate and stays as it is: {sentence}. To promote "
            "it all the same: --override REASON, which is recorded"
        )
    reason = "" if verdict == "passed" else override or ""
    with tracking.translated(
        "read the journal"
    ):  # what was set by hand is replaced, so that it stays unjudged
        before = known if seen == number else _record_unseen(client, name).champion
    return _change(client, name, Change("promotion", before, number, who, why, verdict, sentence, reason))


def rollback(name: str, who: str, why: str) -> Outcome:
    """Make the champion before this one champion again, by the journal and without the gate.

    Raises:
        HeadstartError: there is none, or its version was deleted.
    """
    client = tracking.connect()
    with tracking.translated("read the journal"):
        known = _record_unseen(client, name)
        target = _champion_before(known)
        if target is None:
            raise HeadstartError(f"{name}: the journal has no champion before {_words(known.champion)}")
        if not _exists(client, name, target):
            raise HeadstartError(
                f"{name} version {target}, the champion before, was deleted; promote another one: "
                f"`headstart promote models:/{name}/VERSION`"
            )
    return _change(client, name, Change("rollback", known.champion, target, who, why))


def reconcile(name: str, wanted: Requirements, say: Say) -> Outcome:
    """Judge and record what happened to the alias since the journal's last entry.

    If the version does not pass and has no recorded override, the alias is put back. If the alias changes
    while the gate runs, the newest change counts. Nothing happens if alias and journal agree, or if no model
    of this name is registered (yet).

    Raises:
        UnreachableError: a server is out of reach; the next check makes up for it.
    """
    client = tracking.connect()
    for _ in range(ROUNDS):
        with tracking.translated("compare alias and journal"):
            if not _is_registered(client, name):
                return Outcome(name, None, None, f"{name}: no model of this name is registered")
            known, seen = journal.read(client, name), versions.champion(client, name)
            if known.champion == seen:
                return Outcome(name, seen, None, f"{name}: alias and journal agree on {_words(seen)}")
            tags = {} if seen is None else dict(client.get_model_version(name, seen).tags)
        if seen is None or (not known.entries and CHAMPION_TAG in tags):
            return _accept(client, name, _unjudged(known, seen), seen)
        say(f"{name}: champion was {_words(known.champion)} and is {_words(seen)}: judged now")
        verdict, sentence = _judge(name, seen, wanted, known.champion, say)
        with tracking.translated("read the alias again"):
            again = journal.read(client, name)
            if versions.champion(client, name) != seen or again.entries != known.entries:
                say(f"{name}: champion changed again meanwhile")
                continue
            tags = dict(client.get_model_version(name, seen).tags)
        override = tags.get(OVERRIDE, "").strip()
        if verdict == "passed" or override:
            reason = "" if verdict == "passed" else override
            who, why = tags.get(BY, UNKNOWN), tags.get(WHY, "")
            change = Change("promotion", known.champion, seen, who, why, verdict, sentence, reason)
            return _accept(client, name, change, seen)
        return _put_back(client, name, known.champion, seen, tags, verdict, sentence)
    raise TrackingError(f"{name}: champion changed {ROUNDS} times while it was judged; run it again")


def _judge(name: str, number: str, wanted: Requirements, rival: str | None, say: Say) -> tuple[str, str]:
    """Verdict and sentence; a version that cannot be judged has failed."""
    client = tracking.connect()
    with tracking.translated("look up the champion before"):
        rival = rival if rival is not None and _exists(client, name, rival) else None
    try:  # the alias may be on this very version: without a rival that means no comparison
        decision = gate.check(name, number, wanted, champion=rival or number, say=say)
    except UnreachableError:
        raise
    except HeadstartError as error:
        say(str(error))
        reason = str(error).partition("\n")[0]
        return "failed", f"FAIL: it could not be judged: {reason}"
    return decision.verdict, decision.sentence()


def _change(client: MlflowClient, name: str, change: Change) -> Outcome:
    """Set alias and journal. The tags come first, so that a guard that runs in between knows who and why."""
    assert change.after is not None
    override = change.override or ("rollback" if change.kind == "rollback" else "")
    with tracking.translated(f"set {CHAMPION}"):
        for key, value in ((BY, change.who), (WHY, change.why), (OVERRIDE, override)):
            if value:
                client.set_model_version_tag(name, change.after, key, value[:5000])
        client.set_registered_model_alias(name, CHAMPION, change.after)
    return _accept(client, name, change, change.after)


def _accept(client: MlflowClient, name: str, change: Change, champion: str | None) -> Outcome:
    """Record a change that stands. Its tags are removed: they must not count for the next change."""
    with tracking.translated("write the journal"):
        if journal.read(client, name).champion != change.after:
            journal.append(client, name, change)
        if champion is not None:
            _clear(client, name, champion, (BY, WHY, OVERRIDE, REFUSED))
        versions.mark_champion(client, name)
    return Outcome(
        name, champion, change, f"{name}: champion was {_words(change.before)}, is {_words(champion)}"
    )


def _put_back(
    client: MlflowClient,
    name: str,
    before: str | None,
    tried: str,
    tags: dict[str, str],
    verdict: str,
    sentence: str,
) -> Outcome:
    """The entry comes first: after a kill before the alias is set, the next check finds that they differ."""
    with tracking.translated("put the alias back"):
        target = before if before is not None and _exists(client, name, before) else None
        change = Change(
            "refusal", before, target, tags.get(BY, UNKNOWN), tags.get(WHY, ""), verdict, sentence, "", tried
        )
        journal.append(client, name, change)
        if versions.champion(client, name) == tried:
            if target is None:
                client.delete_registered_model_alias(name, CHAMPION)
            else:
                client.set_registered_model_alias(name, CHAMPION, target)
        refusal = f"Promotion refused by {GUARD}: champion is {_words(target)} again. {sentence}"
        _show_refusal(client, name, tried, refusal)
    return Outcome(name, target, change, f"{name} version {tried}: {refusal}")


def _show_refusal(client: MlflowClient, name: str, number: str, refusal: str) -> None:
    """Show it on the version's page: a tag, and a paragraph below the first line of its description."""
    client.set_model_version_tag(name, number, REFUSED, refusal[:1000])
    _clear(client, name, number, (BY, WHY))
    first, _, rest = (client.get_model_version(name, number).description or "").partition("\n")
    how = (
        f"Set the tag `{OVERRIDE}` to a reason before the alias, or use `headstart promote "
        f"models:/{name}/{number} --override REASON`, to promote it all the same."
    )
    text = f"{first}\n\n**{refusal[:1500]}**\n\n{how}\n{rest}"
    client.update_model_version(name, number, text[:LIMIT])


def _record_unseen(client: MlflowClient, name: str) -> Journal:
    """The journal, completed by a change that nobody judged."""
    known, seen = journal.read(client, name), versions.champion(client, name)
    if known.champion != seen:
        journal.append(client, name, _unjudged(known, seen))
        known = journal.read(client, name)
    return known


def _unjudged(known: Journal, seen: str | None) -> Change:
    if not known.entries:
        return Change("found", None, seen, UNKNOWN, "champion when the journal began")
    return Change("removal" if seen is None else "promotion", known.champion, seen, UNKNOWN)


def _champion_before(known: Journal) -> str | None:
    """The version to roll back to: each rollback takes back one promotion more."""
    stack: list[str] = []
    for entry in known.entries:
        after = entry.change.after
        if after is None or (stack and stack[-1] == after):
            continue
        if entry.change.kind == "rollback" and after in stack:
            while stack[-1] != after:
                stack.pop()
        else:
            stack.append(after)
    if known.champion is None:
        return stack[-1] if stack else None
    return stack[-2] if len(stack) > 1 else None


def _exists(client: MlflowClient, name: str, number: str) -> bool:
    return _is_found(lambda: client.get_model_version(name, number))


def _is_registered(client: MlflowClient, name: str) -> bool:
    return _is_found(lambda: client.get_registered_model(name))


def _is_found(look: Callable[[], object]) -> bool:
    try:
        look()
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def _clear(client: MlflowClient, name: str, number: str, keys: tuple[str, ...]) -> None:
    there = client.get_model_version(name, number).tags
    for key in keys:
        if key in there:
            client.delete_model_version_tag(name, number, key)


def _words(number: str | None) -> str:
    return "no version" if number is None else f"version {number}"
