"""Takes ONNX networks apart and builds small ones without the package onnx, which machines that only encode lack.

An ONNX file is a protobuf message: a sequence of fields, each a key (number and wire type) followed by a varint, by 4 or 8
bytes, or by a length and so many bytes. Sources: protobuf's encoding guide, and onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_GRAPH = 7  # of a model
_NODE, _OUTPUT = 1, 12  # of a graph
_INPUTS, _OUTPUTS, _OPERATOR = 1, 2, 4  # of a node
_NAME = 1  # of an output
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.int32): 6,
          np.dtype(np.int64): 7}  # fmt: skip
_IR_VERSION, _OPSET = 9, 18  # the first opset with the axes of ReduceMax as an input


@dataclass(frozen=True)
class Decoder:
    """The last layer of a language model: its logits are ``hidden @ weight + bias``.

    Attributes:
        hidden: Name of the hidden states.
        weight: Name of the matrix, of shape [width, terms].
        bias: Name of the bias; None without one.
    """

    hidden: str
    weight: str
    bias: str | None

    @property
    def names(self) -> list[str]:
        """All names."""
        return [self.hidden, self.weight, *([self.bias] if self.bias else [])]


@dataclass(frozen=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def detach_decoder(model: bytes, logits: str) -> tuple[bytes, Decoder] | None:
    """A network without its last layer, whose inputs become its outputs: hidden states, matrix and bias.

    Args:
        model: The ONNX file.
        logits: Name of the output with the logits.

    Returns:
        The changed file and the layer; None if the logits are not a product with or without a bias.

    Raises:
        ValueError: This is no ONNX file.
    """
    outside = list(_fields(memoryview(model)))
    graph = [field for number, value, _ in outside if number == _GRAPH for field in _fields(value)]
    nodes = [(_node(value), whole) for number, value, whole in graph if number == _NODE]
    makers = {name: node for node, _ in nodes for name in node.outputs}
    decoder = _find_decoder(makers, logits)
    if decoder is None:
        return None
    removed = _path(makers, logits, decoder)
    kept = [
        whole for number, value, whole in graph
        if number != _OUTPUT and not (number == _NODE and _node(value) in removed)
    ]  # fmt: skip
    outputs = [
        _field(_OUTPUT, _value(name, np.float32, rank)) for name, rank in zip(decoder.names, (3, 2, 1), strict=False)
    ]
    others = [whole for number, _, whole in outside if number != _GRAPH]
    return b"".join([*others, _field(_GRAPH, b"".join([*kept, *outputs]))]), decoder


def _find_decoder(makers: Mapping[str, _Node], logits: str) -> Decoder | None:
    node, bias = makers.get(logits), None
    if node is not None and node.operator == "Add":
        products = [name for name in node.inputs if name in makers and makers[name].operator == "MatMul"]
        if len(products) != 1:
            return None
        bias = next(name for name in node.inputs if name != products[0])
        node = makers[products[0]]
    if node is None or node.operator != "MatMul":
        return None
    hidden, weight = node.inputs
    return Decoder(hidden, weight, bias)


def _path(makers: Mapping[str, _Node], logits: str, decoder: Decoder) -> list[_Node]:
    """The nodes of a last layer."""
    last = makers[logits]
    return [last] if decoder.bias is None else [last, *(makers[name] for name in last.inputs if name != decoder.bias)]


# ---- small networks ----


def build_model(
    nodes: Iterable[bytes], constants: Mapping[str, NDArray[np.generic]], inputs: Mapping[str, tuple[type[np.generic], int]],
    outputs: Mapping[str, tuple[type[np.generic], int]],
) -> bytes:  # fmt: skip
    """An ONNX file.

    Args:
        nodes: The results of :func:`build_node`.
        constants: Name → array.
        inputs: Name → type of the numbers, and number of dimensions.
        outputs: Likewise.
    """
    graph = [
        *(_field(_NODE, node) for node in nodes), _field(2, b"head"),
        *(_field(5, _tensor(name, array)) for name, array in constants.items()),
        *(_field(11, _value(name, *kind)) for name, kind in inputs.items()),
        *(_field(_OUTPUT, _value(name, *kind)) for name, kind in outputs.items()),
    ]  # fmt: skip
    return _number(1, _IR_VERSION) + _field(8, _number(2, _OPSET)) + _field(_GRAPH, b"".join(graph))


def build_node(operator: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    """A node of an ONNX graph with one output and attributes that are integers."""
    fields = [*(_field(_INPUTS, name.encode()) for name in inputs), _field(_OUTPUTS, output.encode())]
    fields.append(_field(_OPERATOR, operator.encode()))
    for name, value in attributes.items():
        fields.append(_field(5, _field(1, name.encode()) + _number(3, value) + _number(20, 2)))
    return b"".join(fields)


def _tensor(name: str, array: NDArray[np.generic]) -> bytes:
    dims = b"".join(_number(1, size) for size in array.shape)
    return dims + _number(2, _TYPES[array.dtype]) + _field(8, name.encode()) + _field(9, array.tobytes())


def _value(name: str, kind: type[np.generic], rank: int) -> bytes:
    """Name and type of an input or output, of any shape."""
    shape = _field(2, _field(1, b"") * rank)
    return _field(_NAME, name.encode()) + _field(2, _field(1, _number(1, _TYPES[np.dtype(kind)]) + shape))


# ---- protobuf ----


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, content and whole of each field; the content of numbers is not read."""
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            content, position = position, _varint(message, position)[1]
        elif wire_type == _LENGTH:
            length, content = _varint(message, position)
            position = content + length
        elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
            content, position = position, position + (8 if wire_type == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"unknown type {wire_type} of a field")
        if position > len(message):
            raise ValueError("the file ends within a field")
        yield number, message[content:position], message[start:position]


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number and the position after it."""
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("the file ends within a number")
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _node(content: memoryview) -> _Node:
    names: dict[int, list[str]] = {_INPUTS: [], _OUTPUTS: [], _OPERATOR: []}
    for number, value, _ in _fields(content):
        if number in names:
            names[number].append(str(value, "utf-8"))
    return _Node("".join(names[_OPERATOR]), tuple(names[_INPUTS]), tuple(names[_OUTPUTS]))


def _field(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | _LENGTH) + _encoded(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _encoded(number << 3 | _VARINT) + _encoded(value)


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
