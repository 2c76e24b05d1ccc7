"""Is what is seen now like what was calibrated on?  Detectors by name; each is made from one exit's histogram."""

from split_core.registry import Registry

DETECTORS = Registry(
    "drift detector",
    {
        "psi": "split_core.drift.psi:Psi",
        "ks": "split_core.drift.ks:KolmogorovSmirnov",
        "martingale": "split_core.drift.martingale:ConformalMartingale",
        "page_hinkley": "split_core.drift.page_hinkley:PageHinkley",
    },
)
