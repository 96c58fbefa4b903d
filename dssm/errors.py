# SPDX-License-Identifier: Apache-2.0
"""The errors that a user can cause; each message is one sentence that says what to do."""

from __future__ import annotations


class InputError(ValueError):
    """An argument, a file or a setting cannot be used. The command line prints it and exits with status 2."""


class BackendError(RuntimeError):
    """A backend that was asked for by name cannot run here."""
