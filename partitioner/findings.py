"""A certificate in words."""

from __future__ import annotations

from typing import Any


def failure(certificate: dict[str, Any]) -> str:
    """Why a certificate did not pass, in one line."""
    entries = [(f"cut {entry['cut']} ({' + '.join(entry['tensors'])})", entry) for entry in certificate["cuts"]]
    entries += [(f"exit {entry['exit']}", entry) for entry in certificate["exits"]]
    entries += [(f"output {entry['tensor']}", entry) for entry in certificate["outputs"]]
    unequal = [name for name, entry in entries if not entry["bit_equal_off"]]
    if unequal:
        return f"{', '.join(unequal)}: NOT bit-equal with optimisation off"
    gaps = [(entry["deployed_max_difference"], name) for name, entry in entries]
    gap, name = max((float("inf") if gap is None else gap, name) for gap, name in gaps)
    return f"{name}: off by {gap:.1e} as deployed, tolerance {certificate['tolerance']:g}; see --tolerance"


def summary(certificate: dict[str, Any]) -> list[str]:
    """The certificate in words, one line per exit or output and a verdict."""
    verdict = "passed" if certificate["passed"] else "NOT passed"
    return [
        *(_line(f"exit {entry['exit']}", entry) for entry in certificate["exits"]),
        *(_line(f"output {entry['tensor']}", entry) for entry in certificate["outputs"]),
        f"certificate {verdict}: {certificate['random_samples']} random and {certificate['real_samples']} real inputs, "
        f"{_sizes(certificate['sizes'])}, tolerance {certificate['tolerance']:g}, {certificate['seconds']:.1f} s",
    ]


def _sizes(settings: list[dict[str, int]]) -> str:
    """`batch 1 and 4, sequence 16 and 24`."""
    seen = {name: [*dict.fromkeys(sizes[name] for sizes in settings)] for name in settings[0]}
    return ", ".join(f"{name} {' and '.join(map(str, sizes))}" for name, sizes in seen.items())


def _line(name: str, entry: dict[str, Any]) -> str:
    exact = f"bit-equal up to '{entry['highest_exact_level']}'" if entry["bit_equal_off"] else "NOT bit-equal"
    difference, agreement = entry["deployed_max_difference"], entry["deployed_label_agreement"]
    gap = "unbounded" if difference is None else f"{difference:.1e}"
    return f"{name}: {exact}; as deployed within {gap}, labels agree on {agreement:.2%}"
