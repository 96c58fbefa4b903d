# SPDX-License-Identifier: Apache-2.0
"""Some blocks of a grid side by side: a lane per thread, an array per register."""

from __future__ import annotations

import re

import numpy as np

from .memory import Global, Lanes, Own
from .parse import Instruction, Kernel, UnknownPtxError
from .values import container, decode, encode, extended

_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)U?$")
_FLOAT = re.compile(r"0[fFdD]([0-9a-fA-F]{8,16})$")


class Machine:
    """Registers hold garbage until they are written, as those of a GPU do."""

    def __init__(
        self, kernel: Kernel, grid: int, blocks: range, parameters: dict[str, int], memory: Global, shared: int
    ) -> None:
        self.kernel = kernel
        self.parameters = parameters
        lanes = len(blocks) * kernel.threads
        self.lanes = lanes
        self.thread = np.arange(lanes) % kernel.threads
        self.ids = np.arange(lanes) + blocks.start * kernel.threads
        self.everyone = np.ones(lanes, bool)
        self.barriers, self.warp_barriers = np.zeros(lanes, np.int32), np.zeros(lanes, np.int32)
        self.copies = AsynchronousCopies(self)
        self.symbols = {"global_smem": 0}
        local = 0
        for name, size in kernel.local.items():
            self.symbols[name] = local
            local += -(-size // 16) * 16
        for name, table in kernel.constants.items():
            self.symbols[name] = memory.address(table.ctypes.data)
        self.memories = {
            "global": memory,
            "shared": Own("shared", shared, len(blocks), blocks.start, races=True),
            "local": Own("local", local, lanes, blocks.start * kernel.threads, races=False),
        }
        self._registers: dict[str, np.ndarray] = {}
        self._immediates: dict[str, np.ndarray] = {}
        self._special = {
            "%tid.x": self.thread,
            "%ntid.x": kernel.threads,
            "%ctaid.x": self.ids // kernel.threads,
            "%nctaid.x": grid,
            "%laneid": self.thread % 32,
            "%warpid": self.thread // 32,
            **dict.fromkeys(("%tid.y", "%tid.z", "%ctaid.y", "%ctaid.z"), 0),
            **dict.fromkeys(("%ntid.y", "%ntid.z", "%nctaid.y", "%nctaid.z"), 1),
        }

    def read(self, operand: str, type: str) -> np.ndarray:
        """(N,) values of a register, a number, a symbol or a special register; (N, 2) of a packed type."""
        return decode(self._raw(operand), type)

    def write(self, operand: str, value: np.ndarray, type: str, mask: np.ndarray) -> None:
        """Values into the register, in the lanes of the mask; `_` is nowhere."""
        if operand == "_":
            return
        register = self._type(operand)
        raw = encode(value, type) if type == register else extended(value, type, container(register))
        self._registers[operand] = raw if mask is self.everyone else np.where(mask, raw, self._raw(operand))

    def predicate(self, instruction: Instruction, mask: np.ndarray) -> np.ndarray:
        """The lanes of the mask that the guard of an instruction lets through."""
        if instruction.guard is None:
            return mask
        guard = self._raw(instruction.guard)
        allowed = mask & (~guard if instruction.negated else guard)
        return self.everyone if allowed.all() else allowed

    def addresses(self, operand: str) -> np.ndarray:
        """(N,) int64 of `[%rd1+8]`."""
        base, _, offset = operand.strip("[] ").partition("+")
        addresses = self._raw(base.strip()).astype(np.int64)
        return addresses + int(offset, 0) if offset else addresses

    def members(self, mask: np.ndarray) -> Lanes:
        """The lanes of a mask as memories want to know them."""
        return Lanes(self.ids[mask], self.kernel.threads, self.barriers[mask], self.warp_barriers[mask])

    def _raw(self, operand: str) -> np.ndarray:
        if operand in self._registers:
            return self._registers[operand]
        if operand in self._special:
            return np.broadcast_to(self._special[operand], self.lanes).astype(np.uint64)
        if operand.startswith("%"):
            return self._garbage(operand)
        if operand not in self._immediates:
            self._immediates[operand] = np.full(self.lanes, self._constant(operand), np.uint64)
        return self._immediates[operand]

    def _constant(self, text: str) -> int:
        if text in self.symbols:
            return self.symbols[text]
        if real := _FLOAT.match(text):
            return int(real[1], 16)
        if _NUMBER.match(text):
            return int(text.rstrip("U"), 0) & (2**64 - 1)
        raise UnknownPtxError(f"operand {text}")

    def _garbage(self, register: str) -> np.ndarray:
        noise = self.ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(0xD1B54A32D192ED03)
        kind = container(self._type(register))
        return (noise >> np.uint64(20)) % np.uint64(2) == 0 if kind.kind == "b" else noise.astype(kind)

    def _type(self, register: str) -> str:
        types = self.kernel.registers
        found = types.get(register) or types.get(register.rstrip("0123456789"))
        if found is None:
            raise UnknownPtxError(f"register {register}")
        return found


class AsynchronousCopies:
    """cp.async: what is copied into shared memory arrives when its group is waited for, and not before."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.group = np.zeros(machine.lanes, np.int64)  # the one that is open, per lane
        self._pending: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def start(self, addresses: np.ndarray, values: np.ndarray, mask: np.ndarray) -> None:
        """(N,) addresses and (N, count) unsigned integers of the lanes in the mask."""
        size = values.dtype.itemsize * values.shape[1]
        self.machine.memories["shared"].forget(addresses, size, self.machine.members(mask))
        lanes = np.flatnonzero(mask)
        self._pending.append((lanes, self.group[lanes], addresses, values))

    def commit(self, mask: np.ndarray) -> None:
        self.group += mask

    def wait(self, mask: np.ndarray, running: int) -> None:
        """All groups of the lanes but the last `running` committed ones arrive."""
        still = []
        for lanes, group, addresses, values in self._pending:
            arrived = mask[lanes] & (group < self.group[lanes] - running)
            if arrived.any():
                here = np.zeros(self.machine.lanes, bool)
                here[lanes[arrived]] = True
                members = self.machine.members(here)
                self.machine.memories["shared"].store(addresses[arrived], values[arrived], members)
            if not arrived.all():
                still.append((lanes[~arrived], group[~arrived], addresses[~arrived], values[~arrived]))
        self._pending = still
