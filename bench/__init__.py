# SPDX-License-Identifier: Apache-2.0
"""Ours, the peers and the floor in one run on the same inputs; installed as `dssm.bench`, run by `dssm bench`."""
