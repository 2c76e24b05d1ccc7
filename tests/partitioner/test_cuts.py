from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given

from partitioner.cuts import check_cut, crossing, find_cuts
from partitioner.listing import list_cuts
from partitioner.network import Network
from split_core.errors import ModelError
from tests.partitioner.graphs import network_of, networks
from tests.tiny import tiny_model


def is_separator(network: Network, removed: set[str]) -> bool:
    """Does every way from an input to the final exit go through `removed`?  By walking, tensor by tensor."""
    flow, reached = network.flow, set(network.flow.inputs) - removed
    for node, taken in zip(flow.nodes, flow.taken, strict=True):
        if reached & set(taken):
            reached.update(set(node.output) - removed)
    return network.finals[0] not in reached


def trunk_tensors(network: Network) -> list[str]:
    trunk = network.flow.ancestors(network.finals)
    return [
        name for index in sorted(trunk) for name in network.flow.nodes[index].output if name in network.flow.variable
    ]


@given(networks())
def test_the_sweep_finds_exactly_the_tensors_that_every_path_goes_through(network: Network) -> None:
    found = {point.tensors[0] for point in find_cuts(network, width=1)}
    expected = {name for name in trunk_tensors(network) if name != network.finals[0] and is_separator(network, {name})}
    assert found == expected


@given(networks())
def test_every_cut_found_separates_and_is_accepted(network: Network) -> None:
    for point in find_cuts(network):
        assert len(point.tensors) <= 2
        assert is_separator(network, set(point.tensors))
        assert set(crossing(network, point.tensors)) == set(point.tensors)
        check_cut(network, point.tensors)


@given(networks())
def test_a_tensor_that_is_no_cut_is_refused_and_what_else_crosses_is_named(network: Network) -> None:
    good = {point.tensors[0] for point in find_cuts(network, width=1)}
    for name in set(trunk_tensors(network)) - good - set(network.finals):
        with pytest.raises(ModelError) as refusal:
            check_cut(network, [name])
        others = [other for other in crossing(network, [name]) if other != name]
        assert others
        assert others[0] in str(refusal.value)
        assert is_separator(network, {name, *others})


@given(networks())
def test_cuts_come_in_the_order_of_the_network_and_their_shares_grow(network: Network) -> None:
    rows = list_cuts(network)
    assert [row.tensors for row in rows] == [point.tensors for point in find_cuts(network)]
    assert all(before.nodes_before <= after.nodes_before for before, after in pairwise(rows))
    alone = [row for row in rows if len(row.tensors) == 1]
    for before, after in pairwise(alone):
        assert before.parameters_before <= after.parameters_before
        assert before.compute_before <= after.compute_before


def test_shared_constants_and_exit_heads_do_not_hide_a_cut() -> None:
    network = tiny_network()
    found = {point.tensors for point in find_cuts(network, width=1)}
    assert {("hidden_1",), ("hidden_2",)} <= found
    assert ("flat_1",) not in found


def test_what_a_cut_ships_is_listed_in_bytes() -> None:
    row = next(row for row in list_cuts(tiny_network()) if row.tensors == ("hidden_1",))
    assert (row.row_bytes, row.u8_bytes) == (4 * 8 * 8 * 4, 4 * 8 * 8)
    assert 0.0 < row.parameters_before < row.compute_before < 1.0


def test_an_unknown_tensor_gets_the_nearest_known_one() -> None:
    with pytest.raises(ModelError, match="did you mean 'hidden_1'"):
        check_cut(tiny_network(), ["hiden_1"])


def test_a_tensor_that_only_a_head_uses_is_no_cut() -> None:
    with pytest.raises(ModelError, match="hidden_1 would cross too"):
        check_cut(tiny_network(), ["flat_1"])


def test_a_second_tensor_that_nobody_uses_behind_the_cut_is_refused() -> None:
    with pytest.raises(ModelError, match="b_2 is not used behind it"):
        check_cut(tiny_network(), ["c_2", "b_2"])


def test_a_network_of_one_node_has_no_cuts() -> None:
    assert find_cuts(network_of([], "x", ("x",)), width=1)[0].tensors == ("exit_1_flat",)


def tiny_network() -> Network:
    return Network(tiny_model(), {}, (("hidden_1",), ("hidden_2",)), ("exit_1", "exit_2", "exit_3"))
