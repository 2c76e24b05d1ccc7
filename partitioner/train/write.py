"""The new bundle: the old one's segments byte by byte, its trained heads in the place of those that knew nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from partitioner.attach import with_cuts, with_exits
from partitioner.build import and_judge, prover
from partitioner.graft import with_trained_heads
from partitioner.network import Network
from partitioner.precision.rounding import Rounding, rounded
from partitioner.train.pieces import head_model, head_piece
from partitioner.train.proof import Learned, against_torch, heads_entries, prove
from partitioner.verify import Trial, random_feeds, sizes_to_prove
from split_core import bundle as bundles
from split_core.bundle import Bundle, Source
from split_core.config import first_error
from split_core.errors import BundleError, ConfigError, ModelError
from split_core.manifest import Manifest


@dataclass(frozen=True)
class Proof:
    """On what the new bundle is proved.

    Attributes:
        trial: inputs and tolerance.
        samples: what it was trained with; other precisions are made of it again.
        network: the uncut one; None where it is not at hand.
        clock: seconds since 1970.
    """

    trial: Trial
    samples: Path
    network: Network | None
    clock: Callable[[], float]


def check_version(bundle: Bundle, out: Path, version: str) -> None:
    """Refuse to write over the bundle that is trained, before anything is trained.

    Raises:
        ConfigError: it would be, or this is no version.
    """
    _manifest(bundle, [], {}, version, {})
    root = out / bundle.manifest.name / version
    if version == bundle.manifest.version or root.resolve() == bundle.root.resolve():
        raise ConfigError(
            f"--version {version}: is the bundle that is trained, and bundles do not change; give another"
        )


def write(
    old: Bundle, learned: Sequence[Learned], out: Path, *, version: str, facts: Mapping[str, str], proof: Proof
) -> Path:
    """Write `<out>/<name>/<version>/` whole or not at all; returns that folder.

    Args:
        old: the bundle that was trained.
        learned: its new heads.
        out: the folder of bundles.
        version: of the new one.
        facts: what `source` shall say of the training.
        proof: how it is proved.

    Raises:
        ConfigError: not a version.
        ModelError: the network that is given is another.
        CertificateError: the new bundle is not what it should be.
        BundleError: the disk refuses.
    """
    contents = _without_precisions(old)
    for one in learned:
        contents[old.manifest.heads[one.place.exit - 1].file] = head_model(one.place, one.parameters)
    manifest = _manifest(old, learned, contents, version, facts)
    proving = _proving(old, learned, manifest, proof)
    if old.manifest.precisions:
        held = {name: content for name, content in contents.items() if isinstance(content, bytes)}
        rounding = Rounding(tuple(old.manifest.precisions), proof.samples)
        made = rounded(Bundle(old.root, manifest, {}, held), rounding, proof.trial.seed)
        manifest, contents = made.manifest, {**contents, **made.contents}
        proving = and_judge(proving, made, proof.clock)
    return bundles.write(out, manifest, contents, proving)


def _without_precisions(old: Bundle) -> dict[str, bytes | Source]:
    """Its files but those that round the old heads; they are made again."""
    exported = {item.file for piece in old.manifest.pieces() for item in (piece, *piece.weights)}
    if old.manifest.tokeniser is not None:
        exported.add(old.manifest.tokeniser.file)
    return {name: content for name, content in old.copy().items() if name in exported}


def _manifest(
    old: Bundle,
    learned: Sequence[Learned],
    contents: Mapping[str, bytes | Source],
    version: str,
    facts: Mapping[str, str],
) -> Manifest:
    manifest, heads = old.manifest, list(old.manifest.heads)
    for one in learned:
        number = one.place.exit
        content = contents[heads[number - 1].file]
        if not isinstance(content, bytes):
            raise BundleError(f"{heads[number - 1].file}: its weights are outside; partition the network again")
        heads[number - 1] = head_piece(heads[number - 1], one.place, content)
    before = [number for number in manifest.source.get("trained_exits", "").split(",") if number]
    exits = sorted({*map(int, before), *(one.place.exit for one in learned)})
    source = {**manifest.source, **facts, "trained_exits": ",".join(map(str, exits)), "trained_from": old.id}
    kept = {name: getattr(manifest, name) for name in Manifest.model_fields}
    changed = {"version": version, "heads": tuple(heads), "source": source, "precisions": {}}
    try:
        return Manifest.model_validate({**kept, **changed})
    except ValidationError as error:
        raise ConfigError(f"--version {version}: {first_error(error, Manifest)}") from error


def _proving(old: Bundle, learned: Sequence[Learned], manifest: Manifest, proof: Proof) -> bundles.Prove:
    """By the network where it is at hand, else by the old bundle; new heads against torch either way."""
    network, trial = proof.network, proof.trial
    if network is None:
        return lambda written: prove(written, old, learned, trial, proof.clock)
    if network.source["sha256"] != manifest.source.get("sha256"):
        raise ModelError(f"--model: is not {manifest.source.get('file')}, of which the bundle was made; give that file")
    cuts = tuple(tuple(tensor.name for tensor in cut.tensors) for cut in manifest.cuts[1:])
    whole = with_exits(with_cuts(network, cuts))

    def both(written: Bundle) -> dict[str, Any]:
        certificate = prover(with_trained_heads(whole, written), trial, proof.clock)(written)
        feeds = random_feeds(manifest, sizes_to_prove(manifest), trial.seed)
        return {**certificate, "heads": heads_entries(against_torch(written, learned, feeds))}

    return both
