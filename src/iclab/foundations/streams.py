"""Randomness as a pure function of (seed, purpose, stream, step, prompt index).

Every prompt owns an address in the Philox counter space: key (seed, stream code) and counter
(0, prompt index, step, channel). A draw sets the generator to that address and then draws as usual, so a
prompt is the same whatever batch, order or process draws it, and asking for more numbers from one address
only extends what was there. Two draws from one address are the same numbers: within one law that is hardly ever what
was meant, and is refused; channels are further addresses of a stream. Bits are promised for the pinned NumPy.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from iclab.foundations.errors import InvalidInputError
from iclab.foundations.validation import check_choice, check_integer

# Fixed tables: appending is safe, reordering would change every prompt ever drawn.
PURPOSES = ("training", "evaluation", "verification")
"""What prompts are drawn for; two purposes never share prompts."""
STREAMS = ("x", "covariance", "task", "noise", "query", "shift", "model", "bootstrap", "position")
"""What random numbers are for; each stream is independent of the others."""

_SHARED = 1 << 63


class _Once:
    """Addresses that a law has drawn from; once it is done, others may be drawn from again and again."""

    def __init__(self, outer: _Once | None = None) -> None:
        self._seen: set[tuple[str, int, bool]] = set()
        self._outer, self.done = outer, False

    def note(self, stream: str, channel: int, shared: bool) -> None:
        """Take down an address, or raise if it was drawn from."""
        address = (stream, channel, shared)
        if address in self._seen:
            raise InvalidInputError(
                f"every draw of a law must have an address of its own; it draws from the stream {stream!r} on channel "
                f"{channel} a second time, which gives the same numbers: take draws.at(channel={channel + 1})."
            )
        if not (self.done or (self._outer is not None and self._outer.done)):
            self._seen.add(address)


@dataclass(frozen=True)
class Draws:
    """The addresses of ``count`` prompts, ``start`` … ``start + count − 1``, of one step and purpose.

    Parameters
    ----------
    seed : int
        Key of all randomness, 0 ≤ seed < 2⁶⁴.
    purpose : str
        One of ``PURPOSES``; training and evaluation never share prompts.
    step : int
        Training step (0 where there are none).
    start, count : int
        Range of prompt indices.
    channel : int
        Separates several uses of one stream inside a prompt, such as composed shifts.

    Raises
    ------
    InvalidInputError
        If a number is negative, the seed is 2⁶⁴ or more, or the purpose is unknown.
    """

    seed: int
    purpose: str = "evaluation"
    step: int = 0
    start: int = 0
    count: int = 1
    channel: int = 0
    _once: _Once | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        for name, minimum in (("seed", 0), ("step", 0), ("start", 0), ("count", 0), ("channel", 0)):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=minimum))
        if self.seed >= 1 << 64:
            raise InvalidInputError(f"seed must be below 2**64, the size of a Philox key; {self.seed} was given.")
        check_choice(self.purpose, "purpose", PURPOSES)

    def at(self, *, channel: int) -> Draws:
        """The same prompts on another channel."""
        return replace(self, channel=channel)

    @contextmanager
    def once(self) -> Generator[Draws]:
        """The same addresses for one law, each to be drawn from once.

        A function that the law returns may draw later, the same numbers at every call, from addresses that the law has
        not used.
        """
        once = _Once()
        yield replace(self, _once=once)
        once.done = True

    def apart(self) -> Draws:
        """The same addresses for one of several alternative laws, which may share them as only one is used."""
        return self if self._once is None else replace(self, _once=_Once(self._once))

    def generators(self, stream: str) -> Iterator[np.random.Generator]:
        """One generator per prompt, in order; each is valid until the next one is asked for."""
        bits, state = self._philox(stream)
        generator = np.random.Generator(bits)
        counter = state["state"]["counter"]
        for prompt in range(self.start, self.start + self.count):
            counter[1] = prompt
            bits.state = state
            yield generator

    def shared(self, stream: str) -> np.random.Generator:
        """A generator common to all prompts of this seed and purpose (for example a rotation per evaluation)."""
        bits, state = self._philox(stream, shared=True)
        state["state"]["counter"][:] = (0, 0, 0, _SHARED | self.channel)
        bits.state = state
        return np.random.Generator(bits)

    def normals(self, stream: str, *shape: int) -> Float64[np.ndarray, "B ..."]:
        """Standard normal numbers, one array of the given shape per prompt, stacked first."""
        block = np.empty((self.count, *shape))
        for row, generator in zip(block, self.generators(stream), strict=True):
            generator.standard_normal(out=row)
        return block

    def uniforms(self, stream: str, *shape: int) -> Float64[np.ndarray, "B ..."]:
        """Uniform numbers in [0, 1), one array of the given shape per prompt, stacked first."""
        block = np.empty((self.count, *shape))
        for row, generator in zip(block, self.generators(stream), strict=True):
            generator.random(out=row)
        return block

    def _philox(self, stream: str, *, shared: bool = False) -> tuple[np.random.Philox, Any]:
        check_choice(stream, "stream", STREAMS)
        if self._once is not None:
            self._once.note(stream, self.channel, shared)
        code = PURPOSES.index(self.purpose) * 1024 + STREAMS.index(stream)
        bits = np.random.Philox(key=np.array([self.seed, code], dtype=np.uint64))
        state: Any = bits.state
        # Lists: they are set once per prompt, in less than half the time that arrays take.
        state["state"] = {"counter": [0, self.start, self.step, self.channel], "key": [self.seed, code]}
        state["buffer"] = [0, 0, 0, 0]
        state["buffer_pos"] = 4  # an empty buffer: the next draw starts at the counter
        state["has_uint32"] = 0
        state["uinteger"] = 0
        return bits, state
