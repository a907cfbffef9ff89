"""Class weights."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from headstart.errors import ParamsError
from headstart.pipeline.features.examples import class_weights


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = torch.tensor([0] * 30 + [1] * 10 + [2] * 5)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    found = class_weights("balanced", ("a", "b", "c"), labels)
    assert found is not None
    assert np.allclose(found.numpy(), expected)
    assert class_weights(None, ("a", "b", "c"), labels) is None
    some = class_weights({"b": 3.0}, ("a", "b", "c"), labels)
    assert some is not None
    assert some.tolist() == [1, 3, 1]
    with pytest.raises(ParamsError, match=r"there is no class 'bb'; did you mean b"):
        class_weights({"bb": 1.0}, ("a", "b", "c"), labels)
