"""What the processes of a run tell each other; of one process, its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, distributed

from lookwider.errors import LookwiderError

T = TypeVar("T")


class MainFailedError(LookwiderError):
    """The main process ended with an error, which it tells itself."""


def together() -> bool:
    """Whether this process trains together with others, and is connected to them."""
    return distributed.is_available() and distributed.is_initialized()


def process_count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if together() else 1


def process_rank() -> int:
    """Return which of the processes this is, from 0."""
    return distributed.get_rank() if together() else 0


def sum_of_all(value: Tensor) -> Tensor:
    """Return the sum of every process's value, without a gradient.

    Example:
        >>> sum_of_all(torch.tensor([1, 2]))
        tensor([1, 2])
    """
    if process_count() == 1:
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total


def largest_of_all(number: int, device: torch.device) -> int:
    """Return the largest of every process's number.

    Args:
        number: of this process.
        device: where the processes are connected.
    """
    if process_count() == 1:
        return number
    found = torch.tensor(number, device=device)
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


def values_of_all(values: Tensor) -> tuple[Tensor, slice]:
    """Return every process's values in order of the processes, and which of them are this one's.

    Shape:
        (P,) -> (P_0 + P_1 + ...), each process's P its own.
    """
    if process_count() == 1:
        return values, slice(0, len(values))
    own = torch.tensor([len(values)], device=values.device)
    found = [torch.zeros_like(own) for _ in range(process_count())]
    distributed.all_gather(found, own)
    lengths = [int(length) for length in torch.cat(found)]
    padded = values.new_zeros(max(lengths))
    padded[: len(values)] = values
    parts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(parts, padded)
    first = sum(lengths[: process_rank()])
    everyones = [part[:length] for part, length in zip(parts, lengths, strict=True)]
    return torch.cat(everyones), slice(first, first + len(values))


def objects_of_all(value: T) -> list[T]:
    """Return every process's value, in order of the processes.

    Example:
        >>> objects_of_all("a")
        ['a']
    """
    if process_count() == 1:
        return [value]
    found: list[T] = [value] * process_count()
    distributed.all_gather_object(found, value)
    return found


def from_main(find: Callable[[], T]) -> T:
    """Return what the main process finds; the others wait for it and look at nothing themselves.

    Args:
        find: called in the main process only; what it returns is sent to the others.

    Raises:
        MainFailedError: in the others, when it failed.

    Example:
        >>> from_main(lambda: "found")
        'found'
    """
    if process_count() == 1:
        return find()
    sent: list[tuple[T] | None] = [None]
    try:
        if process_rank() == 0:
            sent[0] = (find(),)
    finally:
        distributed.broadcast_object_list(sent)
    if sent[0] is None:
        raise MainFailedError("the first process of the run failed; its own message says why")
    return sent[0][0]


def main_first(find: Callable[[], T]) -> T:
    """Return what each process finds; the others wait for the main one, and stop where it failed.

    Args:
        find: called in every process; what it downloads or says is done and said once.

    Raises:
        MainFailedError: in the others, when the main process failed.

    Example:
        >>> main_first(lambda: "found")
        'found'
    """
    found: list[T] = []
    from_main(lambda: found.append(find()))
    return found[0] if found else find()


def meet() -> None:
    """Wait for all processes: none gets so far ahead that it gives up waiting for another."""
    if process_count() > 1:
        distributed.barrier()
