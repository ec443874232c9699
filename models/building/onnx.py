"""Just enough of ONNX's protobuf to write a graph and to mend one.

Why not the `onnx` package: its bytes differ between versions, it and what it pulls in are 100 MB for every version of
Python, and the files that we make must have the hashes that the manifests pin on every machine.
Field numbers: onnx/onnx.proto of the ONNX specification."""

import struct

FLOAT, UINT8, INT8, INT64 = 1, 2, 3, 7
_DTYPES = {"float32": FLOAT, "uint8": UINT8, "int8": INT8, "int64": INT64}
OPSET, IR_VERSION = 17, 8


class Graph:
    """A graph under construction. Names of constants and results are given in order, so the bytes never change."""

    def __init__(self, name):
        self.name, self.nodes, self.weights, self.inputs, self.outputs = name, [], [], [], []

    def const(self, array):
        """Adds weights (a numpy array of float32, int8, uint8 or int64); returns their name."""
        name = f"w{len(self.weights)}"
        self.weights.append(_tensor(name, array))
        return name

    def add(self, op, *inputs, outputs=1, out=None, **attributes):
        """Adds a node; returns the name of its result, or a list of names where it has several."""
        names = [out] if out else [f"{op}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(_node(op, inputs, names, attributes))
        return names[0] if len(names) == 1 else names

    def input(self, name, dtype, shape):
        self.inputs.append(_value_info(name, dtype, shape))

    def output(self, name, dtype, shape):
        self.outputs.append(_value_info(name, dtype, shape))

    def serialize(self):
        graph = b"".join(_bytes(1, node) for node in self.nodes) + _bytes(2, self.name.encode())
        graph += b"".join(_bytes(5, weight) for weight in self.weights)
        graph += b"".join(_bytes(11, value) for value in self.inputs) + b"".join(_bytes(12, value) for value in self.outputs)
        opset = _int(2, OPSET)
        return _int(1, IR_VERSION) + _bytes(2, b"latent") + _bytes(7, graph) + _bytes(8, opset)


def mend(model, shapes, reshape=None):
    """Makes a model of an old exporter usable: weights are no longer listed as inputs (so that they can be folded), unused
    ones go, and inputs and outputs get new shapes, as a function of (name, rank). `reshape` maps the target of each
    constant Reshape, a list of integers, to another."""
    fields = list(_fields(model))
    graph = list(_fields(next(value for number, _, value in fields if number == 7)))
    weights = {_string(value, 8) for number, _, value in graph if number == 5}
    used = {name.decode() for number, _, node in graph if number == 1 for n, _, name in _fields(node) if n == 1}
    targets = {_node_inputs(node)[1] for number, _, node in graph if number == 1 and _string(node, 4) == "Reshape"}
    out = b""
    for number, wire, value in graph:
        if number == 5 and _string(value, 8) not in used or number == 11 and _string(value, 1) in weights or number == 13:
            continue
        if number == 5 and reshape and _string(value, 8) in targets:
            value = _int64s(_string(value, 8), reshape(_read_int64s(value)))
        if number in (11, 12):
            value = _reshaped(value, shapes)
        out += _raw(number, wire, value)
    ir_version = max(4, next(value for number, _, value in fields if number == 1))
    rest = b"".join(_raw(n, w, v) for n, w, v in fields if n not in (1, 7))
    return _int(1, ir_version) + rest + _bytes(7, out)


def _reshaped(value_info, shapes):
    name = _string(value_info, 1)
    kind = next(v for n, _, v in _fields(value_info) if n == 2)
    tensor = next(v for n, _, v in _fields(kind) if n == 1)
    dtype = next(v for n, _, v in _fields(tensor) if n == 1)
    shape = next(v for n, _, v in _fields(tensor) if n == 2)
    old = [next((v for n, _, v in _fields(dim) if n == 1), None) for number, _, dim in _fields(shape) if number == 1]
    return _value_info(name, dtype, shapes(name, old))


def _node_inputs(node):
    return [value.decode() for number, _, value in _fields(node) if number == 1]


def _read_int64s(tensor):
    for number, wire, value in _fields(tensor):
        if number == 9:
            return list(struct.unpack(f"<{len(value) // 8}q", value))
        if number == 7 and wire == 2:
            values, at = [], 0
            while at < len(value):
                one, at = _read_varint(value, at)
                values.append(one - (1 << 64) if one >> 63 else one)
            return values
    raise ValueError("the target of a Reshape is not constant")


def _int64s(name, values):
    return _int(1, len(values)) + _int(2, INT64) + _bytes(8, name.encode()) + _bytes(9, struct.pack(f"<{len(values)}q", *values))


def _tensor(name, array):
    out = b"".join(_int(1, dim) for dim in array.shape) + _int(2, _DTYPES[array.dtype.name]) + _bytes(8, name.encode())
    return out + _bytes(9, array.tobytes(order="C"))


def _node(op, inputs, outputs, attributes):
    out = b"".join(_bytes(1, name.encode()) for name in inputs) + b"".join(_bytes(2, name.encode()) for name in outputs)
    out += _bytes(3, f"{op}/{outputs[0]}".encode()) + _bytes(4, op.encode())
    return out + b"".join(_bytes(5, _attribute(name, attributes[name])) for name in sorted(attributes))


def _attribute(name, value):
    out = _bytes(1, name.encode())
    if isinstance(value, float):
        return out + b"\x15" + struct.pack("<f", value) + _int(20, 1)
    if isinstance(value, int):
        return out + _int(3, value) + _int(20, 2)
    if isinstance(value, str):
        return out + _bytes(4, value.encode()) + _int(20, 3)
    return out + b"".join(_int(8, one) for one in value) + _int(20, 7)


def _value_info(name, dtype, shape):
    dims = b"".join(_bytes(1, _int(1, dim) if isinstance(dim, int) else _bytes(2, dim.encode())) for dim in shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, dtype) + _bytes(2, dims)))


def _varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _int(number, value):
    return _varint(number << 3) + _varint(value)


def _bytes(number, value):
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _raw(number, wire, value):
    if wire == 0:
        return _int(number, value)
    return _bytes(number, value) if wire == 2 else _varint(number << 3 | wire) + value


def _string(message, field):
    return next((value.decode() for number, _, value in _fields(message) if number == field), "")


def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _fields(data):
    """(number, wire type, value) of a message, in order."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _read_varint(data, at)
        else:
            if wire == 2:
                length, at = _read_varint(data, at)
            else:
                length = {1: 8, 5: 4}[wire]
            value = data[at:at + length]
            at += length
        yield number, wire, value
