"""How long to wait before trying again."""

from __future__ import annotations

import random


class Backoff:
    """Delays that double up to a bound, each between half and the whole of it at random, so that
    many clients of one daemon do not come back at once.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first = min(first, most)
        self._most = most
        self.reset()

    def reset(self) -> None:
        self._next = self._first

    def delay(self) -> float:
        whole = self._next
        self._next = min(whole * 2, self._most)
        return whole * random.uniform(0.5, 1.0)
