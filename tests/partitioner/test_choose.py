from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from partitioner.build import Wish, planned
from partitioner.choose import DOUBLINGS, LEAST, choose, choose_some, named, successive
from partitioner.importers.onnx import network_of as imported
from partitioner.listing import CutRow, list_cuts
from partitioner.measured import progress_by_time
from partitioner.network import Network
from split_core.errors import ConfigError, ModelError, ProfileError
from split_core.profiles import Device, HwProfile, Payload, Timing
from tests.partitioner.graphs import network_of
from tests.tiny import tiny_model


def row(number: int, items: int, before: float = 0.0) -> CutRow:
    return CutRow(f"block.{number}", (f"t_{number}",), ((items,),), 4 * items, items, before, before, number)


def rows_of(items: list[int], progress: list[float]) -> list[CutRow]:
    return [row(k, count, share) for k, (count, share) in enumerate(zip(items, progress, strict=True))]


def cost(rows: list[CutRow], chosen: tuple[int, ...], progress: list[float]) -> float:
    """What `choose` says that it minimises, written down once more."""
    ends = [0.0, *(progress[k] for k in chosen), 1.0]
    spread = (len(chosen) + 1) * sum((after - before) ** 2 for before, after in pairwise(ends))
    fewest = min(row.u8_bytes for row in rows)
    size = sum(math.log2(rows[k].u8_bytes / fewest) for k in chosen) / len(chosen) / DOUBLINGS
    return spread + size


def test_of_cuts_that_carry_the_same_the_most_even_ones_are_taken() -> None:
    rows = rows_of([8] * 5, [0.1, 0.3, 0.35, 0.65, 0.9])
    assert [row.tensors[0] for row in choose(rows, 2, [0.1, 0.3, 0.35, 0.65, 0.9])] == ["t_2", "t_3"]


def test_one_cut_by_hand() -> None:
    # In the middle: 2 (0.5^2 + 0.5^2) = 1, and 4 doublings over 4 = 1: together 2.
    # At three quarters: 2 (0.75^2 + 0.25^2) = 1.25, and nothing: the better one.
    progress = [0.5, 0.75]
    assert choose(rows_of([160, 10], progress), 1, progress)[0].tensors == ("t_1",)
    # With half a doubling the middle costs 1.125.
    assert choose(rows_of([14, 10], progress), 1, progress)[0].tensors == ("t_0",)


def test_more_cuts_than_there_are_is_refused_with_how_many_there_are() -> None:
    with pytest.raises(ModelError, match=r"--cuts 3: the network has 2 successive cuts; ask for fewer"):
        choose(rows_of([1, 1], [0.2, 0.8]), 3, [0.2, 0.8])


instances = st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1)), min_size=1, max_size=7)


@given(instances, st.integers(1, 7))
def test_the_choice_is_the_best_of_all_choices_and_in_order(drawn: list[tuple[int, float]], count: int) -> None:
    progress = sorted(share for _, share in drawn)
    rows = rows_of([items for items, _ in drawn], progress)
    count = min(count, len(rows))
    chosen = choose(rows, count, progress)
    places = tuple(rows.index(row) for row in chosen)
    assert list(places) == sorted(set(places))
    assert len(places) == count
    best = min(cost(rows, places, progress) for places in combinations(range(len(rows)), count))
    assert cost(rows, places, progress) == pytest.approx(best)


@given(instances, st.integers(1, 7))
def test_where_nobody_says_how_many_no_segment_is_left_with_nothing(drawn: list[tuple[int, float]], most: int) -> None:
    progress = sorted(share for _, share in drawn)
    rows = rows_of([items for items, _ in drawn], progress)
    chosen = choose_some(rows, most, progress)
    assert 1 <= len(chosen) <= most
    ends = [0.0, *(progress[rows.index(row)] for row in chosen), 1.0]
    assert len(chosen) == 1 or min(after - before for before, after in pairwise(ends)) >= LEAST


BRANCHES = [
    helper.make_node("Relu", ["x"], ["stem"]),
    helper.make_node("MatMul", ["stem", "w_1"], ["right"]),
    helper.make_node("Sigmoid", ["right"], ["right_2"]),
    helper.make_node("MatMul", ["stem", "w_0"], ["left"]),
    helper.make_node("Tanh", ["left"], ["left_2"]),
    helper.make_node("Add", ["left_2", "right_2"], ["joined"]),
]


@pytest.fixture
def branches() -> Network:
    return network_of(BRANCHES, "joined", ("x",))


def test_cuts_in_parallel_branches_do_not_follow_and_are_refused_by_name(branches: Network) -> None:
    rows = list_cuts(branches)
    both = {frozenset(row.tensors): row for row in rows}
    one, other = both[frozenset({"left_2", "stem"})], both[frozenset({"right", "stem"})]
    assert len(successive(branches, rows)) < len(rows)
    first, second = sorted((one, other), key=rows.index)
    with pytest.raises(ModelError, match=r"does not follow from .*parallel branches"):
        named(branches, rows, ["+".join(first.tensors), "+".join(second.tensors)])


def test_each_of_the_successive_cuts_follows_from_the_one_before(branches: Network) -> None:
    kept = successive(branches, list_cuts(branches))
    assert {("stem",), ("joined",)} <= {row.tensors for row in kept}


def tiny() -> Network:
    return imported(tiny_model(), {"file": "tiny.onnx", "sha256": "5" * 64}, {})


