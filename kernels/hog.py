# SPDX-License-Identifier: Apache-2.0
"""Histograms of oriented gradients, a tile of cells per program: from its pixels to its normalised blocks at once.

Tiles overlap by the cells that blocks share, and nothing is exchanged through memory: a program reads a pixel once, and
finds neighbours and the cells of a block with tl.gather.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.hog_backward import pixels_backward
from dssm.kernels.hog_blocks import normalize, normalize_backward
from dssm.kernels.hog_gradient import strongest, strongest_held, wide
from dssm.kernels.hog_votes import hard_bins, roles, shared_votes
from dssm.kernels.launch import launch, tiles
from dssm.ops.hog import length
from dssm.reference.hog import resize

_VALUES = 8192  # float32 of each kind that a program holds, 16 of a thread
_WARPS = 16


def hog(
    image: Tensor,
    orientations: int,
    cell: list[int],
    block: list[int],
    norm: str,
    sqrt: bool,
    mode: str,
    size: list[int] | None,
) -> Tensor:
    """(B, C, H, W) -> (B, D)."""
    height, width = size or image.shape[2:]
    dtype = torch.float64 if image.dtype == torch.float64 else torch.float32
    count = length(height, width, orientations=orientations, cell=cell, block=block)
    out = torch.empty(image.shape[0], count, dtype=dtype, device=image.device)
    _blocks(image, None, out, orientations, cell, block, norm, sqrt, mode, size)
    return out


def hog_backward(
    grad: Tensor,
    image: Tensor,
    orientations: int,
    cell: list[int],
    block: list[int],
    norm: str,
    sqrt: bool,
    mode: str,
    size: list[int] | None,
) -> list[Tensor]:
    """(B, D), (B, C, H, W) -> the gradient with respect to the image, of its dtype."""
    small = resize(image.to(grad.dtype), size) if size else image
    by_blocks = torch.empty_like(grad, memory_format=torch.contiguous_format)  # before they were normalised
    _blocks(small, grad.contiguous(), by_blocks, orientations, cell, block, norm, sqrt, mode, None)
    by_pixels = pixels_backward(by_blocks, small, orientations, cell, block, sqrt, mode)
    if size:
        by_pixels = torch.ops.aten._upsample_bilinear2d_aa_backward(by_pixels, size, image.shape, False)
    return [by_pixels.to(image.dtype)]


def _blocks(
    image: Tensor,
    grad: Tensor | None,
    out: Tensor,
    bins: int,
    cell: list[int],
    block: list[int],
    norm: str,
    sqrt: bool,
    mode: str,
    size: list[int] | None,
) -> None:
    """Write the normalised blocks, or their gradient before they were normalised."""
    opencv = mode == "opencv"
    # Differences of square roots can meet a bin's edge exactly, and scikit-image decides those in float64.
    exact = image.dtype == torch.uint8 and sqrt and not opencv and not size
    exact = exact or image.dtype == torch.float64
    # Registers are scarce: float64 takes two, gradients and OpenCV's votes need many, and resizing more.
    values = _VALUES >> exact + (2 if size else int(opencv or grad is not None))
    batch, channels, *source = image.shape
    height, width = size or source
    tile = _tile(height, width, bins, tuple(cell), tuple(block), values)
    together = tile.together(batch)
    launch(
        _hog_fwd_kernel,
        tiles(batch * tile.down * tile.across, together),
        *(image, grad, out, batch, channels, *source, height, width, tile.down, tile.across, *image.stride()),
        **tile.constants(together),
        EXACT=exact,
        WIDE=wide(image),
        SQRT=sqrt,
        RESIZE=bool(size),
        OPENCV=opencv,
        NORM=norm,
        BINS=bins,
        SPREAD=_power(bins),
        CELL=tuple(cell),
        BLOCK=tuple(block),
        warps=_WARPS if grad is None else _WARPS // 2,
        registers=None if grad is None else 168,
    )


def _power(number: int) -> int:
    return triton.next_power_of_2(number)


@dataclass(frozen=True)
class _Tile:
    """How the cells of an image are dealt out to programs."""

    cells: tuple[int, int]  # of a tile, down and across
    held: tuple[int, int]  # its rows of pixels with their neighbours, and their pitch; (0, 0) where nothing is held
    strip: tuple[int, int]  # pixels of a cell that vote at once, powers of two
    down: int  # tiles of an image
    across: int
    blocks: int  # of a tile
    features: int  # of a block, a power of two
    most: int  # tiles of a program

    def together(self, batch: int) -> int:
        """Tiles of a program where there are many small images; a power of two, so that few kernels are compiled."""
        return min(self.most, _power(max(batch * self.down * self.across, 1)))

    def constants(self, together: int) -> dict[str, Any]:
        """Of the kernel, for a number of tiles in a program."""
        return {
            "TILE": (*self.cells, together),
            "HELD": (*self.held, _power(max(prod(self.held) * together, 1))),
            "MARGIN": int(self.across > 1),  # the image ends on both sides of an only tile: nothing is read there
            "STRIP": (self.strip[0], _power(prod(self.cells) * together), self.strip[1]),
            "SHAPE": (_power(self.blocks * together), self.features),
        }


@cache
def _tile(height: int, width: int, bins: int, cell: tuple[int, int], block: tuple[int, int], values: int) -> _Tile:
    """The tile that reads the fewest pixels twice; `values` are pixels, bins of cells or features of a program."""
    rows, columns = height // cell[0], width // cell[1]
    strip = _power(cell[0]), _power(cell[1])
    features = _power(prod(block) * bins)
    most_cells, most_blocks = values // max(prod(strip), _power(bins)), values // features
    best, least = None, 0
    for down in range(block[0], rows + 1):
        step_y = down - block[0] + 1
        pitch = 1 << (values // (down * cell[0] + 2)).bit_length() >> 1
        across = columns if width <= pitch else (pitch - 2) // cell[1]
        across = min(across, most_cells // down, most_blocks // step_y + block[1] - 1)
        if across < block[1]:
            break
        number = tiles(rows - block[0] + 1, step_y), tiles(columns - block[1] + 1, across - block[1] + 1)
        overlap = ((number[i] - 1) * ((block[i] - 1) * cell[i] + 2) for i in range(2))
        read = (height + next(overlap)) * (width + next(overlap))
        if best is None or read < least:
            best, least = (down, across, number), read
    if best is None:  # a block is too large
        cells = _power(prod(block))
        strip_x = min(strip[1], max(values // cells, 1))
        strip_y = min(strip[0], max(values // (cells * strip_x), 1))
        number = rows - block[0] + 1, columns - block[1] + 1
        return _Tile(block, (0, 0), (strip_y, strip_x), *number, blocks=1, features=features, most=1)
    down, across, number = best
    held = down * cell[0] + 2, _power(width if number[1] == 1 else across * cell[1] + 2)
    blocks = (down - block[0] + 1) * (across - block[1] + 1)
    most = min(values // prod(held), most_cells // (down * across), most_blocks // blocks)
    return _Tile((down, across), held, strip, *number, blocks, features, 1 << most.bit_length() >> 1)


@triton.jit
def _tile_of(place, SIZE: tl.constexpr, tiles_y, tiles_x, TILE: tl.constexpr, BLOCK: tl.constexpr):
    """The tile of a place, tiles having SIZE of them: its number in the program, its sample and its first cell."""
    within = tl.minimum(place // SIZE, TILE[2] - 1) if TILE[2] > 1 else 0
    i_tile = tl.program_id(0) * TILE[2] + within
    row = i_tile // tiles_x % tiles_y * (TILE[0] - BLOCK[0] + 1)
    column = i_tile % tiles_x * (TILE[1] - BLOCK[1] + 1)
    return within, (i_tile // (tiles_y * tiles_x)).to(tl.int64), row, column


@triton.jit
def _histograms(votes, bins, BINS: tl.constexpr, SPREAD: tl.constexpr, STRIP: tl.constexpr):
    """(SPREAD, cells): the votes of the cells' pixels, added up by bin."""
    bin = tl.arange(0, SPREAD)[:, None]
    SUMS: tl.constexpr = (SPREAD, STRIP[1])
    sums = tl.zeros(SUMS, votes.dtype)
    for i in range(BINS):
        of_bin = tl.reshape(tl.where(bins == i, votes, 0), STRIP)
        sums = tl.where(bin == i, tl.sum(tl.sum(of_bin, 0), 1)[None, :], sums)
    return sums


