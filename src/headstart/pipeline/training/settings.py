"""Section `train` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Discriminator, Tag, model_validator

from headstart.ground.settings import Count, Digest, NotNegative, Positive, Precision, Rate, Section, Seed
from headstart.pipeline.network.settings import Abstain


class Range(Section):
    """The interval from which a setting is drawn."""

    low: NotNegative
    """the smallest value"""
    high: Positive
    """the largest value"""
    log: bool
    """draw uniformly on a logarithmic scale; `low` must then be positive"""

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low must be at most high ({self.high:g})")
        if self.log and self.low == 0:
            raise ValueError("low must be more than 0 if log is true")
        return self


class Trial(Section):
    """The settings in which one trial differs; None keeps the value of `train`."""

    lr: Positive | None = None
    """learning rate"""
    momentum: Rate | None = None
    """momentum of `sgd`"""
    weight_decay: NotNegative | None = None
    """weight decay"""
    label_smoothing: Rate | None = None
    """label smoothing"""
    dropout: Rate | None = None
    """rate of every dropout layer after the cut; None keeps the network's own"""


def _is_list(value: object) -> str:
    return "list" if isinstance(value, list) else "mapping"


BY_SHAPE = Discriminator(_is_list)
AsMapping = Annotated[Range, Tag("mapping")]
Positives = Annotated[Annotated[list[Positive], Tag("list")] | AsMapping, BY_SHAPE]
NotNegatives = Annotated[Annotated[list[NotNegative], Tag("list")] | AsMapping, BY_SHAPE]
Rates = Annotated[Annotated[list[Rate], Tag("list")] | AsMapping, BY_SHAPE]


class Sample(Section):
    """Trials drawn at random; each setting of a `Trial` has a list of choices, a range, or None."""

    count: Count
    """number of trials"""
    seed: Seed
    """seed of the draws"""
    lr: Positives | None = None
    """learning rates"""
    momentum: Rates | None = None
    """momenta of `sgd`"""
    weight_decay: NotNegatives | None = None
    """weight decays"""
    label_smoothing: Rates | None = None
    """label smoothings"""
    dropout: Rates | None = None
    """dropout rates"""

    @model_validator(mode="after")
    def _rates_stay_below_one(self) -> "Sample":
        for name in ("momentum", "label_smoothing", "dropout"):
            within = getattr(self, name)
            if isinstance(within, Range) and within.high >= 1:
                raise ValueError(f"{name}.high must be less than 1, found {within.high:g}")
            if within == []:
                raise ValueError(f"{name} must name at least one value")
        return self


Trials = Annotated[Annotated[list[Trial], Tag("list")] | Annotated[Sample, Tag("mapping")], BY_SHAPE]


class Train(Section):
    """Section `train`: how the layers after the cut are trained."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`adamw`, or `sgd` with Nesterov momentum"""
    lr: Positive = 0.003
    """peak learning rate"""
    momentum: Rate = 0.9
    """momentum of `sgd`"""
    weight_decay: NotNegative = 0.01
    """weight decay: decoupled with `adamw`, added to the gradient with `sgd`"""
    schedule: Literal["cosine", "one_cycle", "constant"] = "cosine"
    """learning-rate schedule: `cosine` falls to 0 over all steps"""
    warmup_epochs: NotNegative = 0
    """epochs over which the learning rate rises to `lr`; a fraction is allowed"""
    epochs: Count = 60
    """largest number of epochs"""
    batch_size: Count = 32
    """images per step"""
    patience: Count = 15
    """epochs without a better validation loss before training stops"""
    class_weights: Literal["balanced"] | dict[str, NotNegative] | None = None
    """weight of an image by its class: `balanced`, a mapping, or None for equal weights"""
    label_smoothing: Rate = 0.0
    """share of the target spread over all classes (Szegedy et al. 2016, arXiv:1512.00567)"""
    clip_norm: Positive | None = None
    """largest norm of all gradients together; None for no limit"""
    temperature: bool = False
    """fit a temperature to the validation split, by which the logits are divided (Guo et al. 2017)"""
    abstain: Abstain | None = None
    """when the head refuses to answer; None: it always answers"""
    precision: Precision = "fp32"
    """`bf16` for mixed precision"""
    seed: Seed = 0
    """seed of new layers, dropout and the order of images"""
    init: Digest | None = None
    """digest of `artifacts/init.safetensors`, the earlier head to start from; None starts from scratch"""
    trials: Trials | None = None
    """a list of trials, or a sample to draw them from; None trains once"""

    def of_trial(self, trial: Trial) -> "Train":
        """These settings, overridden by one trial's; its dropout belongs to the network."""
        return self.changed(**trial.model_dump(exclude_none=True, exclude={"dropout"}), trials=None)

    @model_validator(mode="after")
    def _makes_sense(self) -> "Train":
        if self.schedule == "one_cycle" and self.warmup_epochs:
            raise ValueError("one_cycle has a warm-up of its own; set warmup_epochs to 0")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be less than epochs ({self.epochs})")
        if isinstance(self.trials, list) and not self.trials:
            raise ValueError("trials must name at least one trial, or be null")
        return self
