"""all-MiniLM-L6-v2, a sentence embedder: run here in doubles for the labels, and written as a graph with 8-bit weights."""

import json
import math
import struct
import unicodedata
from types import SimpleNamespace

import numpy as np

from . import onnx, packages

ARCHIVE = "all_minilm_l6_v2/model.zip"
_loaded = []


def load():
    """Its weights by name, and its sizes."""
    if not _loaded:
        config = json.loads(packages.read("minilm", f"{ARCHIVE}!config.json"))
        raw = packages.read("minilm", f"{ARCHIVE}!model.safetensors")
        (length,) = struct.unpack("<Q", raw[:8])
        header, base = json.loads(raw[8:8 + length]), 8 + length
        weights = {}
        for name, entry in header.items():
            if name != "__metadata__" and entry["dtype"] in ("F32", "F16"):
                start, end = entry["data_offsets"]
                kind = np.float32 if entry["dtype"] == "F32" else np.float16
                weights[name] = np.frombuffer(raw[base + start:base + end], kind).reshape(entry["shape"]).astype(np.float32)
        _loaded.append(SimpleNamespace(
            weights=weights, layers=config["num_hidden_layers"], width=config["hidden_size"],
            heads=config["num_attention_heads"], epsilon=config["layer_norm_eps"],
        ))
    return _loaded[0]


def embed(model, texts):
    """f64 [texts, width], normalised: the mean of the last layer's tokens."""
    vocabulary = json.loads(packages.read("minilm", f"{ARCHIVE}!tokenizer.json"))["model"]["vocab"]
    by_length = {}
    for index, text in enumerate(texts):
        ids = [vocabulary["[CLS]"], *word_pieces(text, vocabulary), vocabulary["[SEP]"]]
        by_length.setdefault(len(ids), []).append((index, ids))
    weights = {name: weight.astype(np.float64) for name, weight in model.weights.items()}
    out = np.zeros((len(texts), model.width))
    # Texts of one length need no mask.
    for group in by_length.values():
        out[[index for index, _ in group]] = _forward(model, weights, np.array([ids for _, ids in group]))
    return out


def word_pieces(text, vocabulary):
    """The ids of BERT's uncased tokenizer, without [CLS] and [SEP]."""
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    spaced = "".join(f" {c} " if not c.isalnum() and not c.isspace() else c for c in text)
    ids = []
    for word in spaced.split():
        pieces, start = [], 0
        while start < len(word):
            ends = (end for end in range(len(word), start, -1) if ("##" if start else "") + word[start:end] in vocabulary)
            end = next(ends, None)
            if end is None:
                pieces = [vocabulary["[UNK]"]]
                break
            pieces.append(vocabulary[("##" if start else "") + word[start:end]])
            start = end
        ids += pieces
    return ids


