# SPDX-License-Identifier: Apache-2.0
"""Our Triton kernels, each broken by a few words: in the interpreter a case of an op must fail.

What says so is a check of the guard, or "result": what comes out is not the reference's.
"""

from __future__ import annotations

from . import Edit

AUGMENT = "kernels/augment.py"
BLEND = "kernels/blend.py"
COMPONENT, RUNS = "kernels/component.py", "kernels/component_runs.py"
COVARIANCE = "kernels/covariance.py"
HOG_BACKWARD, HOG_VOTES = "kernels/hog_backward.py", "kernels/hog_votes.py"
MAHALANOBIS = "kernels/mahalanobis.py"
MSCM = "kernels/mscm_map.py"
PASTE, PASTE_NOISE = "kernels/paste.py", "kernels/paste_noise.py"
PERLIN = "kernels/perlin.py"
REGION = "kernels/region.py"

# An op and the name of one of its cases (bench/cases.py) -> the mistakes that the case shows.
MUTANTS: dict[tuple[str, str], tuple[Edit, ...]] = {
    ("augment", "contiguous"): (
        Edit(
            "a store beyond the last pixel",
            AUGMENT,
            "(tl.uint8), mask=m_pixel)",
            "(tl.uint8), mask=place >= 0)",
            "race",
        ),
        Edit("colour images pass for grey ones", AUGMENT, "(channels == 3):", "(channels == 4):", "result"),
        Edit("neighbours of the border are read", AUGMENT, "mask=m_inner, other=0", "mask=m_pixel, other=0", "bounds"),
    ),
    ("blend", "float32 contiguous"): (
        Edit("a pixel too many", BLEND, "place < height * width", "place <= height * width", "race"),
        Edit("no value outside of the mask", BLEND, "mask=inside, other=0)  #", "mask=inside)  #", "other"),
        Edit("a stride too long", BLEND, "p_image += s_image_c", "p_image += 9999 * s_image_c", "bounds"),
        Edit("samples overlap", BLEND, "p_out += i_sample * channels *", "p_out += i_sample *", "race"),
        Edit("one sum for all pieces", BLEND, "p_sums + tl.program_id(0),", "p_sums + i_sample,", "race"),
        Edit(
            "a sum that nobody began",
            BLEND,
            "tl.store(p_sums + tl.program_id(0),",
            "tl.atomic_add(p_sums + i_sample,",
            "uninitialised",
        ),
        Edit("all channels into the first", BLEND, "p_out += height * width", "p_out += 0", "result"),
    ),
    ("blend", "uint8 contiguous"): (Edit("bytes rounded down", BLEND, " + 32768) >> 16", ") >> 16", "result"),),
    ("blend", "float64 contiguous"): (
        Edit("float64 computed in float32", BLEND, "tl.float64 if dtype == tl.float64 else ", "", "result"),
    ),
    ("blend", "float16 contiguous"): (
        Edit("a gradient without its weight", BLEND, "weight * b_grad, b_grad)", "b_grad, b_grad)", "result"),
        Edit("a gradient read by another stride", BLEND, "p_grad += s_grad_c", "p_grad += s_grad_x", "result"),
    ),
    ("component", "47x97 8"): (
        Edit(
            "pixels behind the end of a row",
            COMPONENT,
            "tl.load(p_mask, mask=m_word[:, None] & (x < width), other=0)",
            "tl.load(p_mask, mask=m_word[:, None], other=0)",
            "bounds",
        ),
        Edit("every program sets the best area to zero", COMPONENT, "if first == 0:", "if first >= 0:", "race"),
        Edit(
            "runs that are never joined",
            RUNS,
            'tl.atomic_min(p_parent + high, low, mask=m_open, sem="relaxed")',
            "tl.load(p_parent + high, mask=m_open, other=0)",
            "result",
        ),
    ),
    ("covariance", "float32 shared"): (
        Edit("vectors beyond the last", COVARIANCE, "m_x = (point < points)", "m_x = (point >= 0)", "bounds"),
        Edit("a mean over one vector too many", COVARIANCE, "axis=0) / points", "axis=0) / (points + 1)", "result"),
    ),
    ("hog", "float32 contiguous skimage"): (
        Edit("a neighbour above the first row", HOG_BACKWARD, "m_pixel & (y > 0))", "m_pixel)", "bounds"),
        Edit(
            "one place for the gradients of both differences",
            HOG_BACKWARD,
            "tl.store(p_steps + tl.cast(batch, tl.int64) * height * width, back_x",
            "tl.store(p_steps, back_x",
            "uninitialised",
        ),
        Edit("a sign", HOG_BACKWARD, "earned -= ", "earned += ", "result"),
    ),
    ("hog", "float32 contiguous opencv"): (
        Edit("bins shifted by half of one", HOG_VOTES, "(BINS / _PI) - 0.5", "(BINS / _PI)", "result"),
    ),
    ("mahalanobis", "float32 contiguous shared"): (
        Edit("the mean is left out", MAHALANOBIS, "b_x - b_mean,", "b_x + 0 * b_mean,", "result"),
        Edit(
            "channels beyond the last",
            MAHALANOBIS,
            "row * s_whiten_k, mask=m_channel[:, None] & m_row",
            "row * s_whiten_k, mask=(channel >= 0)[:, None] & m_row",
            "bounds",
        ),
    ),
    ("mscm", "float32 contiguous"): (
        Edit("two corners are seen twice", MSCM, "(tap // 2 * 2 - 1)", "(tap % 2 * 2 - 1)", "result"),
        Edit("rows above the map", MSCM, "m_seen = (row >= 0) & ", "m_seen = ", "bounds"),
    ),
    ("paste", "float32 contiguous"): (
        Edit("one peak for all programs", PASTE_NOISE, "p_peak + tl.program_id(0),", "p_peak + i_sample,", "race"),
        Edit("words below the last row", PASTE_NOISE, "word, mask=row < height)", "word)", "race"),
    ),
    ("paste", "float32 contiguous kinds"): (
        Edit("noise is moved content too", PASTE, "inside & noisy, inside & ~noisy", "inside, inside", "result"),
    ),
    ("perlin", "48x48 rotated"): (
        Edit("columns behind the last", PERLIN, "mask=(y < height) & (x < width))", "mask=y < height)", "barrier"),
        Edit("an angle off by a quarter", PERLIN, "- 0.5) * (_PI", "- 0.25) * (_PI", "result"),
    ),
    ("region", "47x97"): (
        Edit(
            "the area of a run, not of its root",
            REGION,
            "p_area + root, mask=m_run",
            "p_area + node, mask=m_run",
            "result",
        ),
        Edit(
            "columns behind the last, in the next row",
            REGION,
            "mask=m_word[:, None] & (x < width))",
            "mask=m_word[:, None])",
            "duplicate",
        ),
    ),
}

# Right, but wasteful: the roofline counts more bytes than an op of `THRIFTY` may move.
WASTE = {
    "paste": Edit(
        "the source is read outside of the patch too", PASTE, "mask=m_source, other=0", "mask=m_pixel, other=0", "bytes"
    ),
}
