"""Reads ONNX networks and builds small ones without the package onnx, which machines that only encode do not have.

An ONNX file is a protobuf message: a sequence of fields, each a key (number and wire type) followed by a varint, by 4 or 8
bytes, or by a length and so many bytes. Sources: protobuf's encoding guide, and onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_GRAPH = 7  # of a model
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of a graph
_WITH_GRAPHS = {"If", "Loop", "Scan"}  # operators that may read more than their inputs
_INPUTS, _OUTPUTS, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_INTEGERS = 8  # of an attribute
_NAME = {_INPUT: 1, _OUTPUT: 1, _INITIALIZER: 8}  # of each
_SHAPE = (2, 1, 2, 1)  # of an output: type, type of a tensor, shape, dimensions
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.int32): 6,
          np.dtype(np.int64): 7}  # fmt: skip
_IR_VERSION, _OPSET = 9, 18  # the first opset with the axes of ReduceMax as an input
_ROWS = "splade_lucene.rows"
RESTORED = ".float32"
"""Ends the name of a weight that a network restores from how it is stored."""

_SWAPPED = b"\x01\x00"  # the permutation (1, 0)


@dataclass(frozen=True)
class Decoder:
    """The last layer of a language model: its logits are ``hidden @ weight + bias``, whatever the inputs.

    Attributes:
        hidden: Name of the hidden states.
        weight: Name of the matrix, of shape [width, terms].
        rows: Name of its transpose.
        bias: Name of the bias; None without one.
    """

    hidden: str
    weight: str
    rows: str
    bias: str | None

    @property
    def outputs(self) -> list[str]:
        """The outputs of the network without this layer: hidden states, rows, and the bias if there is one."""
        return [self.hidden, self.rows, *([self.bias] if self.bias else [])]


@dataclass(frozen=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integers: bytes

    @property
    def is_transposition(self) -> bool:
        """Whether it transposes a matrix."""
        return self.operator == "Transpose" and self.integers == _SWAPPED


def detach_decoder(model: bytes) -> tuple[bytes, Decoder] | None:
    """A network without its last layer, whose inputs become its outputs; see :attr:`Decoder.outputs`.

    Args:
        model: The ONNX file.

    Returns:
        The changed file and the layer; None if the logits (the first output of three dimensions) are not a product with a
        constant matrix, with or without a constant bias.

    Raises:
        ValueError: This is no ONNX file.
    """
    outside = list(_fields(memoryview(model)))
    graph = [field for number, value, _ in outside if number == _GRAPH for field in _fields(value)]
    nodes = [(_node(value), whole) for number, value, whole in graph if number == _NODE]
    makers = {name: node for node, _ in nodes for name in node.outputs if name}
    logits = next((_name(value, _OUTPUT) for number, value, _ in graph if number == _OUTPUT and _rank(value) == 3), "")
    decoder = _find_decoder(makers, logits)
    inputs, initializers = (
        {_name(value, kind) for number, value, _ in graph if number == kind} for kind in (_INPUT, _INITIALIZER)
    )
    if decoder is None or not _are_constant(makers, [decoder.weight, decoder.bias or ""], inputs - initializers):
        return None
    removed = _path(makers, logits, decoder)
    kept = [
        whole for number, value, whole in graph
        if number != _OUTPUT and not (number == _NODE and _node(value) in removed)
    ]  # fmt: skip
    added = [
        _field(_OUTPUT, _value(name, np.float32, rank)) for name, rank in zip(decoder.outputs, (3, 2, 1), strict=False)
    ]
    if decoder.rows == _ROWS:
        added.append(_field(_NODE, build_node("Transpose", [decoder.weight], _ROWS)))
    others = [whole for number, _, whole in outside if number != _GRAPH]
    return b"".join([*others, _field(_GRAPH, *kept, *added)]), decoder


@dataclass(frozen=True)
class StoredWeight:
    """A weight that a network restores from how it is stored.

    Attributes:
        name: Its name in the network.
        source: Name of the array in the file of weights.
        is_rounded: Whether it is rounded to float16 on the way to float32.
        is_transposed: Whether it is then transposed.
    """

    name: str
    source: str
    is_rounded: bool
    is_transposed: bool


def detach_stored_weights(model: bytes, shapes: Mapping[str, Sequence[int]]) -> tuple[bytes, list[StoredWeight]]:
    """A network without the operators that restore its weights, which become external data that a session must be given.

    Args:
        model: An ONNX file that :mod:`splade_lucene.encoder.onnx_export` has written.
        shapes: Name → shape of each array in the file of weights.

    Returns:
        The changed file and the weights.

    Raises:
        ValueError: This is no ONNX file.
    """
    outside = list(_fields(memoryview(model)))
    graph = [field for number, value, _ in outside if number == _GRAPH for field in _fields(value)]
    nodes = [(_node(value), whole) for number, value, whole in graph if number == _NODE]
    makers = {name: node for node, _ in nodes for name in node.outputs if name}
    found: dict[str, StoredWeight] = {}
    removed: set[str] = set()
    for node, _ in nodes:
        path = _path_of_casts(makers, node)
        source = makers[path[-1]].inputs[0] if path else ""
        if source in shapes:
            removed.update(path)
            casts = sum(makers[name].operator == "Cast" for name in path)
            found[path[0]] = StoredWeight(path[0], source, casts > 1, is_transposed=False)
    for node, _ in nodes:  # an exported weight is named anew, or transposed, before it is used
        weight = found.get(node.inputs[0]) if node.inputs else None
        if weight is not None and (node.operator == "Identity" or node.is_transposition):
            removed.update(node.outputs)
            is_transposed = weight.is_transposed != node.is_transposition
            found[node.outputs[0]] = replace(weight, name=node.outputs[0], is_transposed=is_transposed)
    kept = [(node, whole) for node, whole in nodes if not removed.intersection(node.outputs)]
    used = {name for node, _ in kept for name in node.inputs}
    used |= {_name(value, _OUTPUT) for number, value, _ in graph if number == _OUTPUT}
    weights = [each for each in found.values() if each.name in used]
    added = [
        _field(_INITIALIZER, *_external_tensor(each.name, shapes[each.source][:: -1 if each.is_transposed else 1]))
        for each in weights
    ]
    stored = {name for node, _ in nodes for name in node.inputs} - used
    rest = [
        whole for number, value, whole in graph
        if number != _NODE and not (number == _INITIALIZER and _name(value, _INITIALIZER) in stored)
    ]  # fmt: skip
    others = [whole for number, _, whole in outside if number != _GRAPH]
    return b"".join([*others, _field(_GRAPH, *(whole for _, whole in kept), *rest, *added)]), weights


def _path_of_casts(makers: Mapping[str, _Node], last: _Node) -> list[str]:
    """The outputs of the operators that restore a weight, from the last one back; none if this is not the last of such."""
    path: list[str] = []
    node: _Node | None = last
    while node is not None and node.operator in ("Cast", "DequantizeLinear"):
        path.append(node.outputs[0])
        if node.operator == "DequantizeLinear":
            break
        node = makers.get(node.inputs[0])
    is_last = last.operator == "Cast" and last.outputs[0].endswith(RESTORED)
    return path if is_last and (node is None or node.operator == "DequantizeLinear") else []


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
    maker = makers.get(weight)
    rows = maker.inputs[0] if maker is not None and maker.is_transposition else _ROWS
    return Decoder(hidden, weight, rows, bias)


def _are_constant(makers: Mapping[str, _Node], names: Iterable[str], inputs: set[str]) -> bool:
    """Whether some arrays do not depend on the network's inputs."""
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in inputs:
            return False
        maker = makers.get(name)
        if maker is not None:
            if maker.operator in _WITH_GRAPHS:
                return False
            waiting += maker.inputs
    return True


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
        *(_field(_INITIALIZER, *_tensor(name, array)) for name, array in constants.items()),
        *(_field(_INPUT, _value(name, *kind)) for name, kind in inputs.items()),
        *(_field(_OUTPUT, _value(name, *kind)) for name, kind in outputs.items()),
    ]  # fmt: skip
    return b"".join([_number(1, _IR_VERSION), _field(8, _number(2, _OPSET)), _field(_GRAPH, *graph)])


