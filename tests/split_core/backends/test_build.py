from __future__ import annotations

import numpy as np
import pytest

from split_core.backends.build import make_backend, option_names
from split_core.errors import ConfigError
from tests.split_core.backends import pieces


def test_a_backend_is_made_with_its_options():
    content = pieces.linear(np.random.default_rng(0))
    session = make_backend("onnxruntime", {"optimisation": "off"}).load(content, threads=1)
    assert session.run([np.ones((2, 4), np.float32)])[0].shape == (2, 3)


def test_options_are_those_that_a_file_may_set():
    assert option_names("tensorrt") == ["precision", "ranges", "cache", "workspace_mb"]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("tensort", {}, "no backend named 'tensort'; did you mean 'tensorrt'"),
        ("tensorrt", {"precison": "fp16"}, "has no parameter 'precison'; did you mean 'precision'"),
        ("tensorrt", {"trt": 1}, "has no parameter 'trt'"),
        ("tensorrt", {"precision": "fp8"}, "backend 'tensorrt': precision: expected one of fp32, fp16"),
        ("onnxruntime", {"optimisation": "max"}, "backend 'onnxruntime': optimisation: expected one of off, basic"),
    ],
    ids=["name", "option", "handle", "precision", "optimisation"],
)
def test_what_cannot_be_is_a_config_error_of_one_line(name: str, options: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        make_backend(name, options)
