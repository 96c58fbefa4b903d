# SPDX-License-Identifier: Apache-2.0
"""Union-find over the runs of a mask that is packed into words of 32 pixels, for the programs of one launch or of many.

A row of a plane is `pitch` words. A place is a pixel's number in the packed plane, 32 * word + bit. A run, pixels side
by side within a word, is a node: 16 * word + how many runs of the word come before it; so nodes are in raster order.
Blocks hold a word per lane, (WORDS,), and take the runs of a word one after the other.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def words(first, count, pitch, WORDS: tl.constexpr):
    """Numbers of the words from `first` on and which exist, (WORDS,); their rows (WORDS, 1) and columns (WORDS, 32)."""
    i_word = first + tl.arange(0, WORDS)
    x = (i_word % pitch * 32)[:, None] + tl.arange(0, 32)[None, :]
    return i_word, i_word < count, (i_word // pitch).to(tl.int64)[:, None], x


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
def begin(p_parent, p_area, i_word, word):
    """Every run is a set of its own, of no pixel yet."""
    node = i_word * 16
    while tl.max(word) != 0:
        tl.store(p_parent + node, node, mask=word != 0)
        tl.store(p_area + node, tl.zeros_like(node), mask=word != 0)
        word = word & ~first_run(word)
        node += 1


@triton.jit
def unite(p_word, p_parent, i_word, m_word, pitch, CONNECTIVITY: tl.constexpr):
    """Join the words' runs with those before them that they touch."""
    column = i_word % pitch
    m_left, m_up, m_right = m_word & (column > 0), m_word & (i_word >= pitch), m_word & (column + 1 < pitch)
    p_here = p_word + i_word
    here = tl.load(p_here, mask=m_word, other=0)
    left = tl.load(p_here - 1, mask=m_left, other=0)
    up = tl.load(p_here - pitch, mask=m_up, other=0)
    up_left = tl.load(p_here - pitch - 1, mask=m_up & m_left, other=0)
    before, up_before = here << 1 | left >> 31, up << 1 | up_left >> 31  # bit x is the pixel left of x
    _join(p_word, p_parent, here & before & 1, here, i_word, -1)
    _join(p_word, p_parent, here & up & ~(before & up_before), here, i_word, -32 * pitch)
    if CONNECTIVITY == 8:  # what touches only at a corner
        up_right = tl.load(p_here - pitch + 1, mask=m_up & m_right, other=0)
        up_after = up >> 1 | up_right << 31
        _join(p_word, p_parent, here & up_before & ~(up | before), here, i_word, -32 * pitch - 1)
        _join(p_word, p_parent, here & up_after & ~(up | here >> 1), here, i_word, -32 * pitch + 1)


@triton.jit
def measure(p_parent, p_area, i_word, word):
    """Add the words' runs to the areas of their roots; the best of those areas so far, and its root, as one key.

    Sums only grow, so the greatest key that any program sees is that of the largest set, of equal ones the first.
    """
    node = i_word * 16
    key = tl.zeros_like(i_word).to(tl.int64)
    while tl.max(word) != 0:
        m_run, run = word != 0, first_run(word)
        root = _root(p_parent, node, m_run)
        tl.atomic_min(p_parent + node, root, mask=m_run, sem="relaxed")  # `keep` looks no further
        length = _count(run)
        area = tl.atomic_add(p_area + root, length, mask=m_run, sem="relaxed") + length
        key = tl.where(m_run, tl.maximum(key, area.to(tl.int64) << 32 | 0xFFFFFFFF - root.to(tl.int64)), key)
        word = word & ~run
        node += 1
    return tl.max(key)


@triton.jit
def area_of(key):
    return (key >> 32).to(tl.int32)


@triton.jit
def keep(p_parent, i_word, word, key):
    """The words with the runs of one set alone."""
    node = i_word * 16
    kept = tl.zeros_like(word)
    while tl.max(word) != 0:
        run = first_run(word)
        root = tl.load(p_parent + node, mask=word != 0, other=-1)
        kept = tl.where(root == 0xFFFFFFFF - (key & 0xFFFFFFFF), kept | run, kept)
        word = word & ~run
        node += 1
    return kept


@triton.jit
def _join(p_word, p_parent, contact, word, i_word, step):
    """Join the run at every set bit of `contact`, words beside `word`, with the run `step` places on.

    The larger node gets the smaller one as its parent; what was its parent is then joined with the smaller one, until
    a node was its own. Nodes only become smaller, so this ends, whatever other lanes do meanwhile.
    """
    while tl.max(contact) != 0:
        m_open = contact != 0
        place = i_word * 32 + _count((contact & (~contact + 1)) - 1)  # of the lowest bit
        other = tl.load(p_word + ((place + step) >> 5), mask=m_open, other=0)
        a, b = _node(word, place), _node(other, place + step)
        while tl.max(m_open.to(tl.int32)) != 0:
            low, high = tl.minimum(a, b), tl.maximum(a, b)
            parent = tl.atomic_min(p_parent + high, low, mask=m_open, sem="relaxed")
            m_open = m_open & (parent != high) & (parent != low)
            a, b = low, parent
        contact = contact & (contact - 1)


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


@triton.jit
def _node(word, place):
    """The node of the run that a place in this word lies in."""
    bit = (place & 31).to(tl.uint32)
    starts = word & ~(word << 1)
    return (place >> 5) * 16 + _count(starts & ((2 << bit) - 1)) - 1


@triton.jit
def first_run(word):
    """The lowest run of bits alone: adding its first bit carries through it."""
    return word & ~(word + (word & (~word + 1)))


@triton.jit
def _count(word):
    """How many bits are set, int32."""
    word = word - (word >> 1 & 0x55555555)
    word = (word & 0x33333333) + (word >> 2 & 0x33333333)
    word = word + (word >> 4) & 0x0F0F0F0F
    return (word * 0x01010101 >> 24).to(tl.int32)