def build_node(operator: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    """A node of an ONNX graph with one output and attributes that are integers."""
    fields = [*(_field(_INPUTS, name.encode()) for name in inputs), _field(_OUTPUTS, output.encode())]
    fields.append(_field(_OPERATOR, operator.encode()))
    for name, value in attributes.items():
        fields.append(_field(5, _field(1, name.encode()) + _number(3, value) + _number(20, 2)))
    return b"".join(fields)


def _tensor(name: str, array: NDArray[np.generic]) -> list[bytes]:
    dims = [_number(1, size) for size in array.shape]
    return [*dims, _number(2, _TYPES[array.dtype]), _field(8, name.encode()), _field(9, array.tobytes())]


def _external_tensor(name: str, shape: Sequence[int]) -> list[bytes]:
    """A float32 array that is not in the file."""
    dims = [_number(1, size) for size in shape]
    place = _field(13, _field(1, b"location"), _field(2, b"given to the session"))
    return [*dims, _number(2, _TYPES[np.dtype(np.float32)]), _field(8, name.encode()), place, _number(14, 1)]


def _value(name: str, kind: type[np.generic], rank: int) -> bytes:
    """Name and type of an input or output, of any shape."""
    shape = _field(2, _field(1, b"") * rank)
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, _TYPES[np.dtype(kind)]) + shape))


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


def _name(content: memoryview, kind: int) -> str:
    """The name of an input, output or initializer."""
    return next((str(value, "utf-8") for number, value, _ in _fields(content) if number == _NAME[kind]), "")


def _rank(output: memoryview) -> int:
    """The number of dimensions of an output; 0 if it is not stated."""
    parts = [output]
    for step in _SHAPE:
        parts = [value for part in parts for number, value, _ in _fields(part) if number == step]
    return len(parts)


def _node(content: memoryview) -> _Node:
    names: dict[int, list[str]] = {_INPUTS: [], _OUTPUTS: [], _OPERATOR: []}
    integers = b""
    for number, value, _ in _fields(content):
        if number in names:
            names[number].append(str(value, "utf-8"))
        elif number == _ATTRIBUTE:
            integers += b"".join(bytes(each) for kind, each, _ in _fields(value) if kind == _INTEGERS)
    return _Node("".join(names[_OPERATOR]), tuple(names[_INPUTS]), tuple(names[_OUTPUTS]), integers)


def _field(number: int, *content: bytes | memoryview) -> bytes:
    return b"".join([_encoded(number << 3 | _LENGTH), _encoded(sum(map(len, content))), *content])


def _number(number: int, value: int) -> bytes:
    return _encoded(number << 3 | _VARINT) + _encoded(value)


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
