# SPDX-License-Identifier: Apache-2.0
"""`dssm reproduce`: the paper's tables and figures, measured here, beside the paper's numbers."""
