# SPDX-License-Identifier: Apache-2.0
"""The definition of every op: short, plain PyTorch, any device. Tests and benches compare with these."""
