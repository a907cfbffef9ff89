"""The one way to publish results: push, register, judge, set the aliases."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from headstart import repository
from headstart.ground.wording import named
from headstart.repository.new_files import new_files
from headstart.repository.settings import Repository
from headstart.versions.provenance import keeping
from headstart.versions.registry import tracking
from headstart.versions.registry.versions import Registered
from headstart.versions.release import gate, promotion, registration
from headstart.versions.release.decision import Decision
from headstart.versions.release.settings import Gate, Register, Requirements

Say = Callable[[str], object]
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Published:
    """A version in the registry, and the gate's decision if it was judged now."""

    registered: Registered
    decision: Decision | None

    def sentence(self) -> str:
        """One line for a person."""
        said = self.registered.sentence()
        return f"{said}; {self.decision.sentence()}" if self.decision else said

    def as_text(self) -> str:
        """The decision, if there is one, and the version, one line each."""
        lines = [self.decision.sentence()] if self.decision else []
        return "\n".join([*lines, self.registered.sentence()])

    def as_dict(self) -> dict[str, Any]:
        """The same for programs; `decision` is None if the version was judged before."""
        return {
            **asdict(self.registered),
            "decision": self.decision.as_dict() if self.decision else None,
        }


def publish(
    register: Register,
    judged_by: Gate,
    refs: Repository,
    params: Mapping[str, Any],
    say: Say,
    *,
    run_id: str | None = None,
    step: Wrap = lambda function: function,
) -> Published:
    """Publish the results that stand in the project; what an earlier try has done is not done again.

    Args:
        refs: whether the run's refs are sent, and how long those of other runs are kept.
        params: the whole of params.yaml with all defaults, for the record.
        say: called with each step as it starts, and with what it gave.
        run_id: the MLflow run to record in; without it one is opened, and FAILED with the reason if no
            version comes of it.
        step: wraps each step, for example as a Prefect task.

    Raises:
        LineageError: the results are out of date, or the DVC remote lacks some of them.
        TrackingError: MLflow is out of reach, refuses, or what it stored does not answer as evaluated.
    """
    step(push_results)(say)
    registered = step(register_model)(register, params, run_id, say)
    if run_id is None and registered.is_new:
        keeping.keep_run(registered.run_id, refs, say)
    decision = None
    if not registered.is_settled:
        decision = step(judge_version)(registered, Requirements(register.thresholds, judged_by), say)
        registered = step(set_aliases)(registered, decision)
    tracking.forget_failure(registered.run_id)
    return Published(registered, decision)


def push_results(say: Say) -> None:
    """Send data, outs and the run-cache to the DVC remote: a version must be made again without this host."""
    if not repository.stale():  # else registration reports what is out of date
        remote = repository.Remote.default()
        say(f"sending data and results to the DVC remote {remote.name!r}")
        say(f"dvc push: {remote.push()}")


def register_model(register: Register, params: Mapping[str, Any], run_id: str | None, say: Say) -> Registered:
    """Register the results; the same results are registered once."""
    if left_out := new_files().left_out:
        say(f"not recorded, as neither committed nor source files without a secret's name: {named(left_out)}")
    say(f"registering the results as {register.model}")
    return registration.register(
        register.model, register.experiment, params, register.package, register.dirty, run_id=run_id, say=say
    )


def judge_version(registered: Registered, wanted: Requirements, say: Say) -> Decision:
    """The gate: a new version against thresholds, the champion, changed pictures and limits."""
    return gate.judge(registered.name, registered.version, wanted, say)


def set_aliases(registered: Registered, decision: Decision) -> Registered:
    """`challenger` for a version that passed; `champion` too if there is none."""
    return promotion.settle(registered, decision)
