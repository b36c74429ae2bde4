"""Several processes that train one model, started by ``torchrun``; alone, nothing changes.

Every process builds the same batches from the same seeds and computes its share of the
rows; gradients are summed. The sum is that of one process with all rows, but for rounding
and for what dropout leaves out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
from torch import Tensor, distributed

from services.shared.errors import BadSetting

DEADLINE: Final = timedelta(minutes=10)
"""How long a process waits for the others; validation of one is the longest wait."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Which process runs here, and how many there are; a context manager that parts from them."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether it is this one that validates, writes and reports."""
        return self.rank == 0

    def share(self, rows: int) -> tuple[int, int]:
        """From and to which of a batch's rows are this process's."""
        return rows * self.rank // self.world, rows * (self.rank + 1) // self.world

    def sum(self, value: Tensor) -> Tensor:
        """The sum of all processes' values."""
        if self.world > 1:
            distributed.all_reduce(value)
        return value

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes, in one message."""
        if self.world == 1:
            return
        gradients = []
        for each in parameters:
            if each.grad is None:
                each.grad = torch.zeros_like(each)
            gradients.append(each.grad)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        if self.world > 1:
            distributed.destroy_process_group()

    def from_first(self, value: float) -> float:
        """The first process's value, in all of them."""
        if self.world == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(told, src=0)
        return float(told.item())


def processes(device: str) -> Processes:
    """What ``torchrun`` told this process, once it has joined the others.

    ``device`` is cpu, cuda, or auto: a GPU where there is one. Raises BadSetting where cuda is
    told and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise BadSetting(
            "--device cuda: there is no GPU here that torch can use; say --device cpu or auto"
        )
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    where = torch.device("cuda", local) if cuda else torch.device("cpu")
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=DEADLINE)
    return Processes(rank, world, where)
