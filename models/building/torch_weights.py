"""Reads PyTorch's files of weights without PyTorch, and runs nothing that lies in them."""

import collections
import io
import pickle
import struct
import zipfile

import numpy as np

_KINDS = {"FloatStorage": np.float32, "LongStorage": np.int64, "HalfStorage": np.float16, "IntStorage": np.int32}
_View = collections.namedtuple("_View", "kind key offset shape strides")


class _Reader(pickle.Unpickler):
    """Knows four names; whatever else a file asks for is refused, as it would be code."""

    def find_class(self, module, name):
        if name in _KINDS:
            return name
        if name == "_rebuild_tensor_v2":
            return lambda storage, offset, shape, strides, *_: _View(*storage, offset, shape, strides)
        if name == "_rebuild_parameter":
            return lambda view, *_: view
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        raise pickle.UnpicklingError(f"refused {module}.{name}")

    def persistent_load(self, reference):
        return reference[1], str(reference[2])


def load(data):
    """{name: array} of a state dict, given as bytes."""
    views, read = _open_zip(data) if zipfile.is_zipfile(io.BytesIO(data)) else _open_legacy(data)
    out = {}
    for name, view in views.items():
        if isinstance(view, _View):
            flat = read(view.kind, view.key)[view.offset:]
            strides = [stride * flat.itemsize for stride in view.strides]
            out[name] = np.lib.stride_tricks.as_strided(flat, view.shape, strides).copy()
    return out


def _open_zip(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    root = next(name for name in archive.namelist() if name.endswith("data.pkl"))[:-len("data.pkl")]
    views = _Reader(io.BytesIO(archive.read(root + "data.pkl"))).load()
    return views, lambda kind, key: np.frombuffer(archive.read(f"{root}data/{key}"), _KINDS[kind])


def _open_legacy(data):
    """Before 2020: three pickles of facts about the machine, the state, the keys, then each storage with its length."""
    file = io.BytesIO(data)
    for _ in range(3):
        _Reader(file).load()
    views = _Reader(file).load()
    kinds = {view.key: view.kind for view in views.values() if isinstance(view, _View)}
    storages = {}
    for key in map(str, _Reader(file).load()):
        (count,) = struct.unpack("<q", file.read(8))
        kind = np.dtype(_KINDS[kinds[key]])
        storages[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
    return views, lambda _, key: storages[key]
