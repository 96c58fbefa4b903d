# SPDX-License-Identifier: Apache-2.0
"""Executes compiled PTX on NumPy, with every memory access checked: what the compiler made of a kernel, without a GPU.

It knows what Triton emits for sm_80. All threads of some blocks run side by side, a lane of an array each.
"""
