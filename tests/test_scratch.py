# SPDX-License-Identifier: Apache-2.0
"""Arrays come back from temporary files as they went in, and a full disk is a message."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple

import numpy as np
import pytest

from dssm.errors import InputError
from dssm.scratch import Spool, mapped


def test_arrays_come_back() -> None:
    generator = np.random.default_rng(0)
    arrays = [
        generator.normal(size=(3, 5)).astype(np.float32),
        np.empty((0, 4), dtype=bool),
        generator.normal(size=(4, 6))[::2, ::-1],
        np.float64(2.5)[None],
    ]
    spool = Spool(arrays[:3])
    assert len(spool) == 3
    first = spool[0]
    spool.append(arrays[3])  # reading and writing may take turns
    for array, kept in zip(arrays, spool, strict=True):
        assert (kept.dtype, kept.shape) == (array.dtype, array.shape)
        assert np.array_equal(kept, array)
    first[:] = 0
    assert np.array_equal(spool[-4], arrays[0])
    assert [array.shape for array in spool[2:]] == [(2, 6), (1,)]
    with pytest.raises(IndexError):
        spool[4]


def test_a_mapped_array_is_an_array() -> None:
    array = mapped((3, 1000))
    assert not array.any()
    array[1] = 7
    assert array.sum() == 7000


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(999))
    with pytest.raises(InputError, match="set TMPDIR"):
        mapped((1000,))
    spool = Spool()

    def write(_: memoryview) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "_file", type("Full", (), {"seek": lambda *_: 0, "write": staticmethod(write)})())
    with pytest.raises(InputError, match="cannot write 4 MiB"):
        spool.append(np.zeros(2**20, dtype=np.float32))
    assert len(spool) == 0
