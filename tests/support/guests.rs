//! Guests of tests/guests as components, with manifests of a test's own.

use std::fs;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub const SKELETON: &str = include_str!("../guests/face-detector.wat");

/// A component made of the skeleton and a guest of tests/guests/hostile.
pub fn component(guest: &str) -> Vec<u8> {
    let path = crate::root().join(format!("tests/guests/hostile/{guest}.wat"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (own, detect) = text.split_once(";; detect\n").expect("a guest has a line `;; detect`");
    let (imports, memories) = own.split_once(";; memories\n").unwrap_or((own, ""));
    let module =
        SKELETON.replace("(;imports;)", imports).replace("(;memories;)", memories).replace("(;detect;)", detect);
    encoded(&module)
}

/// A face detector made of a core module in text.
pub fn encoded(module: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(crate::root().join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("face-detector")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

pub fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Vec<u8> {
    let section = wasm_encoder::CustomSection { name: "latent:manifest".into(), data: manifest.as_bytes().into() };
    component.push(wasm_encoder::ComponentSection::id(&section));
    wasm_encoder::Encode::encode(&section, &mut component);
    component
}

/// A deadline of 200 ms, unless `requests` has its own.
pub fn manifest(requests: &str) -> String {
    let deadline = if requests.contains("deadline") { "" } else { "deadline = \"200ms\"" };
    format!(
        "id = \"test.guest\"\nversion = \"1.0.0\"\nworld = \"latent:plugin/face-detector@0.1.0\"\ntitle = \"A guest\"\n\
         [requests]\nmemory = \"4MiB\"\n{deadline}\n{requests}\n"
    )
}

/// The guest that does what a test tells it, as `cargo xtask build` has made it.
pub fn probe() -> bytes::Bytes {
    let path = crate::kit().join("../../guests/probe.wasm");
    fs::read(&path).unwrap_or_else(|_| panic!("{} is missing: run `cargo xtask build`", path.display())).into()
}