@triton.jit
def _windowed(
    votes,
    strip_y,
    strip_x,
    corner,
    BINS: tl.constexpr,
    CELL: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    STRIP: tl.constexpr,
    SHAPE: tl.constexpr,
):
    """(blocks, features): the votes of the blocks' pixels, weighted for the cells around them.

    A pixel's weight for a target among the block's cells is a product: rows of cells are added up first, then columns.
    """
    lower, upper, to_lower, to_upper = votes
    REAL: tl.constexpr = to_lower.dtype
    role_y, weights_y = roles(strip_y + tl.arange(0, STRIP[0]), 0, CELL, BLOCK, REAL)
    role_x, weights_x = roles(strip_x + tl.arange(0, STRIP[2]), 1, CELL, BLOCK, REAL)
    cell = tl.broadcast_to(tl.arange(0, STRIP[1])[:, None], STRIP[1], STRIP[2])
    feature = tl.arange(0, SHAPE[1])[None, :]
    ROLES: tl.constexpr = role_x.shape[0]
    COLUMN: tl.constexpr = BLOCK[0] * BINS  # features of a column of a block's cells
    first = corner[:, None] * ROLES + tl.minimum(feature // COLUMN, BLOCK[1] - 1) * BLOCK[1]
    ROW: tl.constexpr = (STRIP[1], STRIP[2])
    sums = tl.zeros(SHAPE, REAL)
    for i in range(BINS):
        of_bin = tl.reshape(tl.where(lower == i, to_lower, 0) + tl.where(upper == i, to_upper, 0), STRIP)
        for target in range(BLOCK[0]):
            rows = tl.zeros(ROW, REAL)
            for cell_y in range(BLOCK[0]):
                weight = tl.sum(tl.where(role_y[None, :] == target * BLOCK[0] + cell_y, weights_y, 0), 1)
                added = tl.sum(of_bin * weight[:, None, None], 0)
                rows += tl.gather(added, tl.minimum(cell + cell_y * TILE[1], STRIP[1] - 1), 0)
            columns = tl.ravel(tl.sum(rows[:, :, None] * weights_x[None, :, :], 1))  # (cells, roles)
            total = tl.zeros(SHAPE, REAL)
            for cell_x in range(BLOCK[1]):
                total += tl.reshape(tl.gather(columns, tl.ravel(first + cell_x * (ROLES + 1)), 0), SHAPE)
            here = (feature % COLUMN == target * BINS + i) & (feature < COLUMN * BLOCK[1])
            sums = tl.where(here, total, sums)
    return sums


@triton.jit
def _hog_fwd_kernel(
    p_image,
    p_grad,
    p_out,
    batch,
    channels,
    source_height,
    source_width,
    height,
    width,
    tiles_y,
    tiles_x,
    s_image_b,
    s_image_c,
    s_image_y,
    s_image_x,
    TILE: tl.constexpr,  # rows and columns of cells, tiles of a program
    HELD: tl.constexpr,  # rows of pixels of a tile, their pitch, pixels of the program
    MARGIN: tl.constexpr,  # columns of pixels on the left of a tile
    STRIP: tl.constexpr,  # rows of a cell, cells of the program, columns of a cell
    SHAPE: tl.constexpr,  # blocks of the program, features
    EXACT: tl.constexpr,
    WIDE: tl.constexpr,
    SQRT: tl.constexpr,
    RESIZE: tl.constexpr,
    OPENCV: tl.constexpr,
    NORM: tl.constexpr,
    BINS: tl.constexpr,
    SPREAD: tl.constexpr,
    CELL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Normalised blocks; or their gradient before they were normalised, where that of the features is given."""
    REAL: tl.constexpr = tl.float64 if EXACT else tl.float32
    INDEX: tl.constexpr = tl.int64 if WIDE else tl.int32  # of a place in an image
    number = tl.minimum(batch * tiles_y * tiles_x - tl.program_id(0) * TILE[2], TILE[2])  # tiles of this program
    size, source, strides = (height, width), (source_height, source_width), (s_image_y, s_image_x)

    # The first cell of each of the program's blocks.
    STEP: tl.constexpr = (TILE[0] - BLOCK[0] + 1, TILE[1] - BLOCK[1] + 1)
    block = tl.arange(0, SHAPE[0])
    m_block = block < STEP[0] * STEP[1] * number
    within, sample, row, column = _tile_of(block, STEP[0] * STEP[1], tiles_y, tiles_x, TILE, BLOCK)
    down, across = block // STEP[1] % STEP[0], block % STEP[1]
    corner = tl.where(m_block, (within * TILE[0] + down) * TILE[1] + across, 0)

    # The pixels that vote, a strip of every cell at a time: (row within the cell, cell, column within the cell).
    pixel = tl.arange(0, STRIP[0] * STRIP[1] * STRIP[2])
    cell = pixel // STRIP[2] % STRIP[1]
    of, sample, first_row, first_column = _tile_of(cell, TILE[0] * TILE[1], tiles_y, tiles_x, TILE, BLOCK)
    row, column = first_row + cell // TILE[1] % TILE[0], first_column + cell % TILE[1]
    m_cell = cell < TILE[0] * TILE[1] * number
    m_cell &= (row < height // CELL[0]) & (column < width // CELL[1])
    SUMS: tl.constexpr = SHAPE if OPENCV else (SPREAD, STRIP[1])
    sums = tl.zeros(SUMS, REAL)
    for strip_y in range(0, CELL[0], STRIP[0]):
        for strip_x in range(0, CELL[1], STRIP[2]):
            in_y, in_x = strip_y + pixel // (STRIP[1] * STRIP[2]), strip_x + pixel % STRIP[2]
            m_pixel = m_cell & (in_y < CELL[0]) & (in_x < CELL[1])
            y, x = (row * CELL[0] + in_y).to(INDEX), (column * CELL[1] + in_x).to(INDEX)
            if HELD[0] > 0:
                at_y = (cell // TILE[1] % TILE[0]) * CELL[0] + tl.minimum(in_y, CELL[0] - 1) + 1
                at_x = cell % TILE[1] * CELL[1] + tl.minimum(in_x, CELL[1] - 1) + MARGIN
                at = (of * HELD[0] + at_y) * HELD[1] + at_x
                held = tl.arange(0, HELD[2])
                tile, held_sample, held_row, held_column = _tile_of(
                    held, HELD[0] * HELD[1], tiles_y, tiles_x, TILE, BLOCK
                )
                held_y = (held_row * CELL[0] - 1 + held // HELD[1] - tile * HELD[0]).to(INDEX)
                held_x = (held_column * CELL[1] - MARGIN + held % HELD[1]).to(INDEX)
                m_held = (held < HELD[0] * HELD[1] * number) & (held % HELD[1] < TILE[1] * CELL[1] + 1 + MARGIN)
                m_held &= (held_y >= 0) & (held_y < height) & (held_x >= 0) & (held_x < width)
                dy, dx, _ = strongest_held(
                    *(p_image + held_sample * s_image_b, channels, s_image_c, held_y, held_x, m_held),
                    *(at, HELD[1], y, x, m_pixel, size, source, strides, REAL, SQRT, RESIZE),
                )
            else:
                dy, dx, _ = strongest(
                    *(p_image + sample * s_image_b, channels, s_image_c, y, x, m_pixel),
                    *(size, source, strides, REAL, SQRT, RESIZE),
                )
            magnitude = tl.where(m_pixel, tl.sqrt(dy * dy + dx * dx), 0)
            if OPENCV:
                votes = shared_votes(dy, dx, magnitude, BINS)
                sums += _windowed(votes, strip_y, strip_x, corner, BINS, CELL, BLOCK, TILE, STRIP, SHAPE)
            else:
                sums += _histograms(magnitude, hard_bins(dy, dx, BINS), BINS, SPREAD, STRIP)

    # What the blocks pick of their cells, and where it is stored.
    COUNT: tl.constexpr = BLOCK[0] * BLOCK[1] * BINS
    feature = tl.arange(0, SHAPE[1])
    within, sample, row, column = _tile_of(block, STEP[0] * STEP[1], tiles_y, tiles_x, TILE, BLOCK)
    row, column = row + down, column + across
    rows, columns = height // CELL[0] - BLOCK[0] + 1, width // CELL[1] - BLOCK[1] + 1
    m_block &= (row < rows) & (column < columns)
    place = sample * rows * columns + (column * rows + row if OPENCV else row * columns + column)
    place = place[:, None] * COUNT + feature[None, :]
    m_feature = m_block[:, None] & (feature < COUNT)[None, :]
    if not OPENCV:
        of_block = feature // BINS
        picked = corner[:, None] + (of_block // BLOCK[1] * TILE[1] + of_block % BLOCK[1])[None, :]
        picked = tl.where(m_feature, (feature % BINS)[None, :] * STRIP[1] + picked, 0)
        sums = tl.gather(tl.ravel(sums) / (CELL[0] * CELL[1]), tl.ravel(picked), 0)
        sums = tl.where(m_feature, tl.reshape(sums, SHAPE), 0)
    if p_grad is None:
        result = normalize(sums, COUNT, NORM, OPENCV)
    else:
        b_grad = tl.load(p_grad + place, mask=m_feature, other=0).to(REAL)
        result = normalize_backward(sums, b_grad, COUNT, NORM, OPENCV)
    tl.store(p_out + place, result.to(p_out.dtype.element_ty), mask=m_feature)
