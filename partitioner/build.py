"""From a network to a bundle: choose cuts, give each an exit, cut, prove, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from partitioner.attach import cuts_of_exits, suits, with_cuts, with_exits
from partitioner.choose import choose, choose_some, named, successive
from partitioner.cut import Parts, cut
from partitioner.cuts import WIDTH, CutPoint, check_cut, find_cuts
from partitioner.findings import failure
from partitioner.graft import with_trained_heads
from partitioner.listing import CutRow, list_cuts
from partitioner.manifest import TOKENISER, Identity, manifest_of
from partitioner.measured import progress_by_time
from partitioner.network import Network
from partitioner.precision.rounding import NO_ROUNDING, Rounded, Rounding, judged, rounded, rounded_before
from partitioner.sharing import with_shared_weights
from partitioner.verify import Trial, verify
from split_core import bundle
from split_core.errors import CertificateError, ConfigError, ModelError
from split_core.manifest import Manifest
from split_core.profiles import HwProfile

MUCH = 0.5  # share of the compute without a cut that is worth a word
AUTO = 5  # cuts, where nobody says: more segments cost latency, 5 add about 5 %


@dataclass(frozen=True)
class Wish:
    """Which cuts are wanted.

    Attributes:
        cuts: a number, names with commas between, "all", or None for the network's own, else `AUTO`.
        width: most tensors that may cross.
        head: name of the head to attach where an exit is missing; None for one that suits.
        profile: of a bundle of this network: then cuts are spread by its times instead of by compute.
    """

    cuts: str | None = None
    width: int = WIDTH
    head: str | None = None
    profile: HwProfile | None = None


@dataclass(frozen=True)
class Plan:
    """A network that is ready to be cut, and all its cuts for whoever wants to see them."""

    network: Network
    rows: list[CutRow]

    @property
    def blocks(self) -> dict[tuple[str, ...], str]:
        """What people call the cuts, by tensors."""
        return {row.tensors: row.block for row in self.rows}


def planned(network: Network, wish: Wish) -> Plan:
    """Choose cuts and give each an exit.

    Raises:
        ModelError: no cut of this width, or none as asked.
        ConfigError: `wish.cuts` cannot be read.
    """
    rows = list_cuts(network, wish.width)
    chosen = _chosen(network, rows, wish)
    for tensors in chosen:
        check_cut(network, tensors)
    notes = (*network.notes, *_hints(network, rows, wish))
    return Plan(with_exits(replace(with_cuts(network, chosen), notes=notes), wish.head), rows)


def _hints(network: Network, rows: list[CutRow], wish: Wish) -> list[str]:
    """Where more cuts would be found, when most of the network has none."""
    ends = [0.0, *sorted(row.compute_before for row in rows), 1.0]
    if max(after - before for before, after in pairwise(ends)) < MUCH:
        return []
    more = len(find_cuts(network, wish.width + 1)) - len(rows)
    return [f"much of the network has no cut; --width {wish.width + 1} finds {more} more"] if more > 0 else []


def _chosen(network: Network, rows: list[CutRow], wish: Wish) -> tuple[tuple[str, ...], ...]:
    if wish.cuts is None and network.cuts:
        return network.cuts
    own = cuts_of_exits(network, find_cuts(network, wish.width)) if wish.cuts is None and network.offered else []
    if own:
        return tuple(point.tensors for point in own)
    if not rows:
        raise ModelError(f"no place where at most {wish.width} tensors cross; try --width {wish.width + 1}")
    return tuple(row.tensors for row in _rows_chosen(network, rows, wish))


def _rows_chosen(network: Network, rows: list[CutRow], wish: Wish) -> list[CutRow]:
    if not network.exits:
        following = successive(network, rows)
    else:
        following = successive(network, [row for row in rows if suits(network, row.tensors, wish.head)])
    if not following:
        raise ModelError(f"no {wish.head or 'known'} head suits any of the {len(rows)} cuts; name one, or give --head")
    if wish.cuts == "all":
        return following
    if wish.cuts is None:
        return choose_some(following, AUTO, _progress(network, following, wish.profile))
    if not wish.cuts.isdecimal():
        return named(network, rows, [name.strip() for name in wish.cuts.split(",")])
    if wish.cuts.strip("0") == "":
        raise ConfigError(f"--cuts {wish.cuts}: expected at least 1; a network that is not cut needs no bundle")
    count = int(wish.cuts)
    own = _with_own_exits(network, following)
    candidates = own if len(own) >= count else following
    return choose(candidates, count, _progress(network, candidates, wish.profile))


def _with_own_exits(network: Network, rows: list[CutRow]) -> list[CutRow]:
    """Those cuts that an exit of the network's own hangs on: it was trained, a new head was not."""
    points = [CutPoint(row.tensors, row.nodes_before) for row in rows]
    hung = {point.tensors for point in cuts_of_exits(with_cuts(network, ()), points)}
    return [row for row in rows if row.tensors in hung]


