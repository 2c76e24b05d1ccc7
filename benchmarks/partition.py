"""Partitioning networks of every kind: python -m benchmarks.partition [--quick] [--json FILE]

Every network in a process of its own: export, find cuts, cut and write, prove, and the price of being cut.
With torch and transformers those are all of benchmarks/families.py, in their published sizes (tiny ones with
--quick); without them the demo's network and the MobileNetV2 of benchmarks/models.py.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from onnx.shape_inference import infer_shapes
from onnx.utils import Extractor

from benchmarks.harness import Goal, arguments, at_most, paired, report
from benchmarks.models import MobileNetV2
from partitioner import build
from partitioner.build import Wish
from partitioner.cut import Parts, cut, prefix
from partitioner.cuts import find_cuts
from partitioner.importers.request import Request
from partitioner.manifest import Identity
from partitioner.network import Network
from partitioner.sources import read_network
from partitioner.timing import OWN_TIME, sample
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import ModelError, SplitError

CUTS = 5
BUDGET_S = 20.0  # of comparing the segments with the whole
LEAST_MS = 1.0  # of a network whose price counts for the goal
PATIENCE_S = 1800.0
DEMO = "configs/demo/network.onnx"


def main() -> None:
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        mobilenet = Path(scratch) / "mobilenet_v2.onnx"
        mobilenet.write_bytes(MobileNetV2().model().SerializeToString())
        figures: dict[str, Any] = {}
        for name, words in _networks(mobilenet, quick=options.quick).items():
            figures[name] = _apart([*words, "--quick"] if options.quick else words)
            print(json.dumps({name: figures[name]}, default=float), file=sys.stderr, flush=True)
        figures["every cut"] = every_cut(read_network(str(mobilenet)))
    report("partition", figures, goals(figures), options)


def _networks(mobilenet: Path, *, quick: bool) -> dict[str, list[str]]:
    """What to measure, by name: where each is, and in which size."""
    found = {"demo": [DEMO], "mobilenet_v2 from onnx": [str(mobilenet)]}
    if all(importlib.util.find_spec(name) for name in ("torch", "onnxscript", "transformers")):
        from benchmarks.families import FAMILIES

        size = "tiny" if quick else "full"
        found |= {name: [family.location, f"size={size}"] for name, family in FAMILIES.items()}
    return found


def _apart(words: list[str]) -> dict[str, Any]:
    """One network in a process of its own; what it said where that breaks."""
    command = [sys.executable, "-m", "benchmarks.partition", "--one", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {PATIENCE_S:.0f} s"}
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
        return {"failed": f"exit code {done.returncode}: {said}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def one(location: str, args: dict[str, str], *, quick: bool) -> dict[str, Any]:
    """All figures of one network."""
    module, colon, _ = location.partition(":")
    if colon:
        importlib.import_module(module)  # the libraries are no part of the export
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "weights"
        weights.mkdir()
        seconds, network = _timed(lambda: read_network(location, Request(args, weights=weights)))
        figures = {"import_s": seconds, "exporter": network.source.get("exporter", "none"), **_cuts(network)}
        wish = _wish(network)
        planned = build.planned(network, wish).network
        figures |= _bundle(network, wish, Path(scratch))
        figures |= {"peer": pieces_against_extractor(planned, rounds=3 if quick else 7)}
        root = next(Path(scratch).glob("bundles/*/*"))
        figures |= {"segments": segments_over_whole(planned, bundles.load(root), most=11 if quick else 41)}
    return {**figures, "peak_mb": peak_mb()}


def _cuts(network: Network) -> dict[str, Any]:
    first_s, wide = _timed(lambda: find_cuts(network, 2))
    again_s, narrow = _timed(lambda: find_cuts(network, 1))
    return {"find_cuts_ms": first_s * 1e3, "find_again_ms": again_s * 1e3, "cuts": [len(narrow), len(wide)]}


def _wish(network: Network) -> Wish:
    """As many cuts as the goal says; what the network offers where it has fewer."""
    try:
        build.planned(network, Wish(str(CUTS)))
    except ModelError:
        return Wish()
    return Wish(str(CUTS))


def _bundle(network: Network, wish: Wish, scratch: Path) -> dict[str, Any]:
    identity = Identity(name="measured")
    seconds, root = _timed(
        lambda: build.partition(
            network, scratch / "bundles", identity=identity, wish=wish, trial=Trial(), clock=time.time
        )
    )
    written = bundles.load(root)
    proof_s = written.certificate["seconds"]
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    return {
        "chosen": len(written.manifest.cuts) - 1,
        "cut_and_write_s": seconds - proof_s,
        "certificate_s": proof_s,
        "bundle_mb": size / 1e6,
        "bundle_over_model": size / _model_bytes(network),
        "exact_up_to": sorted({str(entry["highest_exact_level"]) for entry in written.certificate["cuts"]}),
    }


def _model_bytes(network: Network) -> int:
    outside = sum(file.stat().st_size for file in network.folder.iterdir()) if network.folder else 0
    return network.model.ByteSize() + outside


def segments_over_whole(network: Network, bundle: Bundle, most: int) -> dict[str, Any]:
    """One sample through all segments in a row over the uncut network, in turn; one thread, its own time."""
    backend = OnnxRuntimeBackend()
    whole = backend.load(prefix(network, network.finals), threads=1, folder=network.folder)
    segments = [bundle.session(piece, backend, threads=1) for piece in bundle.manifest.segments]
    feeds = [sample(network.spec(name), network.shapes.axes) for name in network.flow.inputs]

    def in_a_row() -> None:
        state = feeds
        for segment in segments:
            state = segment.run(state)

    whole.run(feeds), in_a_row()
    ratios, whole_ms, started = [], [], time.perf_counter()
    while len(ratios) < 5 or (len(ratios) < most and time.perf_counter() - started < BUDGET_S):
        parts_s, whole_s = _own_s(in_a_row), _own_s(lambda: whole.run(feeds))
        ratios.append(parts_s / whole_s)
        whole_ms.append(whole_s * 1e3)
    return {"ratio": median(ratios), "whole_ms": median(whole_ms), "rounds": len(ratios)}


def _own_s(call: Callable[[], object]) -> float:
    """Seconds of one call, of as many as fit into 20 ms."""
    started, calls = OWN_TIME(), 0
    while calls < 1 or OWN_TIME() - started < 0.02:
        call()
        calls += 1
    return (OWN_TIME() - started) / calls


def pieces_against_extractor(network: Network, rounds: int) -> dict[str, Any]:
    """Making the segments, as bytes, over the same with `onnx.utils.Extractor`; how many of its pieces load."""
    if network.folder is not None:
        return {"left out": "the extractor takes no weights from outside"}
    bare = replace(network, exits=(), outputs=network.finals, offered=())

    def ours() -> Parts:
        return cut(replace(bare))  # a copy knows nothing that was found out before

    def peer() -> list[bytes]:
        extractor = Extractor(infer_shapes(bare.model))
        borders = [*zip([bare.flow.inputs, *bare.cuts], [*bare.cuts, bare.finals], strict=True)]
        return [extractor.extract_model([*taken], [*made]).SerializeToString() for taken, made in borders]

    try:
        pieces = peer()
    except (ValueError, RuntimeError, IndexError, KeyError) as error:
        return {"broke": " ".join(str(error).split())[:200]}
    both = paired(ours, peer, rounds, 1)
    good = sum(_loads(piece) for piece in pieces)
    return {**both, "ours": both["ours"]["median"] / 1e6, "peer": both["peer"]["median"] / 1e6, "unit": "s"} | {
        "peer_pieces_that_load": f"{good} of {len(pieces)}"
    }


def _loads(piece: bytes) -> bool:
    try:
        OnnxRuntimeBackend("off").load(piece, threads=1)
    except SplitError:
        return False
    return True


def every_cut(network: Network) -> dict[str, Any]:
    """The network cut in two at each of its cuts, both halves as bytes."""
    bare = replace(network, cuts=(), exits=(), outputs=network.finals, offered=())

    def work() -> int:
        points = find_cuts(bare)
        for point in points:
            cut(replace(bare, cuts=(point.tensors,), seen=bare.shapes))
        return len(points)

    seconds, count = _timed(work)
    return {"seconds": seconds, "cuts": count}


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def peak_mb() -> float | None:
    """Largest resident memory of this process, in MB; None where the system does not say."""
    path = Path("/proc/self/status")
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    sizes = [int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")]
    return sizes[0] if sizes else None


def goals(figures: dict[str, Any]) -> list[Goal]:
    """The two figures that are held against a number."""
    priced = [entry["segments"] for entry in figures.values() if "segments" in entry]
    # Six calls of onnxruntime instead of one are 0.05 ms more, which says nothing of a network of 0.1 ms.
    ratios = [entry["ratio"] for entry in priced if entry["whole_ms"] >= LEAST_MS] or [e["ratio"] for e in priced]
    return [
        at_most(
            f"sum of segments over the whole, {CUTS} cuts, median",
            median(ratios),
            "x",
            1.05,
            f"the uncut network, {len(ratios)} networks of {LEAST_MS:g} ms or more",
        ),
        at_most(
            "exported MobileNetV2 cut at every cut",
            figures["every cut"]["seconds"],
            "s",
            3.0,
            f"{figures['every cut']['cuts']} cuts, both halves serialised at each",
        ),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        place, *said = [word for word in sys.argv[2:] if word != "--quick"]
        pairs = dict(word.split("=", 1) for word in said)
        print(json.dumps(one(place, pairs, quick="--quick" in sys.argv), default=float))
    else:
        main()
