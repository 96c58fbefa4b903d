# SPDX-License-Identifier: Apache-2.0
"""Where the time of a step goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


class Stopwatch:
    """Seconds per part, summed over all calls of the functions that are watched."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def watching(self, owner: object, name: str, part: str) -> Iterator[None]:
        """Count every call of `owner.name` inside the block towards `part`."""
        function = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            began = self.clock()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[part] += self.clock() - began

        with patch.object(owner, name, watched):
            yield
