//! A model that does nothing but copy: what is left beside it is the way to a model and back.

use std::path::Path;

use anyhow::Result;

pub const NAME: &str = "bench-identity";
/// Both sides of the picture that it takes.
pub const SIDE: u32 = 224;
/// The space of the text model beside it: an embedder has both.
const DIMENSIONS: i64 = 384;

/// Writes manifests and weights into one folder, together with the manifest of the text model.
pub fn write(folder: &Path, text_model: &str) -> Result<()> {
    std::fs::write(folder.join("text.toml"), text_model)?;
    std::fs::write(folder.join("identity.onnx"), graph())?;
    let manifest = format!(
        "name = {NAME:?}\ntitle = \"The first values of a picture\"\nrole = \"image-embedder\"\nlicence = \"Apache-2.0\"\n\
         graph = \"identity.onnx\"\n[[file]]\nname = \"identity.onnx\"\nsource = []\n\
         [tensors]\ninputs = [\"image\"]\noutputs = [\"embedding\"]\n\
         [settings]\nkind = \"image-tower\"\nchannels = \"rgb\"\nmean = [127.0, 127.0, 127.0]\nscale = [0.01, 0.01, 0.01]\n\
         short_side = {SIDE}\nsize = {SIDE}\ncrop = \"center\"\nfilter = \"bicubic\"\ninput = \"image\"\n\
         output = \"embedding\"\ndimensions = {DIMENSIONS}\nnormalize = false\n"
    );
    Ok(std::fs::write(folder.join("identity.toml"), manifest)?)
}

/// The ONNX file: Identity, Flatten, and a Slice of the first values, for an embedding has so many.
fn graph() -> Vec<u8> {
    let side = i64::from(SIDE);
    let nodes = [
        node("Identity", &["image"], "copy"),
        node("Flatten", &["copy"], "flat"),
        node("Slice", &["flat", "starts", "ends", "axes"], "embedding"),
    ];
    let constants = [constant("starts", 0), constant("ends", DIMENSIONS), constant("axes", 1)];
    let graph = [
        nodes.concat(),
        bytes(2, b"identity"),
        constants.concat(),
        bytes(11, &port("image", &[None, Some(3), Some(side), Some(side)])),
        bytes(12, &port("embedding", &[None, Some(DIMENSIONS)])),
    ];
    let opset = number(2, 13);
    [number(1, 8), bytes(7, &graph.concat()), bytes(8, &opset)].concat()
}

/// GraphProto.node
fn node(kind: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| bytes(1, input.as_bytes())).collect();
    bytes(1, &[inputs, bytes(2, output.as_bytes()), bytes(4, kind.as_bytes())].concat())
}

/// GraphProto.initializer: one int64 in a list.
fn constant(name: &str, value: i64) -> Vec<u8> {
    bytes(5, &[number(1, 1), number(2, 7), bytes(8, name.as_bytes()), bytes(9, &value.to_le_bytes())].concat())
}

/// ValueInfoProto of f32; `None`: any number.
fn port(name: &str, shape: &[Option<i64>]) -> Vec<u8> {
    let dims = shape.iter().flat_map(|side| match side {
        Some(side) => bytes(1, &number(1, *side as u64)),
        None => bytes(1, &bytes(2, b"N")),
    });
    let tensor = [number(1, 1), bytes(2, &dims.collect::<Vec<u8>>())].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

/// A protobuf field of a varint.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A protobuf field of bytes.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
