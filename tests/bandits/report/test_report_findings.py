from __future__ import annotations

from typing import Any

from bandits.report.findings import (
    cheapest,
    comparisons,
    honest_sentences,
    outage_sentence,
    privacy_sentence,
    replay_sentence,
)
from bandits.report.result import Outage, Privacy, Run


def figures(cost: float | None, accuracy: float | None = 0.92, frames: int = 1000) -> dict[str, Any]:
    return {
        "frames": frames, "accuracy": accuracy, "agreement": None, "latency_ms": {"mean": 1, "p50": 1, "p95": 2, "p99": 3},
        "kb_per_frame": 0.1, "exit_share": [1.0], "offload_share": 0.2, "mean_cost": cost, "regret": None,
        "deadline_misses": 0, "degraded": 0,
    }  # fmt: skip


def replayed(name: str, cost: float | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "live": False, **figures(cost, **more)}


def live(name: str, cost: float | None, replay_cost: float | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "live": True, **figures(cost, **more), "replayed": figures(replay_cost, **more)}


def run(*rows: dict[str, Any]) -> Run:
    return Run.model_validate({"policies": rows})


def test_a_trivial_policy_that_is_cheaper_is_named_with_cost_difference_and_accuracy():
    sentences = honest_sentences(run(replayed("cloud_only", 8.0, accuracy=0.9312), replayed("sequential", 10.0)))
    assert sentences == [
        "Cloud only is cheaper than ours: 8.00 against 10.00 per frame (20.0 % less; replayed, 1,000 frames), "
        "at 1.12 points more accuracy (93.12 against 92.00 %)."
    ]


def test_nothing_is_conceded_when_no_trivial_policy_is_cheaper():
    (sentence,) = honest_sentences(
        run(replayed("edge_only", 12.0), replayed("best_fixed", 10.0), replayed("sequential", 10.0))
    )
    assert "is cheaper than ours" not in sentence
    assert (
        sentence
        == "Every trivial policy in this run (edge only, best fixed arm (hindsight)) costs at least as much as ours."
    )


def test_the_best_fixed_arm_is_conceded_as_hindsight_and_the_others_are_still_named():
    first, second = honest_sentences(
        run(replayed("edge_only", 12.0), replayed("best_fixed", 9.0), replayed("sequential", 10.0))
    )
    assert first.startswith("Best fixed arm (hindsight) is cheaper than ours")
    assert "price of learning" in first
    assert second == "Every other trivial policy in this run (edge only) costs at least as much as ours."


def test_live_is_compared_with_live_even_if_the_replay_flatters_us():
    rows = run(live("cloud_only", 9.0, 11.0), live("sequential", 10.0, 10.0))
    assert [(each.name, each.how, each.cheaper) for each in comparisons(rows)] == [("cloud_only", "live", True)]
    assert "is cheaper than ours" in honest_sentences(rows)[0]


def test_replays_over_the_same_frames_are_preferred_to_others():
    rows = run(
        live("sequential", 10.0, 10.5),
        replayed("sequential", 9.5, frames=5000),
        replayed("best_fixed", 9.4, frames=5000),
    )
    (comparison,) = comparisons(rows)
    assert (comparison.ours.mean_cost, comparison.theirs.mean_cost) == (9.5, 9.4)
    assert "replayed, 5,000 frames" in honest_sentences(rows)[0]


def test_other_frames_are_compared_only_with_a_word_about_it():
    rows = run(live("sequential", 10.0, 10.5), replayed("random", 9.4, frames=5000))
    assert "ours over 1,000 frames, it over 5,000" in honest_sentences(rows)[0]


def test_unknown_costs_give_no_verdict():
    sentences = honest_sentences(run(replayed("edge_only", None), replayed("sequential", 10.0)))
    assert sentences == ["No trivial policy was priced in this run, so nothing can be said about beating one."]


def test_the_headline_compares_with_a_policy_that_one_could_have_run():
    other = cheapest(
        run(
            replayed("best_fixed", 1.0),
            replayed("cloud_only", 5.0),
            replayed("edge_only", 4.0),
            replayed("sequential", 3.0),
        )
    )
    assert other is not None
    assert other.name == "edge_only"


def test_the_largest_gap_between_live_and_replay_is_what_one_may_believe():
    rows = run(live("edge_only", 10.0, 10.1), live("cloud_only", 20.0, 17.0), replayed("random", 5.0))
    sentence = replay_sentence([rows])
    assert "15.0 % (cloud only)" in sentence
    assert "2 rows" in sentence


def test_without_a_live_row_the_replay_is_called_unchecked():
    assert "unchecked" in replay_sentence([run(replayed("random", 5.0))])


def test_the_price_of_privacy_may_be_negative():
    privacy = {
        "policy": "sequential",
        "mean_cost_any": 10.0,
        "mean_cost_hidden": 9.0,
        "extra_cost_pct": -10.0,
        "kb_any": 1.0,
        "kb_hidden": 0.5,
    }
    assert "costs 10.0 % less: 9.00 instead of 10.00" in privacy_sentence(Privacy.model_validate(privacy))


def outage(**changes: int) -> Outage:
    counted = {"frames": 100, "outcomes": 100, "deadline_misses": 0, "duplicates": 0, "degraded": 4} | changes
    return Outage.model_validate({**counted, "faults": []})


def test_a_kept_promise_and_a_broken_one_read_differently():
    assert outage_sentence(outage()).startswith(
        "Every frame got exactly one outcome, none after its deadline; 4 of 100"
    )
    assert "promise of one outcome per frame was broken: 99 outcomes for 100 frames" in outage_sentence(
        outage(outcomes=99)
    )
    assert "broken" in outage_sentence(outage(duplicates=1))
    assert "3 after the deadline" in outage_sentence(outage(deadline_misses=3))


def test_a_published_policy_that_is_cheaper_is_named_after_the_trivial_ones():
    sentences = honest_sentences(
        run(
            replayed("edge_only", 12.0), replayed("ucbee", 8.0), replayed("splitee", 11.0), replayed("sequential", 10.0)
        )
    )
    assert len(sentences) == 2
    assert sentences[0].startswith("Every trivial policy")
    assert sentences[1].startswith("UCBEE is cheaper than ours: 8.00 against 10.00")
