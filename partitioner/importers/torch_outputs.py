"""A module around a network that takes flat tensors and gives flat, named ones: exits, hidden states, the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from split_core.errors import ModelError

WRAPPER = "network"  # name of the wrapped module inside; taken out of the blocks' names again
# What a decoder keeps for its next token, and what it only shows: nobody cuts or answers with those.
_CACHES = ("past_key_values", "attentions", "hidden_states", "mems", "loss")


class Named(nn.Module):
    """Calls `network` with tensors in order; its outputs become a tuple in the order of `outputs_of`.

    Args:
        network: what is exported.
        keywords: names to pass the tensors by; None passes them in order.
    """

    def __init__(self, network: nn.Module, keywords: Sequence[str] | None) -> None:
        super().__init__()
        self.network = network
        self._keywords = keywords

    def raw(self, *tensors: Tensor) -> Any:
        """What the network itself gives."""
        if self._keywords is None:
            return self.network(*tensors)
        return self.network(**dict(zip(self._keywords, tensors, strict=True)))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors in, tensors out."""
        return tuple(outputs_of(self.raw(*tensors)).values())


def outputs_of(raw: Any) -> dict[str, Tensor]:
    """Names for what a `forward` returns.

    A tensor is `logits` when it is (N, C), else `output`.  Of a dict or `ModelOutput` the `logits` are taken, else
    every tensor by its key, caches and attentions left out.  A list of equal (N, C) tensors is the exits `exit_1`..;
    a pair of lists is `hidden_1`.. and `exit_1`..; other tuples are `output_1`...

    Raises:
        ModelError: none of these.
    """
    if isinstance(raw, Tensor):
        return {"logits" if raw.ndim == 2 else "output": raw}
    if isinstance(raw, Mapping):
        return _of_mapping(raw)
    if isinstance(raw, (tuple, list)):
        return _of_sequence(raw)
    raise ModelError(
        f"forward returns {_described(raw)}; expected a tensor, a list or tuple of tensors, or a dict of them"
    )


def _of_mapping(raw: Mapping[str, Any]) -> dict[str, Tensor]:
    if isinstance(raw.get("logits"), Tensor):
        return outputs_of(raw["logits"])
    if isinstance(raw.get("logits"), (tuple, list)):
        return outputs_of(raw["logits"])
    kept = {
        str(name): value
        for name, value in raw.items()
        if isinstance(value, Tensor) and not any(str(name).endswith(cache) for cache in _CACHES)
    }
    if not kept:
        raise ModelError(f"forward returns {_described(raw)} without a tensor in it; expected logits")
    return outputs_of(next(iter(kept.values()))) if len(kept) == 1 else kept


def _of_sequence(raw: Sequence[Any]) -> dict[str, Tensor]:
    parts = [part for part in raw if part is not None]
    if len(parts) == 2 and all(_tensors(part) for part in parts) and _exits(parts[1]):
        return _hidden_and_exits(*parts)
    if not _tensors(parts):
        raise ModelError(
            f"forward returns {_described(raw)}; expected tensors, a list of logits, or (hidden, logits) lists"
        )
    if len(parts) == 1:
        return outputs_of(parts[0])
    if _exits(parts):
        return {f"exit_{k}": part for k, part in enumerate(parts, 1)}
    return {f"output_{k}": part for k, part in enumerate(parts, 1)}


def _hidden_and_exits(hidden: Sequence[Tensor], logits: Sequence[Tensor]) -> dict[str, Tensor]:
    if len(hidden) not in (len(logits) - 1, len(logits)):
        raise ModelError(
            f"forward returns {len(hidden)} hidden states and {len(logits)} logits; expected one hidden state "
            "before every exit but the last"
        )
    named = {f"hidden_{k}": part for k, part in enumerate(hidden[: len(logits) - 1], 1)}
    return named | {f"exit_{k}": part for k, part in enumerate(logits, 1)}


def _tensors(parts: Any) -> bool:
    return isinstance(parts, (tuple, list)) and len(parts) > 0 and all(isinstance(part, Tensor) for part in parts)


def _exits(parts: Sequence[Tensor]) -> bool:
    """Whether all are logits of the same classes."""
    first = parts[0]
    return first.ndim == 2 and all(part.shape == first.shape and torch.is_floating_point(part) for part in parts)


def _described(raw: Any) -> str:
    """`list of (Tensor, int)`, short."""
    if isinstance(raw, (tuple, list)):
        inside = ", ".join(type(part).__name__ for part in raw[:4])
        return f"a {type(raw).__name__} of ({inside}{', ...' if len(raw) > 4 else ''})"
    if isinstance(raw, Mapping):
        return f"a {type(raw).__name__} with {', '.join(map(str, raw)) or 'nothing'}"
    return f"a {type(raw).__name__}"
