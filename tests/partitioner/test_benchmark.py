"""The goals of `python -m benchmarks.partition`, from figures as they come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks import partition as benchmark
from partitioner.build import Wish, planned
from partitioner.sources import read_network
from split_core import bundle


def figures(**whole_ms_and_ratio: tuple[float, float]) -> dict[str, object]:
    found: dict[str, object] = {
        name: {"segments": {"whole_ms": ms, "ratio": ratio}} for name, (ms, ratio) in whole_ms_and_ratio.items()
    }
    return {**found, "broken": {"failed": "as it does"}, "every cut": {"seconds": 1.5, "cuts": 99}}


def test_the_price_is_the_median_of_networks_that_take_a_while():
    price, every = benchmark.goals(figures(tiny=(0.1, 3.0), a=(5.0, 1.0), b=(50.0, 1.02), c=(9.0, 1.2)))
    assert (price.value, price.goal, price.met) == (1.02, 1.05, True)
    assert "3 networks" in price.against
    assert (every.value, every.met) == (1.5, True)
    assert "99 cuts" in every.against


def test_where_all_are_tiny_all_count_and_a_goal_that_is_missed_says_so():
    price, _ = benchmark.goals(figures(a=(0.1, 1.2), b=(0.2, 1.4)))
    assert (price.value, price.met) == (1.3, False)


def test_a_network_is_measured_whole_and_in_pieces(tiny_model_path: Path, tiny_bundle: Path):
    network = planned(read_network(str(tiny_model_path)), Wish()).network
    price = benchmark.segments_over_whole(network, bundle.load(tiny_bundle), most=5)
    assert price["rounds"] == 5
    assert 0.5 < price["ratio"] < 20
    assert price["whole_ms"] > 0
    peer = benchmark.pieces_against_extractor(network, rounds=1)
    assert peer["peer_pieces_that_load"] == "3 of 3"
    bare = replace(network, exits=(), outputs=network.finals)
    assert benchmark.every_cut(bare)["cuts"] > 8
    assert (benchmark.peak_mb() or 1.0) > 0
