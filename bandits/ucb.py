"""UCB1, as the published policies play it: the member `ucb1` of `bandits.indices` by its short name."""

from __future__ import annotations

from bandits.indices.bandit import IndexBandit
from bandits.indices.forgetting import Discount
from bandits.indices.ucb1 import Ucb1


class Ucb(IndexBandit):
    """Plays the arm with the highest Q + c * sqrt(ln t / N); every arm once first; ties to the lowest index.

    Sources: Auer et al. 2002 with c = sqrt(2); the SplitEE family plays c = 1.  With discount < 1, N, Q and t
    are discounted sums (Garivier and Moulines 2011, D-UCB).

    Args:
        arms: how many.
        c: exploration weight, for rewards that differ by about 1.
        discount: weight of an observation that is one choice older; 1 never forgets.
    """

    def __init__(self, arms: int, *, c: float, discount: float = 1.0) -> None:
        super().__init__(arms, Ucb1(c=c), Discount(discount=discount))