def _forward(model, weights, ids):
    def norm(x, part):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + model.epsilon)
        return scaled * weights[part + ".weight"] + weights[part + ".bias"]

    def linear(x, part):
        # One large product: with three dimensions numpy makes one small one per text.
        flat = x.reshape(-1, x.shape[-1]) @ weights[part + ".weight"].T
        return flat.reshape(*x.shape[:-1], -1) + weights[part + ".bias"]

    def heads(x, part):
        batch, length, _ = x.shape
        return linear(x, part).reshape(batch, length, model.heads, -1).transpose(0, 2, 1, 3)

    e = "embeddings."
    positions = weights[e + "position_embeddings.weight"][:ids.shape[1]] + weights[e + "token_type_embeddings.weight"][0]
    x = norm(weights[e + "word_embeddings.weight"][ids] + positions, e + "LayerNorm")
    for layer in range(model.layers):
        p = f"encoder.layer.{layer}."
        query, key, value = (heads(x, f"{p}attention.self.{name}") for name in ("query", "key", "value"))
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(linear(mixed, p + "attention.output.dense") + x, p + "attention.output.LayerNorm")
        hidden = linear(x, p + "intermediate.dense")
        hidden = hidden * 0.5 * (1 + _erf(hidden / math.sqrt(2)))
        x = norm(linear(hidden, p + "output.dense") + x, p + "output.LayerNorm")
    mean = x.mean(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


_STEPS, _RANGE = 1024, 6
_KNOTS = np.arange(-_RANGE * _STEPS, _RANGE * _STEPS + 1) / _STEPS
_ERF = np.array([math.erf(x) for x in _KNOTS])
_SLOPE = 2 / math.sqrt(math.pi) * np.exp(-_KNOTS * _KNOTS)


def _erf(x):
    """numpy has none: Taylor's series around the nearest of 12,289 knots, exact to the last bits of a double."""
    x = np.clip(x, -_RANGE, _RANGE)
    index = np.rint(x * _STEPS).astype(np.int64)
    k = index / _STEPS
    d, index = x - k, index + _RANGE * _STEPS
    series = 1 + d * (-k + d * ((4 * k * k - 2) / 6 + d * (12 * k - 8 * k * k * k) / 24))
    return _ERF[index] + _SLOPE[index] * d * series


def write_int8(graph, model):
    """Adds the sentence embedder to a graph: i64 input_ids and attention_mask [B, T] in, the name of f32 [B, width] out.
    Weights are bytes with a scale per column (per row for the words); what flows is quantised as it comes."""
    weights = model.weights
    graph.input("input_ids", onnx.INT64, ["B", "T"])
    graph.input("attention_mask", onnx.INT64, ["B", "T"])
    quantised = {}

    def ints(*values):
        return graph.const(np.array(values, np.int64))

    def norm(x, part):
        weight, bias = graph.const(weights[part + ".weight"]), graph.const(weights[part + ".bias"])
        return graph.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=float(model.epsilon))

    def linear(x, part):
        if x not in quantised:
            quantised[x] = graph.add("DynamicQuantizeLinear", x, outputs=3)
        bytes_, scale, zero = quantised[x]
        packed, steps = _pack(weights[part + ".weight"].T, 0)
        none = graph.const(np.zeros(packed.shape[1], np.int8))
        product = graph.add("MatMulInteger", bytes_, graph.const(packed), zero, none)
        steps = graph.add("Mul", scale, graph.const(steps[0]))
        scaled = graph.add("Mul", graph.add("Cast", product, to=onnx.FLOAT), steps)
        return graph.add("Add", scaled, graph.const(weights[part + ".bias"]))

    def heads(x, part, order):
        return graph.add("Transpose", graph.add("Reshape", linear(x, part), split), perm=order)

    e, width = "embeddings.", model.width
    packed, steps = _pack(weights[e + "word_embeddings.weight"], 1)
    words = graph.add("Cast", graph.add("Gather", graph.const(packed), "input_ids"), to=onnx.FLOAT)
    words = graph.add("Mul", words, graph.add("Gather", graph.const(steps), "input_ids"))
    length = graph.add("Slice", graph.add("Shape", "input_ids"), ints(1), ints(2))
    positions = weights[e + "position_embeddings.weight"] + weights[e + "token_type_embeddings.weight"][0]
    positions = graph.add("Slice", graph.const(positions), ints(0), length, ints(0))
    x = norm(graph.add("Add", words, positions), e + "LayerNorm")
    mask = graph.add("Cast", "attention_mask", to=onnx.FLOAT)
    hidden = graph.add("Sub", graph.const(np.array(1, np.float32)), graph.add("Unsqueeze", mask, ints(1, 2)))
    hidden = graph.add("Mul", hidden, graph.const(np.array(-1e9, np.float32)))
    split, joined = ints(0, 0, model.heads, width // model.heads), ints(0, 0, width)
    shrink = graph.const(np.array(1 / math.sqrt(width // model.heads), np.float32))
    half, one, root = (graph.const(np.array(value, np.float32)) for value in (0.5, 1, math.sqrt(2)))
    for layer in range(model.layers):
        p = f"encoder.layer.{layer}."
        query, value = (heads(x, f"{p}attention.self.{name}", [0, 2, 1, 3]) for name in ("query", "value"))
        key = heads(x, p + "attention.self.key", [0, 2, 3, 1])
        scores = graph.add("Add", graph.add("Mul", graph.add("MatMul", query, key), shrink), hidden)
        mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
        mixed = graph.add("Reshape", graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), joined)
        x = norm(graph.add("Add", linear(mixed, p + "attention.output.dense"), x), p + "attention.output.LayerNorm")
        inner = linear(x, p + "intermediate.dense")
        gate = graph.add("Add", graph.add("Erf", graph.add("Div", inner, root)), one)
        inner = graph.add("Mul", graph.add("Mul", inner, gate), half)
        x = norm(graph.add("Add", linear(inner, p + "output.dense"), x), p + "output.LayerNorm")
    column = graph.add("Unsqueeze", mask, ints(2))
    total = graph.add("ReduceSum", graph.add("Mul", x, column), ints(1), keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", mask, ints(1), keepdims=1))
    return graph.add("LpNormalization", mean, axis=1, p=2)


def _pack(weight, axis):
    """(int8 of the same shape, f32 steps kept along `axis`): the largest value along it becomes 127."""
    steps = np.maximum(np.abs(weight).max(axis, keepdims=True), np.float32(1e-12)) / np.float32(127)
    return np.ascontiguousarray(np.rint(weight / steps).astype(np.int8)), np.ascontiguousarray(steps.astype(np.float32))
