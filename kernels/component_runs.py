# SPDX-License-Identifier: Apache-2.0
"""Union-find over the runs of a mask that is packed into words of 32 pixels, for the programs of one launch or of many.

A row of a plane is `pitch` words. A place is a pixel's number in the packed plane, 32 * word + bit; a run, pixels side by
side within a word, is a node: 16 * word + how many runs of the word come before it. So nodes are in raster order.

Blocks hold a word per row and one of its bits per column, (WORDS, 32).
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def words(first, count, WORDS: tl.constexpr):
    """Numbers of the words from `first` on, (WORDS,), which of them exist, and their places, (WORDS, 32)."""
    i_word = first + tl.arange(0, WORDS)
    return i_word, i_word < count, i_word[:, None] * 32 + tl.arange(0, 32)[None, :]


@triton.jit
def pack(inside):
    """(WORDS, 32) bool -> (WORDS,) uint32."""
    bit = tl.arange(0, 32).to(tl.uint32)[None, :]
    return tl.sum(inside.to(tl.uint32) << bit, axis=1)


@triton.jit
def unpack(word):
    """(WORDS,) uint32 -> (WORDS, 32) bool."""
    bit = tl.arange(0, 32).to(tl.uint32)[None, :]
    return (word[:, None] >> bit) & 1 != 0


@triton.jit
def begin(p_parent, p_area, word, place):
    """Every run is a set of its own, of no pixel yet."""
    m_start = unpack(_starts(word))
    node = _node(word[:, None], place)
    tl.store(p_parent + node, node, mask=m_start)
    tl.store(p_area + node, tl.zeros_like(node), mask=m_start)


@triton.jit
def unite(p_word, p_parent, i_word, m_word, place, pitch, CONNECTIVITY: tl.constexpr):
    """Join the words' runs with those before them that they touch, each pair once or, across words, a few times."""
    column = i_word % pitch
    m_left, m_up, m_right = m_word & (column > 0), m_word & (i_word >= pitch), m_word & (column + 1 < pitch)
    p_here = p_word + i_word
    here = tl.load(p_here, mask=m_word, other=0)
    left = tl.load(p_here - 1, mask=m_left, other=0)
    up = tl.load(p_here - pitch, mask=m_up, other=0)
    up_left = tl.load(p_here - pitch - 1, mask=m_up & m_left, other=0)
    # Bit x of these is the pixel left of x, and those above.
    before, above, above_before = here << 1 | left >> 31, up, up << 1 | up_left >> 31
    _join(p_word, p_parent, here & before & 1, place, place - 1)
    _join(p_word, p_parent, here & above & ~(before & above_before), place, place - 32 * pitch)
    if CONNECTIVITY == 8:
        up_right = tl.load(p_here - pitch + 1, mask=m_up & m_right, other=0)
        above_after = up >> 1 | up_right << 31
        _join(p_word, p_parent, here & above_before & ~(above | before), place, place - 32 * pitch - 1)
        _join(p_word, p_parent, here & above_after & ~(above | here >> 1), place, place - 32 * pitch + 1)


@triton.jit
def measure(p_parent, p_area, word, place):
    """Add the words' runs to the areas of their roots; the best of those areas so far, and its root, as one key.

    Sums only grow, so the greatest key that anybody sees is that of the largest set, of equal ones the first.
    """
    m_start = unpack(_starts(word))
    node = _node(word[:, None], place)
    root = _root(p_parent, node, m_start)
    tl.atomic_min(p_parent + node, root, mask=m_start, sem="relaxed")  # so that `belongs` needs one step
    rest = ~(word[:, None] >> (place & 31).to(tl.uint32))  # the run's pixels are zeros, the next one is not
    length = _count((rest & (0 - rest)) - 1)
    area = tl.atomic_add(p_area + root, length, mask=m_start, sem="relaxed") + length
    key = area.to(tl.int64) << 32 | (0xFFFFFFFF - root.to(tl.int64))
    return tl.max(tl.where(m_start, key, 0))


@triton.jit
def area_of(key):
    return (key >> 32).to(tl.int32)


@triton.jit
def belongs(p_parent, word, place, key):
    """(WORDS, 32) bool: which pixels are of the set with that key."""
    m_inside = unpack(word)
    root = tl.load(p_parent + _node(word[:, None], place), mask=m_inside, other=-1)
    return m_inside & (root == 0xFFFFFFFF - (key & 0xFFFFFFFF))


@triton.jit
def _starts(word):
    return word & ~(word << 1)


@triton.jit
def _node(word, place):
    """The node of the run that a place of this word lies in."""
    bit = (place & 31).to(tl.uint32)
    earlier = _count(_starts(word) & ((2 << bit) - 1)) - 1
    return (place >> 5) * 16 + earlier


@triton.jit
def _count(word):
    """How many bits are set, int32."""
    word = word - (word >> 1 & 0x55555555)
    word = (word & 0x33333333) + (word >> 2 & 0x33333333)
    word = word + (word >> 4) & 0x0F0F0F0F
    return (word * 0x01010101 >> 24).to(tl.int32)


@triton.jit
def _join(p_word, p_parent, contact, place, other):
    """Join the runs at `place` with those at `other` where a bit of the words `contact` is set.

    The larger root gets the smaller one as its parent. Another lane may have been faster: then the parent that it gave
    is joined instead. Parents only become smaller, so this ends, however old the parents are that a lane reads.
    """
    m_open = unpack(contact)
    a = _node(tl.load(p_word + (place >> 5), mask=m_open, other=0), place)
    b = _node(tl.load(p_word + (other >> 5), mask=m_open, other=0), other)
    while tl.max(m_open.to(tl.int32)) != 0:
        a, b = _root(p_parent, a, m_open), _root(p_parent, b, m_open)
        low, high = tl.minimum(a, b), tl.maximum(a, b)
        m_open = m_open & (low != high)
        parent = tl.atomic_min(p_parent + high, low, mask=m_open, sem="relaxed")
        m_open = m_open & (parent != high)
        a, b = low, parent


@triton.jit
def _root(p_parent, node, m_node):
    """The nodes that are their own parents, above these; on the way, grandparents become parents."""
    parent = tl.load(p_parent + node, mask=m_node, other=0)
    m_below = m_node & (parent != node)
    while tl.max(m_below.to(tl.int32)) != 0:
        above = tl.load(p_parent + parent, mask=m_below, other=0)
        tl.atomic_min(p_parent + node, above, mask=m_below & (above != parent), sem="relaxed")
        node = tl.where(m_below, parent, node)
        parent = tl.where(m_below, above, parent)
        m_below = m_below & (parent != node)
    return node
