"""What the outputs of a network are: hidden states at cuts, exits, or plain outputs; by name, then by shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from partitioner.network import Network
from split_core.errors import ModelError

# `hidden_3`, or `hidden_3_mask` for a second tensor that crosses with it.
HIDDEN = re.compile(r"^hidden_(\d+)(?:_\w+)?$")
EXIT = re.compile(r"^exit_(\d+)$")
LOGITS = "logits"  # what every classifier of the transformers library calls its answer


def with_roles(network: Network, outputs: Sequence[str]) -> Network:
    """The network with `cuts`, `exits`, `offered` and `outputs` told from what it gives.

    - `hidden_<k>` (and `hidden_<k>_<more>`) and `exit_<k>`: cuts and exits as named;
    - `exit_<k>` alone, or several outputs with logits of the same classes: exits, in the order of depth,
      whose cuts are still to be found;
    - one output (be it `exit_<k>`), or one named `logits` among others: the answer;
    - anything else: all of them together are the answer, and none of it is class logits.

    Raises:
        ModelError: a gap in the numbers, a hidden state too many, or an odd name among numbered ones.
    """
    alone = len(outputs) == 1 and not HIDDEN.match(outputs[0])
    if not alone and any(HIDDEN.match(name) or EXIT.match(name) for name in outputs):
        return _numbered_roles(network, outputs)
    if len(outputs) > 1 and LOGITS in outputs:
        others = ", ".join(name for name in outputs if name != LOGITS)
        note = f"outputs {others} are left out: the answer is 'logits'"
        return with_roles(replace(network, notes=(*network.notes, note)), (LOGITS,))
    bare = replace(network, outputs=tuple(outputs))
    classes = {classes_of(bare, name) for name in outputs}
    if len(classes) != 1 or None in classes:
        return bare
    *early, final = sorted(outputs, key=lambda name: len(bare.flow.ancestors([name])))
    return replace(bare, outputs=(final,), exits=(final,), offered=tuple(early))


def classes_of(network: Network, name: str) -> int | None:
    """C of a tensor with class logits (batch, C); None for any other."""
    try:
        spec = network.spec(name)
    except ModelError:
        return None
    row = spec.row_shape
    fits = len(row) == 1 and isinstance(row[0], int) and row[0] > 1 and spec.dtype.startswith("float")
    return int(row[0]) if fits else None


def _numbered_roles(network: Network, outputs: Sequence[str]) -> Network:
    strange = [name for name in outputs if not HIDDEN.match(name) and not EXIT.match(name)]
    if strange:
        raise ModelError(
            f"output {strange[0]!r}: expected hidden states named hidden_<k> and logits named exit_<k>, "
            f"or other names for all; got {', '.join(outputs)}"
        )
    exits = _numbered(outputs, EXIT, "exit")
    cuts = _numbered(outputs, HIDDEN, "hidden")
    if any(len(names) > 1 for names in exits) or (cuts and len(cuts) != len(exits) - 1):
        raise ModelError(f"{len(exits)} exits need {len(exits) - 1} hidden states before them, got {len(cuts)}")
    logits = tuple(names[0] for names in exits)
    if cuts or len(logits) == 1:
        return replace(network, cuts=cuts, exits=logits, outputs=logits[-1:])
    return replace(network, exits=logits[-1:], outputs=logits[-1:], offered=logits[:-1])


def _numbered(outputs: Sequence[str], pattern: re.Pattern[str], kind: str) -> tuple[tuple[str, ...], ...]:
    """Names that fit, grouped by their number, which must run from 1 without a gap."""
    groups: dict[int, list[str]] = {}
    for name in outputs:
        if match := pattern.match(name):
            groups.setdefault(int(match.group(1)), []).append(name)
    missing = sorted(set(range(1, max(groups, default=0) + 1)) - set(groups))
    if missing or 0 in groups:
        raise ModelError(f"outputs {kind}_<k> must count from 1; {kind}_{missing[0] if missing else 0} is out of line")
    return tuple(tuple(groups[number]) for number in sorted(groups))
