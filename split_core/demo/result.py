"""`result.json` and `series.json`: the figures of a run, from what its commands answered."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from split_core import policy as policies
from split_core import profiles
from split_core.demo.job import Workshop
from split_core.demo.live import LIVE, decisions_path
from split_core.files import write_atomically
from split_core.policy import DEFAULT_BANDIT

LIBRARIES = ("offramp", "numpy", "onnxruntime", "onnx", "pyzmq", "msgpack", "pydantic", "zstandard", "pillow")


def replay_all(shop: Workshop) -> dict[str, Any]:
    """`offramp replay` over the whole stream with the costs that the live runs measured, per way of shipping."""
    return {ship: _replay(shop, ship) for ship in LIVE}


def _replay(shop: Workshop, ship: str) -> dict[str, Any]:
    setting = shop.setting
    logs = [word for name in LIVE[ship] for word in ("--log", f"{name}={decisions_path(shop, ship, name)}")]
    return shop.step(
        f"replay {ship}",
        "replay",
        str(shop.stream),
        "--policy",
        str(shop.policy(ship)),
        "--profile",
        str(shop.profile),
        *logs,
        "--deadline-ms",
        str(setting.deadline_ms),
        "--seeds",
        str(setting.replay_seeds),
        told=lambda answer: (
            f"{len(answer['rows'])} rows, best fixed arm: split {answer['best_fixed']['split']} "
            f"at {answer['best_fixed']['threshold']:g}"
        ),
    )


def write(
    shop: Workshop, answers: dict[str, Any], replays: dict[str, Any], outage: dict[str, Any], timeline: dict[str, Any]
) -> dict[str, Any]:
    """Write both files; returns the content of `result.json`."""
    profile = profiles.load(shop.profile)
    result = {
        "setting": {
            **shop.setting.to_json(profile.slowdown, profile.device.model_dump()),
            "bundle_id": profile.bundle_id,
        },
        "exits": exits_table(shop, answers["trace"]),
        "runs": {
            ship: {
                "policies": replay["rows"],
                "policy_id": policies.load(shop.policy(ship)).id,
                "cost_model": replay["cost_model"],
                "best_fixed": replay["best_fixed"],
            }
            for ship, replay in replays.items()
        },
        "privacy": privacy(replays),
        "outage": outage,
        "versions": versions(),
        "seconds": shop.seconds,
    }
    series = {
        "runs": {ship: {"regret": replay["regret"], "exits": replay["exits"]} for ship, replay in replays.items()},
        "outage": timeline,
    }
    for name, document in (("result.json", result), ("series.json", series)):
        write_atomically(shop.out / name, json.dumps(document, indent=1).encode())
    return result


def exits_table(shop: Workshop, trace: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per exit: how good it is on the stream, what it costs, how well it is calibrated."""
    policy, profile = policies.load(shop.policy("any")), profiles.load(shop.profile)
    device_ms = profile.device_ms()
    sizes = [payload.bytes_p50 for payload in profile.payloads[1:]]
    return [
        {
            "exit": k + 1,
            "accuracy": trace["accuracy"][k],
            "agreement": trace["agreement"][k],
            "device_ms": round(float(device_ms[k + 1]), 3),
            "payload_bytes": sizes[k] if k < len(sizes) else None,
            "ece_before": section.ece_before,
            "ece_after": section.ece_after,
        }
        for k, section in enumerate(policy.exits)
    ]


def privacy(replays: dict[str, Any]) -> dict[str, Any]:
    """What it costs that pixels never leave the device, replayed over the whole stream.

    For the default policy, which has to learn in both runs, and for the best fixed arm of each, which has not.
    """
    rows = {ship: {row["name"]: row for row in replay["rows"] if not row["live"]} for ship, replay in replays.items()}
    cost = {(ship, name): rows[ship][name]["mean_cost"] for ship in rows for name in (DEFAULT_BANDIT, "best_fixed")}
    return {
        "policy": DEFAULT_BANDIT,
        "mean_cost_any": cost["any", DEFAULT_BANDIT],
        "mean_cost_hidden": cost["hidden", DEFAULT_BANDIT],
        "extra_cost_pct": _extra_pct(cost["hidden", DEFAULT_BANDIT], cost["any", DEFAULT_BANDIT]),
        "best_fixed_any": cost["any", "best_fixed"],
        "best_fixed_hidden": cost["hidden", "best_fixed"],
        "best_fixed_extra_pct": _extra_pct(cost["hidden", "best_fixed"], cost["any", "best_fixed"]),
        "kb_any": rows["any"][DEFAULT_BANDIT]["kb_per_frame"],
        "kb_hidden": rows["hidden"][DEFAULT_BANDIT]["kb_per_frame"],
    }


def _extra_pct(cost: float, base: float) -> float:
    return round(100.0 * (cost / base - 1.0), 2)


def versions() -> dict[str, str]:
    """Versions of Python and of what matters to the figures."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