def test_a_tensor_or_a_block_names_a_cut() -> None:
    network = tiny()
    rows = list_cuts(network)
    assert [row.tensors for row in named(network, rows, ["hidden_1", "hidden_2"])] == [("hidden_1",), ("hidden_2",)]
    parts = [row(0, 1), row(1, 1), row(2, 1)]
    assert named(network, parts, ["block.1"]) == [parts[1]]


def test_a_block_s_name_means_behind_all_of_it() -> None:
    inside = [
        CutRow(name, (f"t_{k}",), ((1,),), 4, 1, 0, 0, k)
        for k, name in enumerate(["layer.0 (Add)", "layer.0.mlp", "layer.1"])
    ]
    assert named(tiny(), inside, ["layer.0"]) == [inside[1]]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["hiden_1"], "no cut named 'hiden_1'; did you mean 'hidden_1'\\?; --list-cuts shows all"),
        (["hidden_2", "hidden_1"], "hidden_1 is before hidden_2; give the cuts in the order"),
        (["hidden_1", "hidden_1"], "hidden_1 and hidden_1 are the same cut"),
        (["image"], "no cut named 'image'"),
        ([""], "no cut named ''"),
    ],
)
def test_names_that_do_not_do_are_refused(names: list[str], words: str) -> None:
    network = tiny()
    with pytest.raises(ModelError, match=words):
        named(network, list_cuts(network), names)


@pytest.mark.parametrize(
    ("cuts", "kind", "words"),
    [
        ("0", ConfigError, "expected at least 1"),
        ("00", ConfigError, "expected at least 1"),
        ("99", ModelError, "--cuts 99: the network has"),
        ("\u00b2", ModelError, "no cut named"),
        ("-1", ModelError, "no cut named"),
        ("hidden_1,nothing", ModelError, "no cut named 'nothing'"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(cuts: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        planned(tiny(), Wish(cuts))


def test_no_cut_of_the_asked_width_says_which_width_to_try() -> None:
    body = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Tanh", ["y"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
    ]
    network = network_of(body, "c", ("x", "y"))
    rows = {row.tensors for row in list_cuts(network, 1)}
    assert ("a",) not in rows
    graph = helper.make_graph([helper.make_node("Add", ["x", "y"], ["sum"])], "two", network.model.graph.input, [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    bare = Network(model, {}, outputs=("sum",))
    with pytest.raises(ModelError, match="no place where at most 1 tensors cross; try --width 2"):
        planned(bare, Wish(width=1))


def test_where_no_head_suits_any_cut_nothing_is_cut() -> None:
    for cuts in ("all", "2", None):
        with pytest.raises(ModelError, match="no text head suits any of the"):
            planned(replace(tiny(), cuts=(), exits=("exit_3",)), Wish(cuts, head="text"))


def test_the_network_s_own_cuts_win_where_nothing_is_said_and_not_where_something_is() -> None:
    assert planned(tiny(), Wish()).network.cuts == (("hidden_1",), ("hidden_2",))
    plan = planned(tiny(), Wish("all"))
    assert len(plan.network.cuts) > 5
    assert {"exit_1", "exit_2", "exit_3"} <= set(plan.network.exits)
    assert len(plan.network.untrained) == len(plan.network.cuts) - 2


def timing(ms: float) -> Timing:
    return Timing(p50_ms=ms, p95_ms=ms, n=1)


def profile(cuts: tuple[tuple[str, ...], ...], segments_ms: list[float], network: str = "5" * 64) -> HwProfile:
    return HwProfile(
        name="board",
        bundle_id="0" * 64,
        network=network,
        cuts=cuts,
        device=Device(machine="m", cores=1, python="3", numpy="2", backend="b", backend_version="1", threads=1),
        segments=tuple(map(timing, segments_ms)),
        heads=tuple(timing(0) for _ in segments_ms),
        tensor=timing(0.0),
        payloads=tuple(
            Payload(cut=k, codec="raw", encode=timing(0), bytes_p50=1, bytes_p95=1) for k in range(len(segments_ms))
        ),
    )


def test_time_between_two_measured_cuts_grows_with_compute() -> None:
    network = tiny()
    rows = [row(k, 1, share) for k, share in enumerate([0.1, 0.2, 0.4, 0.6, 0.8])]
    # Measured: t_1 (compute 0.2) done after 3 of 10 ms, t_3 (0.6) after 7.
    found = progress_by_time(network, rows, profile((("t_1",), ("t_3",)), [3, 4, 3]))
    assert found == pytest.approx([0.15, 0.3, 0.5, 0.7, 0.85])


def test_a_profile_of_another_network_or_without_any_of_its_cuts_is_refused() -> None:
    rows = [row(0, 1, 0.5)]
    with pytest.raises(ProfileError, match="measured with another network"):
        progress_by_time(tiny(), rows, profile((("t_0",),), [1, 1], network="6" * 64))
    with pytest.raises(ProfileError, match="none of its cuts"):
        progress_by_time(tiny(), rows, profile((("elsewhere",),), [1, 1]))


def test_cuts_are_chosen_by_time_where_there_is_a_profile() -> None:
    network = tiny()
    measured = profile((("hidden_1",), ("hidden_2",)), [80, 10, 10])
    following = successive(network, list_cuts(network))
    by_time = choose(following, 3, progress_by_time(network, following, measured))
    by_compute = choose(following, 3, [row.compute_before for row in following])
    assert planned(network, Wish("3", profile=measured)).network.cuts == tuple(row.tensors for row in by_time)
    assert by_time != by_compute
