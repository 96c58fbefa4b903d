# SPDX-License-Identifier: Apache-2.0
"""`python -m dssm` is `dssm`."""

from __future__ import annotations

from dssm.cli import main

if __name__ == "__main__":
    main()
