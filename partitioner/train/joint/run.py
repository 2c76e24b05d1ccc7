"""From a factory's name and a file of samples to a bundle: what `offramp train joint` does, with torch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from partitioner.build import Wish
from partitioner.examples import Examples, examples_of, taken
from partitioner.importers import MODULE
from partitioner.importers.module import built_to_train
from partitioner.importers.torch import check_installed, source_of
from partitioner.importers.torch_inputs import Inputs, inputs_of, parameters_of
from partitioner.inputs import BATCH, InputSpec, arguments, input_specs
from partitioner.manifest import TOKENISER, Identity, NetworkFile
from partitioner.sources import kind_of, name_of
from partitioner.train.joint.bundle import rehearsed, write_bundle
from partitioner.train.joint.exits import with_exits
from partitioner.train.joint.options import NetworkOptions
from partitioner.train.joint.plan import JointPlan
from partitioner.train.joint.rows import Epoch
from partitioner.train.joint.training import JointlyTrained, train
from partitioner.train.training import Steps
from split_core.bundle import Bundle
from split_core.config import load
from split_core.errors import ConfigError, ModelError
from split_core.manifest import Manifest
from split_core.preprocess import Preprocess
from split_core.text import Text

ALL = 1 << 40  # samples


@dataclass(frozen=True)
class Work:
    """What was asked for.

    Attributes:
        model: `package.module:factory`.
        data: the samples.
        take: which of them.
        options: of the network and its bundle.
        out: folder of bundles.
        checkpoint: file to go on from, or None.
        threads: of torch; 0 for its own choice.
        tolerance: of the proof.
    """

    model: str
    data: Path
    take: slice
    options: NetworkOptions
    out: Path
    checkpoint: Path | None
    threads: int
    tolerance: float


def run(work: Work, plan: JointPlan, steps: Steps, tell: Callable[[int, Epoch], None]) -> tuple[JointlyTrained, Path]:
    """Train, and write the bundle; what cannot become one is refused before.

    Raises:
        SplitError: whatever is wrong with the module, the samples or the options.
    """
    check_installed()
    if work.threads:
        torch.set_num_threads(work.threads)
    identity, wish = _identity(work), Wish()
    with steps("reading and rehearsing", 1):
        module, inputs = _module(work, identity, plan.seed)
        manifest, notes = rehearsed(module, inputs, identity, wish)
    for note in notes:
        print(f"offramp: note: {note}", file=sys.stderr)
    examples, keywords = _examples(work, identity, manifest), _keywords(work.model, manifest, inputs)
    trained = train(module, examples, plan, keywords=keywords, checkpoint=work.checkpoint, steps=steps, tell=tell)
    with steps("writing and proving", 1):
        root = write_bundle(
            trained,
            work.out,
            identity,
            wish=wish,
            inputs=inputs,
            source=source_of(work.model, arguments(work.options.arg or ())),
            network_file=work.options.network,
            tolerance=work.tolerance,
        )
    return trained, root


def _identity(work: Work) -> Identity:
    if kind_of(work.model) != MODULE:
        raise ConfigError(f"{work.model}: joint training changes a torch module; give package.module:factory")
    options = work.options
    said = load(options.config, NetworkFile) if options.config else NetworkFile()
    folder = options.config.parent if options.config else Path()
    return Identity(
        name=options.name or said.name or name_of(work.model),
        version=options.version or said.version or "1",
        labels=said.labels,
        preprocess=said.settled(folder),
        tokeniser=said.tokeniser(folder),
    )


def _module(work: Work, identity: Identity, seed: int) -> tuple[nn.Module, Inputs]:
    """The module with its exits, and what it is called with."""
    options = work.options
    module, examples = built_to_train(work.model, arguments(options.arg or ()), seed)
    given = input_specs(options.input_ or ())
    if not given and examples is None:
        given = _specs_of_pictures(module, identity)
    inputs = inputs_of(work.model, module, given, examples)
    at = [name.strip() for name in options.at.split(",")] if options.at else []
    if not at:
        return module, inputs
    keywords = inputs.names if inputs.by_name else None
    return with_exits(module, at, _two_rows(inputs), keywords=keywords, head=options.head, seed=seed), inputs


def _specs_of_pictures(module: nn.Module, identity: Identity) -> tuple[InputSpec, ...]:
    """What a network takes that takes pictures, as the config says; nothing where it says nothing."""
    if not isinstance(identity.preprocess, Preprocess):
        return ()
    names, _ = parameters_of(module)
    return (InputSpec(names[0] if names else "image", "float32", (BATCH, *identity.preprocess.row_shape)),)


def _two_rows(inputs: Inputs) -> tuple[Any, ...]:
    return inputs.at(inputs.cases((2, 1, 3))[0])


def _examples(work: Work, identity: Identity, manifest: Manifest) -> Examples:
    """The samples, as the bundle that will be takes them."""
    held = {} if identity.tokeniser is None else {TOKENISER: identity.tokeniser}
    examples = examples_of(work.data, Bundle(work.out, manifest, {}, held), work.take.stop or ALL)
    if isinstance(examples.preprocess, Text) and not examples.preprocess.batches:
        raise ModelError(f"{work.model}: takes no mask, so texts of many lengths cannot be learned from together")
    return taken(work.data, examples, work.take)


def _keywords(model: str, manifest: Manifest, inputs: Inputs) -> tuple[str, ...] | None:
    """Names to pass the samples' tensors by, which come in the manifest's order; None where that is the module's."""
    names = tuple(tensor.name for tensor in manifest.cuts[0].tensors)
    if set(names) != set(inputs.names):
        raise ModelError(f"{model}: takes {', '.join(inputs.names)}, but its answer needs only {', '.join(names)}")
    if inputs.by_name:
        return names
    if names != inputs.names:
        raise ModelError(f"{model}: its inputs have other names in its forward; say them with --input")
    return None
