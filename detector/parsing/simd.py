"""What numba has no words for: bytes in blocks, as LLVM's vectors.

Whoever calls these has at least `BLOCK` bytes behind the place it names; `padded` makes such a buffer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

BLOCK = 32
"""Bytes that are looked at at once."""
STOPS = 6
"""How many different bytes `stops_in` looks for."""

_BYTE, _WORD, _MASK, _INDEX = ir.IntType(8), ir.IntType(64), ir.IntType(BLOCK), ir.IntType(32)
_VECTOR = ir.VectorType(_BYTE, BLOCK)


def padded(*parts: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The bytes in a buffer that goes on for a block behind them."""
    return np.concatenate([*parts, np.zeros(2 * BLOCK, np.uint8)])


def _splat(byte: int) -> ir.Constant:
    return ir.Constant(_VECTOR, [byte] * BLOCK)


def _everywhere(builder: Any, byte: Any) -> Any:
    """A block of one byte."""
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), byte, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(_INDEX, BLOCK), [0] * BLOCK))


def _pointer(context: Any, builder: Any, kind: Any, place: tuple[Any, Any], to: Any) -> Any:
    array, at = place
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), to.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    loaded = builder.load(pointer)
    loaded.align = 1
    return loaded


@intrinsic  # type: ignore[untyped-decorator]
def word(_context: Any, array: Any, at: Any) -> Any:  # noqa: ARG001 -- the arguments' types; their values are those of `generate`
    """`word(array, at)`: eight bytes as a number, the first one lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _pointer(context, builder, signature.args[0], arguments, _WORD))

    return types.uint64(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def special(_context: Any, array: Any, at: Any) -> Any:  # noqa: ARG001 -- the arguments' types; their values are those of `generate`
    """`special(array, at)`: bits of the bytes of a block that are a quote, a backslash, control or not ASCII."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = _load(builder, _pointer(context, builder, signature.args[0], arguments, _VECTOR))
        quote = builder.icmp_unsigned("==", block, _splat(ord('"')))
        backslash = builder.icmp_unsigned("==", block, _splat(ord("\\")))
        other = builder.icmp_signed("<", block, _splat(0x20))  # signed: what is not ASCII is negative
        found = builder.bitcast(builder.or_(builder.or_(quote, backslash), other), _MASK)
        return builder.zext(found, _WORD)

    return types.uint64(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def pair(_context: Any, array: Any, at: Any, first: Any, second: Any, apart: Any) -> Any:  # noqa: ARG001 -- likewise
    """`pair(array, at, first, second, apart)`: bits of the places of a block where two bytes are, so far apart."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, first, second, apart = arguments
        found = None
        for place, byte in ((at, first), (builder.add(at, apart), second)):
            block = _load(builder, _pointer(context, builder, signature.args[0], (array, place), _VECTOR))
            same = builder.icmp_unsigned("==", block, _everywhere(builder, byte))
            found = same if found is None else builder.and_(found, same)
        return builder.zext(builder.bitcast(found, _MASK), _WORD)

    return types.uint64(array, types.intp, types.uint8, types.uint8, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def stops_in(_context: Any, array: Any, at: Any, stops: Any) -> Any:  # noqa: ARG001 -- its place in the call
    """`stops_in(array, at, stops)`: bits of the bytes of a block that are one of STOPS bytes, which are one number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, wanted = arguments
        block = _load(builder, _pointer(context, builder, signature.args[0], (array, at), _VECTOR))
        found = ir.Constant(ir.VectorType(ir.IntType(1), BLOCK), [0] * BLOCK)
        for index in range(STOPS):
            byte = builder.trunc(builder.lshr(wanted, ir.Constant(_WORD, 8 * index)), _BYTE)
            found = builder.or_(found, builder.icmp_unsigned("==", block, _everywhere(builder, byte)))
        return builder.zext(builder.bitcast(found, _MASK), _WORD)

    return types.uint64(array, types.intp, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest(_context: Any, bits: Any) -> Any:  # noqa: ARG001 -- the arguments' types; their values are those of `generate`
    """`lowest(bits)`: the number of the lowest bit that is set; there must be one."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def fold_block(_context: Any, array: Any, at: Any, out: Any, to: Any) -> Any:  # noqa: ARG001 -- the arguments' types; their values are those of `generate`
    """`fold_block(array, at, out, to)`: copy a block, ASCII letters in lower case."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, at, target, to = arguments
        block = _load(builder, _pointer(context, builder, signature.args[0], (source, at), _VECTOR))
        above = builder.sub(block, _splat(ord("A")))
        upper = builder.icmp_unsigned("<", above, _splat(26))
        folded = builder.add(block, builder.select(upper, _splat(32), _splat(0)))
        pointer = _pointer(context, builder, signature.args[2], (target, to), _VECTOR)
        builder.store(folded, pointer).align = 1
        return context.get_dummy_value()

    return types.void(array, types.intp, out, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy_block(_context: Any, array: Any, at: Any, out: Any, to: Any) -> Any:  # noqa: ARG001 -- the arguments' types; their values are those of `generate`
    """`copy_block(array, at, out, to)`: copy a block."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, at, target, to = arguments
        block = _load(builder, _pointer(context, builder, signature.args[0], (source, at), _VECTOR))
        pointer = _pointer(context, builder, signature.args[2], (target, to), _VECTOR)
        builder.store(block, pointer).align = 1
        return context.get_dummy_value()

    return types.void(array, types.intp, out, types.intp), generate
