from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitioner.inputs import AXIS_SIZES, InputSpec, arguments, axes_of, input_spec, input_specs
from split_core.errors import ConfigError
from split_core.tensors import DTYPES


def refused(*texts: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        input_specs(texts)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_an_image_is_float32_unless_said() -> None:
    assert input_spec("pixel_values=batch,3,224,224") == InputSpec("pixel_values", "float32", ("batch", 3, 224, 224))


def test_a_dtype_and_sizes_of_an_axis_are_read() -> None:
    spec = input_spec("input_ids=int64:batch,sequence(8:12)")
    assert spec == InputSpec("input_ids", "int64", ("batch", "sequence"), {"sequence": (8, 12)})
    assert spec.shape({"batch": 3, "sequence": 12}) == (3, 12)


def test_an_axis_of_two_inputs_has_its_sizes_said_once() -> None:
    specs = input_specs(["input_ids=int64:batch,sequence", "attention_mask=int64:batch,sequence(8:12)"])
    assert axes_of(specs) == {"sequence": (8, 12)}


def test_an_axis_without_sizes_has_the_usual_ones() -> None:
    assert axes_of(input_specs(["x=batch,height,width(32:40)"])) == {"height": AXIS_SIZES, "width": (32, 40)}


def test_the_batch_is_no_other_axis() -> None:
    assert axes_of(input_specs(["x=batch,4"])) == {}


def test_examples_are_the_same_for_the_same_seed_and_fit_the_spec() -> None:
    spec, sizes = input_spec("x=batch,wide(4:8),2"), {"batch": 2, "wide": 8}
    first, again = (spec.example(sizes, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (2, 8, 2)
    assert first.dtype == np.float32
    assert np.array_equal(first, again)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_an_example(dtype: str) -> None:
    value = input_spec(f"x={dtype}:batch,5").example({"batch": 2}, np.random.default_rng(0))
    assert value.dtype.name == dtype
    assert len(np.unique(value)) > 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pixel_values", "expected NAME=[DTYPE:]DIM,DIM"),
        ("=batch,3", "expected NAME=[DTYPE:]DIM,DIM"),
        ("x=", "axis 0 is ''"),
        ("x=batch,,3", "axis 1 is ''"),
        ("x=batch,-3", "axis 1 is '-3'"),
        ("x=batch,0", "axis 1 is '0'"),
        ("x=batch,3.5", "axis 1 is '3.5'"),
        ("x=3,batch", "'batch' is the leading axis"),
        ("x=batch(2:3),4", "'batch' is the leading axis"),
        ("x=batch,batch", "'batch' is the leading axis"),
        ("x=flot32:batch,3", "did you mean 'float32'?"),
        ("x=complex64:batch,3", "no dtype 'complex64'"),
        ("x=batch,s(16)", "small:large, like 16:24"),
        ("x=batch,s(16:16)", "small:large, like 16:24"),
        ("x=batch,s(24:16)", "small:large, like 16:24"),
        ("x=batch,s(1:2)", "two different sizes above 1"),
        ("x=batch,s()", "small:large"),
        ("x=batch,s,s", "two axes of one input have the same name"),
        ("x=batch,s(2:3", "axis 1 is 's(2:3'"),
    ],
)
def test_a_malformed_input_is_refused_with_what_one_looks_like(text: str, words: str) -> None:
    assert words in refused(text)


def test_an_input_given_twice_is_refused() -> None:
    assert "--input x: given twice" in refused("x=batch,3", "x=batch,4")


def test_two_inputs_that_disagree_about_an_axis_are_refused() -> None:
    assert "axis 's' has sizes 8:12, elsewhere 16:24" in refused("x=batch,s(16:24)", "y=batch,s(8:12)")


def test_arguments_keep_what_is_behind_the_first_equals_sign() -> None:
    assert arguments(["size=tiny", "rule=a=b", "empty="]) == {"size": "tiny", "rule": "a=b", "empty": ""}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["size"], "KEY=VALUE"),
        (["=3"], "KEY=VALUE"),
        (["a b=3"], "KEY=VALUE"),
        (["a=1", "a=2"], "--arg a: given twice"),
    ],
)
def test_a_malformed_argument_is_refused(texts: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        arguments(texts)


@given(st.text(max_size=30))
def test_any_text_is_an_input_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        spec = input_spec(text)
        assert spec.dtype in DTYPES
        assert all(size > 0 for size in spec.shape({dim: 2 for dim in spec.dims if isinstance(dim, str)}))
