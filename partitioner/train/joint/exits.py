"""A module's exits: its own, or heads put behind named parts of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from partitioner.heads import TRAINABLE
from partitioner.heads.trainable import TrainableHead, state_spec
from partitioner.importers.torch_outputs import Named, outputs_of
from split_core.errors import ConfigError, ModelError
from split_core.registry import suggestion


class ExitHead(nn.Module):
    """A head of `TRAINABLE` behind one hidden state.

    Args:
        head: which.
        features: F of that state.
        classes: C.
        rng: of its first weights.
    """

    def __init__(self, head: TrainableHead, features: int, classes: int, rng: np.random.Generator) -> None:
        super().__init__()
        self._head, self._names = head, []
        for name, value in head.start(features, classes, rng).items():
            kept, own = torch.from_numpy(value.copy()), name.replace(".", "_")  # torch allows no dot in a name
            self._names.append((name, own))
            if name in head.fixed:
                self.register_buffer(own, kept)
            else:
                self.register_parameter(own, nn.Parameter(kept))

    def forward(self, state: Tensor) -> Tensor:
        """Logits (N, C) of a hidden state."""
        parameters = {name: getattr(self, own) for name, own in self._names}
        logits: Tensor = self._head.forward(parameters, self._head.gather(state))
        return logits


class WithExits(nn.Module):
    """A network with one answer, and exit heads that listen to parts of it.

    Args:
        trunk: the network; its parts get forward hooks.
        heads: by the part's name, in the order of depth.
    """

    def __init__(self, trunk: nn.Module, heads: dict[str, ExitHead]) -> None:
        super().__init__()
        self.trunk = trunk
        self.exits = nn.ModuleList(heads.values())
        self._heard: dict[str, Tensor] = {}
        self._parts = tuple(heads)
        for name in heads:
            trunk.get_submodule(name).register_forward_hook(self._listener(name))

    def _listener(self, name: str) -> Any:
        def listen(part: nn.Module, taken: Any, made: Tensor) -> None:
            self._heard[name] = made

        return listen

    def forward(self, *tensors: Tensor, **named: Tensor) -> list[Tensor]:
        """Logits of every exit, the trunk's own last."""
        final = logits_of(self.trunk(*tensors, **named))[-1]
        early = [head(self._heard.pop(name)) for name, head in zip(self._parts, self.exits, strict=True)]
        return [*early, final]


def logits_of(raw: Any) -> list[Tensor]:
    """The exits' logits (N, C) in what a module gives, the final one last; hidden states beside them are left out.

    Raises:
        ModelError: there are none.
    """
    found = outputs_of(raw)
    exits = [value for name, value in found.items() if name == "logits" or name.startswith("exit_")]
    if not exits:
        raise ModelError(
            f"forward gives {', '.join(found)}, none of them class logits; expected a list of (batch, classes), "
            "one per exit, or one such tensor"
        )
    return exits


def with_exits(
    trunk: nn.Module,
    at: Sequence[str],
    tensors: Sequence[Tensor],
    *,
    keywords: Sequence[str] | None = None,
    head: str = "linear",
    seed: int = 0,
) -> WithExits:
    """The network with a head behind each of some parts.

    Args:
        trunk: gives one tensor of class logits.
        at: names of its parts, in any order.
        tensors: an input of any batch.
        keywords: names to pass them by; None passes them in order.
        head: name in `TRAINABLE`.
        seed: of the heads' first weights.

    Raises:
        ConfigError: no such part or head.
        ModelError: the network has exits of its own, or the head does not suit what a part gives.
    """
    parts = dict(trunk.named_modules())
    for name in at:
        if name not in parts or not name:
            near = (
                suggestion(name, list(parts)) or f"; there are: {', '.join(name for name, _ in trunk.named_children())}"
            )
            raise ConfigError(f"--at {name}: the network has no such part{near}")
    states, classes = _heard(trunk, at, Named(trunk, keywords), tensors)
    heads = {}
    for number, (name, state) in enumerate(states.items(), 1):
        kind: TrainableHead = TRAINABLE.load(head)()
        features = kind.features([state_spec(state, name)])
        if features is None:
            raise ModelError(f"--at {name}: head {head!r} does not suit its {tuple(state.shape)}; give another --head")
        heads[name] = ExitHead(kind, features, classes, np.random.default_rng([seed, number]))
    return WithExits(trunk, heads)


def _heard(
    trunk: nn.Module, at: Sequence[str], network: Named, tensors: Sequence[Tensor]
) -> tuple[dict[str, Tensor], int]:
    """What these parts give, in the order in which they run, and C."""
    states: dict[str, Any] = {}
    hooks = [
        trunk.get_submodule(name).register_forward_hook(
            lambda part, taken, made, name=name: states.update({name: made})
        )
        for name in dict.fromkeys(at)
    ]
    trunk.eval()
    with torch.no_grad():
        logits = logits_of(network.raw(*tensors))
    for hook in hooks:
        hook.remove()
    if len(logits) > 1:
        raise ModelError(f"the network has {len(logits)} exits of its own; leave out --at")
    for name in at:
        if not isinstance(states.get(name), Tensor):
            kind = type(states[name]).__name__ if name in states else "nothing: it does not run"
            raise ModelError(f"--at {name}: gives {kind}; expected a part that gives one tensor")
    return states, int(logits[-1].shape[1])
