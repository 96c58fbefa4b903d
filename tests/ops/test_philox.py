# SPDX-License-Identifier: Apache-2.0
"""Philox against the published known answers, and what is made of its words."""

from __future__ import annotations

import pytest
import torch

from dssm.reference.philox import integer, philox, uniform


def signed(word: int) -> int:
    """The int64 with the same 64 bits."""
    return word - (word >> 63 << 64)


# Salmon et al., Random123 kat_vectors: key, counter (its low two words are the sample index) and answer.
@pytest.mark.parametrize(
    ("seed", "index", "stream", "draw", "answer"),
    [
        (0, 0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, 2**64 - 1, 2**32 - 1, 2**32 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            0x299F31D0A4093822,
            0x85A308D3243F6A88,
            0x13198A2E,
            0x03707344,
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_known_answers(seed: int, index: int, stream: int, draw: int, answer: str) -> None:
    words = philox(seed, torch.tensor([signed(index)]), stream, draw)
    assert " ".join(f"{int(word):08x}" for word in words) == answer


def test_broadcasting_gives_the_words_of_each_pair() -> None:
    index, draw = torch.tensor([[3], [2**40 + 7]]), torch.tensor([0, 5, 2**32 - 1])
    grid = philox(11, index, 2, draw)
    for row in range(2):
        for column in range(3):
            single = philox(11, index[row, 0], 2, int(draw[column]))
            assert [int(word[row, column]) for word in grid] == [int(word) for word in single]


def test_no_words_for_no_samples() -> None:
    assert [word.shape for word in philox(1, torch.empty(0, 1, dtype=torch.int64), 0, torch.arange(4))] == [(0, 4)] * 4


def test_uniform_reaches_its_ends_and_no_further() -> None:
    values = uniform(torch.tensor([0, 255, 256, 2**31, 2**32 - 1]))
    assert values.dtype == torch.float32
    assert values.tolist() == [0, 0, 2**-24, 0.5, 1 - 2**-24]


def test_integer_divides_the_words_evenly() -> None:
    words = torch.tensor([0, 2**32 // 3, 2**32 // 3 + 1, 2**32 - 1])
    assert integer(words, -1, 2).tolist() == [-1, -1, 0, 1]
    assert integer(words, torch.tensor(5), torch.tensor(6)).tolist() == [5] * 4


def test_words_look_uniform_and_independent() -> None:
    samples = 20000
    values = uniform(torch.stack(philox(5, torch.arange(samples), 0, 0))).double()
    assert (values.mean(1) - 0.5).abs().max() < 5 * (1 / 12 / samples) ** 0.5
    neighbours = torch.cat([values, values[:1].roll(1, 1)])  # the last row: word 0 of the sample before
    correlation = torch.corrcoef(neighbours) - torch.eye(5)
    assert correlation.abs().max() < 5 / samples**0.5
