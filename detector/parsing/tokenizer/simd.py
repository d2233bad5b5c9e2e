"""What numba has no words for: a look at 32 bytes at once, as one of LLVM's vectors."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

BLOCK = 32
"""Bytes that are looked at at once; whoever asks has as many from the place on."""
STOPS = 6
"""How many different bytes are looked for."""

_BYTE, _WORD, _MASK, _INDEX = ir.IntType(8), ir.IntType(64), ir.IntType(BLOCK), ir.IntType(32)
_VECTOR = ir.VectorType(_BYTE, BLOCK)
_NOTHING = ir.Constant(_VECTOR, ir.Undefined)
_FIRST_EVERYWHERE = ir.Constant(ir.VectorType(_INDEX, BLOCK), [0] * BLOCK)


@intrinsic  # type: ignore[untyped-decorator]
def stops_in(_context: Any, array: Any, at: Any, stops: Any) -> Any:  # noqa: ARG001 -- its place in the call
    """`stops_in(array, at, stops)`: bits of the bytes of a block that are one of STOPS bytes, which are one number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        block = builder.load(builder.bitcast(builder.gep(data, [arguments[1]]), _VECTOR.as_pointer()))
        block.align = 1
        found = ir.Constant(ir.VectorType(ir.IntType(1), BLOCK), [0] * BLOCK)
        for index in range(STOPS):
            byte = builder.trunc(builder.lshr(arguments[2], ir.Constant(_WORD, 8 * index)), _BYTE)
            single = builder.insert_element(_NOTHING, byte, ir.Constant(_INDEX, 0))
            everywhere = builder.shuffle_vector(single, _NOTHING, _FIRST_EVERYWHERE)
            found = builder.or_(found, builder.icmp_unsigned("==", block, everywhere))
        return builder.zext(builder.bitcast(found, _MASK), _WORD)

    return types.uint64(array, types.intp, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest(_context: Any, bits: Any) -> Any:  # noqa: ARG001 -- its place in the call
    """`lowest(bits)`: the number of the lowest bit that is set; there must be one."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), generate