def _progress(network: Network, rows: list[CutRow], profile: HwProfile | None) -> list[float]:
    return [row.compute_before for row in rows] if profile is None else progress_by_time(network, rows, profile)


def partition(
    network: Network,
    out: Path,
    *,
    identity: Identity,
    wish: Wish,
    trial: Trial,
    clock: Callable[[], float],
    rounding: Rounding = NO_ROUNDING,
    say: Callable[[str], None] = lambda step: None,
) -> Path:
    """Cut a network, prove the pieces, write `<out>/<name>/<version>/`.

    Args:
        network: imported.
        out: the folder of bundles.
        identity: what the manifest says beside the graph.
        wish: which cuts.
        trial: on what to prove.
        clock: seconds since 1970.
        rounding: other precisions that the bundle shall have, too.
        say: is told each step when it begins.

    Returns:
        The bundle's folder.

    Raises:
        ModelError: the network cannot be cut as asked.
        ConfigError: labels, name or preprocessing do not fit the network, or a precision lacks samples.
        DataError: the samples are not of this network.
        CertificateError: the pieces are not the whole, or a precision is broken; nothing is written.
        BundleError: the disk refuses; nothing is written.
    """
    say("finding cuts")
    plan = planned(network, wish)
    say(f"cutting into {len(plan.network.cuts) + 1} segments")
    parts = cut(plan.network)
    stored = with_shared_weights(parts)
    manifest, contents = manifest_of(plan.network, stored, identity, plan.blocks), stored.contents()
    if identity.tokeniser is not None:
        contents = {**contents, TOKENISER: identity.tokeniser}
    prove = prover(plan.network, trial, clock)
    if rounding.names:
        say(f"rounding to {', '.join(rounding.names)}")
        exported = manifest_of(plan.network, parts, identity, plan.blocks)
        made = rounded(_held(out, exported, parts, identity.tokeniser), rounding, trial.seed)
        manifest = manifest.model_copy(update={"precisions": made.manifest.precisions})
        contents = {**contents, **made.contents}
        prove = and_judge(prove, made, clock)
    say("writing and proving")
    return bundle.write(out, manifest, contents, prove)


def _held(out: Path, manifest: Manifest, parts: Parts, tokeniser: bytes | None) -> bundle.Bundle:
    """The bundle to be, in memory: what other precisions are made of.  Each piece holds all of its own weights."""
    held = {file: content for file, content in parts.contents().items() if isinstance(content, bytes)}
    return bundle.Bundle(out, manifest, {}, held if tokeniser is None else {**held, TOKENISER: tokeniser})


def certify(root: Path, network: Network, trial: Trial, clock: Callable[[], float]) -> dict[str, Any]:
    """Prove a written bundle again, on this machine, and replace its certificate.

    Args:
        root: the bundle's folder.
        network: the one that it was made from.
        trial: on what to prove.
        clock: seconds since 1970.

    Returns:
        The certificate; the bundle keeps its id.

    Raises:
        BundleError: damaged, or the disk refuses.
        ModelError: another network than the one that the bundle was made from.
        CertificateError: the pieces are not the whole here; the bundle is left as it was.
    """
    written = bundle.load_unproven(root)
    manifest = written.manifest
    if network.source["sha256"] != manifest.source.get("sha256"):
        raise ModelError(
            f"{network.source.get('file', 'the network')}: sha256 is {network.source['sha256'][:12]}, the bundle was "
            f"made from {manifest.source.get('file')} with {manifest.source.get('sha256', 'none')[:12]}; give that file"
        )
    cuts = tuple(tuple(tensor.name for tensor in cut.tensors) for cut in manifest.cuts[1:])
    whole = with_trained_heads(with_exits(with_cuts(network, cuts)), written)
    prove = prover(whole, trial, clock)
    if manifest.precisions:
        prove = and_judge(prove, rounded_before(manifest, trial), clock)
    bundle.write_to(root, manifest, written.copy(), prove)
    return bundle.load(root).certificate


def prover(network: Network, trial: Trial, clock: Callable[[], float]) -> bundle.Prove:
    """Makes a bundle's certificate, and says what was found when it does not pass."""

    def prove(written: bundle.Bundle) -> dict[str, Any]:
        certificate = verify(network, written, trial, clock)
        if not certificate["passed"]:
            raise CertificateError(
                f"{written.manifest.name}: the pieces are not the whole network, nothing was written; "
                f"{failure(certificate)}"
            )
        return certificate

    return prove


def and_judge(prove: bundle.Prove, made: Rounded, clock: Callable[[], float]) -> bundle.Prove:
    """`prove`, with what the bundle's other precisions cost."""

    def both(written: bundle.Bundle) -> dict[str, Any]:
        certificate = prove(written)
        notes = [*certificate["notes"], *made.notes]
        return {**certificate, "notes": notes, "precisions": judged(written, made, clock)}

    return both
