//! Models: found, verified, run, refused. Real ONNX Runtime and the models that `cargo xtask models` builds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use inference::{Dtype, Inference, InferenceConfig, InferenceError, Model, Tensor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[tokio::test]
async fn runs_the_face_detector_on_any_multiple_of_32() {
    let model = centerface(&inference()).await;
    for (width, height) in [(64, 32), (320, 256)] {
        let outputs = model.run(picture(1, height, width)).await.unwrap();
        let shapes: Vec<_> = outputs.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.clone())).collect();
        let (h, w) = (height / 4, width / 4);
        let expected = [
            ("537", vec![1, 1, h, w]),
            ("538", vec![1, 2, h, w]),
            ("539", vec![1, 2, h, w]),
            ("540", vec![1, 10, h, w]),
        ];
        assert_eq!(shapes, expected);
        let heat = outputs[0].1.as_f32().unwrap();
        assert!(heat.iter().all(|value| (0.0..=1.0).contains(value)), "a heatmap holds probabilities");
    }
}

#[tokio::test]
async fn embeds_texts_of_one_meaning_close_together() {
    let model = inference().model("starter-search-text").await.unwrap();
    // "a dog", "a puppy", "the stock market", by the vocabulary of the model's tokenizer.
    let dog = embed(&model, &[101, 1037, 3899, 102]).await;
    let puppy = embed(&model, &[101, 1037, 17022, 102]).await;
    let market = embed(&model, &[101, 1996, 4518, 3006, 102]).await;
    let length: f32 = dog.iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-3, "embeddings are normalised, this one has length {length}");
    assert!(dot(&dog, &puppy) > dot(&dog, &market) + 0.3, "{} and {}", dot(&dog, &puppy), dot(&dog, &market));
    let tokenizer = model.asset("tokenizer.json").unwrap();
    assert!(tokenizer.starts_with(b"{"), "the tokenizer is JSON");
}

#[tokio::test]
async fn every_model_that_is_here_opens_and_matches_its_manifest() {
    let inference = inference();
    let names: Vec<_> = inference.manifests().iter().map(|manifest| manifest.name.clone()).collect();
    let mut opened = Vec::new();
    for name in names {
        if inference.is_here(&name).unwrap() {
            let model = inference.model(&name).await.unwrap();
            assert_eq!(model.revision().len(), 12);
            assert!(model.settings_json().starts_with("{\""), "{name} tells plugins how to feed it");
            opened.push(name);
        }
    }
    for needed in ["centerface", "fr-feature", "starter-search-image", "starter-search-text"] {
        assert!(opened.iter().any(|name| name == needed), "{needed} is not built: run `cargo xtask models`");
    }
    assert_eq!(inference.resident().len(), opened.len());
}

#[tokio::test]
async fn says_what_is_wrong_with_an_input() {
    let model = centerface(&inference()).await;
    let flat = |len: usize| vec![0.5_f32; len];
    let tensor = |shape: &[u32]| Tensor::f32(shape, flat(shape.iter().product::<u32>() as usize)).unwrap();
    let named = |name: &str, tensor: Tensor| vec![(name.to_owned(), tensor)];
    let cases = [
        (
            named("image", tensor(&[1, 3, 32, 32])),
            "model \"centerface\": it has no input \"image\"; its inputs are \"input.1\"",
        ),
        (named("input.1", tensor(&[3, 32, 32])), "has 3 dimensions, but must have [?, 3, ?, ?]"),
        (named("input.1", tensor(&[1, 4, 32, 32])), "has shape [1, 4, 32, 32], but must have [?, 3, ?, ?]"),
        (named("input.1", Tensor::i64(vec![1, 3, 1, 1], vec![0; 3]).unwrap()), "is i64, but must be f32"),
        (named("input.1", tensor(&[300, 3, 1, 1])), "is a batch of 300; at most 16 are taken"),
        (named("input.1", tensor(&[1, 3, 2048, 2080])), "holds 12779520 values; at most 12582912 are taken"),
        (Vec::new(), "input \"input.1\" is not given"),
        ([picture(1, 32, 32), picture(1, 32, 32)].concat(), "input \"input.1\" is given twice"),
    ];
    for (inputs, words) in cases {
        let error = model.run(inputs).await.unwrap_err();
        assert!(matches!(error, InferenceError::Input { .. }));
        assert!(error.to_string().contains(words), "`{error}` should say: {words}");
    }
    let error = Tensor::f32(vec![2, 3], flat(5)).unwrap_err();
    assert_eq!(error.to_string(), "a tensor of shape [2, 3] cannot hold 5 values");
}

#[tokio::test]
async fn an_unknown_or_absent_model_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let inference = Inference::new(InferenceConfig { weights: vec![], ..config(empty.path()) }).unwrap();
    let error = inference.model("no-such").await.err().unwrap().to_string();
    assert!(error.starts_with("no model is called \"no-such\"; known are: centerface, "), "{error}");
    let error = inference.model("centerface").await.err().unwrap().to_string();
    assert!(error.contains("model \"centerface\" is not here") && error.contains("`cargo xtask models`"), "{error}");
    let error = inference.model("clip-vit-b-32-image").await.err().unwrap().to_string();
    assert!(error.contains("Its hash is not known, so it is never downloaded"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_what_the_manifest_pins_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("centerface");
    std::fs::create_dir_all(&bad).unwrap();
    std::fs::write(bad.join("centerface.onnx"), b"not a model").unwrap();
    let inference = Inference::new(InferenceConfig { weights: vec![], ..config(folder.path()) }).unwrap();
    let error = inference.model("centerface").await.err().unwrap();
    assert!(matches!(error, InferenceError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("latent model pull centerface"), "{error}");
    assert!(inference.verify("centerface").await.is_err());
    assert!(inference.resident().is_empty());
}

#[tokio::test]
async fn an_idle_model_is_unloaded_and_opens_again_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let inference = Inference::new(InferenceConfig { idle_unload: Duration::ZERO, ..config(folder.path()) }).unwrap();
    let model = centerface(&inference).await;
    let before = model.run(picture(1, 64, 64)).await.unwrap();
    assert_eq!(inference.resident().len(), 1);
    inference.unload_idle();
    assert!(inference.resident().is_empty());
    let after = model.run(picture(1, 64, 64)).await.unwrap();
    assert_eq!(numbers(&before), numbers(&after));
    assert_eq!(inference.resident()[0].0, "centerface");
}

#[tokio::test]
async fn a_model_in_use_is_not_idle() {
    let inference = inference();
    let model = centerface(&inference).await;
    model.run(picture(1, 64, 64)).await.unwrap();
    inference.unload_idle();
    assert_eq!(inference.resident().len(), 1, "it ran a moment ago, and idle means five minutes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_side_by_side_give_what_a_lone_run_gives() {
    let model = centerface(&inference()).await;
    let alone = numbers(&model.run(picture(1, 96, 96)).await.unwrap());
    let runs = (0..16).map(|_| {
        let model = Arc::clone(&model);
        tokio::spawn(async move { numbers(&model.run(picture(1, 96, 96)).await.unwrap()) })
    });
    for run in runs.collect::<Vec<_>>() {
        assert_eq!(run.await.unwrap(), alone);
    }
}

#[tokio::test]
async fn a_batch_gives_what_its_items_give() {
    let model = inference().model("fr-feature").await.unwrap();
    let face = |seed: u32| {
        let data: Vec<f32> = (0..3 * 112 * 112).map(|i| ((i * 31 + seed * 7919) % 255) as f32 / 128.0 - 1.0).collect();
        data
    };
    let run = async |count: u32, data: Vec<f32>| {
        let input = Tensor::f32(vec![count, 3, 112, 112], data).unwrap();
        model.run(vec![("input".to_owned(), input)]).await.unwrap().remove(0).1
    };
    let both = run(2, [face(1), face(2)].concat()).await;
    assert_eq!(both.shape, [2, 512]);
    let second = run(1, face(2)).await;
    assert_eq!(second.dtype(), Dtype::F32);
    let (both, second) = (both.as_f32().unwrap(), second.as_f32().unwrap());
    let difference = both[512..].iter().zip(second).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-4, "{difference}");
}

#[tokio::test]
async fn a_missing_file_is_fetched_on_first_need_and_only_if_it_is_the_right_one() {
    let graph = std::fs::read(kit().join("models/centerface/centerface.onnx")).unwrap();
    let (server, port) = serve(graph.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    let text = include_str!("../../models/centerface.toml");
    let source = format!("source = [\"http://127.0.0.1:{port}/bad\", \"http://127.0.0.1:{port}/redirect\"]");
    let text = text.lines().map(|line| if line.starts_with("source = ") { &source } else { line });
    std::fs::write(manifests.join("centerface.toml"), text.collect::<Vec<_>>().join("\n")).unwrap();
    let config = InferenceConfig { weights: vec![], manifests, ..config(folder.path()) };
    let inference = Inference::new(config).unwrap();
    assert!(!inference.is_here("centerface").unwrap());
    let seen = AtomicU64::new(0);
    let progress = |done, total| {
        assert_eq!(total, graph.len() as u64);
        seen.fetch_max(done, Ordering::Relaxed);
    };
    inference.pull("centerface", &progress).await.unwrap();
    assert_eq!(seen.into_inner(), graph.len() as u64);
    inference.verify("centerface").await.unwrap();
    centerface(&inference).await.run(picture(1, 32, 32)).await.unwrap();
    server.abort();
}

#[tokio::test]
async fn a_graph_of_two_halves_is_fed_with_zeros_where_only_one_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights/halves");
    std::fs::create_dir_all(&weights).unwrap();
    std::fs::write(weights.join("halves.onnx"), onnx_of_two_halves()).unwrap();
    let manifests = folder.path().join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    let manifest = "name = \"halves\"\ntitle = \"Two halves\"\nrole = \"text-embedder\"\nlicence = \"Apache-2.0\"\n\
        graph = \"halves.onnx\"\n[[file]]\nname = \"halves.onnx\"\n\
        [tensors]\ninputs = [\"text\"]\noutputs = [\"sum\", \"same\"]\n[tensors.zeros]\npixels = [1, 3]\n";
    std::fs::write(manifests.join("halves.toml"), manifest).unwrap();
    let weights = vec![folder.path().join("weights")];
    let config = InferenceConfig { weights, manifests, ..config(folder.path()) };
    let model = Inference::new(config).unwrap().model("halves").await.unwrap();

    let ports: Vec<_> =
        model.inputs().iter().map(|port| (port.name.as_str(), port.dtype, port.shape.clone())).collect();
    assert_eq!(ports, [("text", Dtype::I64, vec![None, Some(3)])], "32-bit integers are shown as 64-bit ones");
    let text = |values: [i64; 3]| vec![("text".to_owned(), Tensor::i64(vec![1, 3], values).unwrap())];
    let outputs = model.run(text([49_406, -7, 49_407])).await.unwrap();
    assert_eq!(outputs[0].1.as_f32().unwrap(), [49_406.0, -7.0, 49_407.0], "the pixels were zero");
    assert_eq!(outputs[1].1.as_i64().unwrap(), [49_406, -7, 49_407]);
    let error = model.run(text([1 << 40, 0, 0])).await.unwrap_err();
    assert!(error.to_string().contains("input \"text\" holds a value outside 32 bits"), "{error}");
}

/// sum = float(text) + pixels, same = text; text is i32 [B, 3], pixels f32 [1, 3].
fn onnx_of_two_halves() -> Vec<u8> {
    let (float, int32) = (1, 6);
    let dims = |dims: &[Option<u64>]| -> Vec<u8> {
        dims.iter().flat_map(|dim| part(1, &dim.map_or_else(|| part(2, b"B"), |dim| number(1, dim)))).collect()
    };
    let value = |name: &str, kind: u64, shape: &[Option<u64>]| {
        let tensor = [number(1, kind), part(2, &dims(shape))].concat();
        [part(1, name.as_bytes()), part(2, &part(1, &tensor))].concat()
    };
    let node = |op: &str, inputs: &[&str], output: &str, attribute: &[u8]| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|name| part(1, name.as_bytes())).collect();
        [inputs, part(2, output.as_bytes()), part(4, op.as_bytes()), attribute.to_vec()].concat()
    };
    let to_float = part(5, &[part(1, b"to"), number(3, float), number(20, 2)].concat());
    let graph = [
        part(1, &node("Cast", &["text"], "floats", &to_float)),
        part(1, &node("Add", &["floats", "pixels"], "sum", &[])),
        part(1, &node("Identity", &["text"], "same", &[])),
        part(2, b"halves"),
        part(11, &value("text", int32, &[None, Some(3)])),
        part(11, &value("pixels", float, &[Some(1), Some(3)])),
        part(12, &value("sum", float, &[None, Some(3)])),
        part(12, &value("same", int32, &[None, Some(3)])),
    ]
    .concat();
    [number(1, 8), part(7, &graph), part(8, &number(2, 17))].concat()
}

/// A protobuf field that holds bytes.
fn part(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A protobuf field that holds a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Answers /bad with other bytes, /redirect with a way to the file, and all else with the file.
async fn serve(file: Vec<u8>) -> (tokio::task::JoinHandle<()>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).await.unwrap();
            let line = String::from_utf8_lossy(&request[..n]).into_owned();
            let redirect = b"HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n".to_vec();
            let body = |body: &[u8]| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                [head.as_bytes(), body].concat()
            };
            let answer = match line.split(' ').nth(1) {
                Some("/redirect") => redirect,
                Some("/bad") => body(b"something else"),
                _ => body(&file),
            };
            // A client that has seen enough hangs up.
            let _ = stream.write_all(&answer).await;
        }
    });
    (task, port)
}

/// A pattern, the same each time: f32 [batch, 3, height, width], 0 to 255.
fn picture(batch: u32, height: u32, width: u32) -> Vec<(String, Tensor)> {
    let shape = vec![batch, 3, height, width];
    let len = shape.iter().product::<u32>();
    let data: Vec<f32> = (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32).collect();
    vec![("input.1".to_owned(), Tensor::f32(shape, data).unwrap())]
}

async fn embed(model: &Model, ids: &[i64]) -> Vec<f32> {
    let shape = vec![1, ids.len() as u32];
    let ids_tensor = Tensor::i64(shape.clone(), ids).unwrap();
    let mask = Tensor::i64(shape, vec![1; ids.len()]).unwrap();
    let inputs = vec![("input_ids".to_owned(), ids_tensor), ("attention_mask".to_owned(), mask)];
    model.run(inputs).await.unwrap().remove(0).1.as_f32().unwrap().to_vec()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn numbers(outputs: &[(String, Tensor)]) -> Vec<f32> {
    outputs.iter().flat_map(|(_, tensor)| tensor.as_f32().unwrap().iter().copied()).collect()
}

async fn centerface(inference: &Inference) -> Arc<Model> {
    inference.model("centerface").await.unwrap()
}

fn inference() -> Arc<Inference> {
    Inference::new(config(&std::env::temp_dir().join("latent-no-downloads"))).unwrap()
}

fn config(downloads: &Path) -> InferenceConfig {
    InferenceConfig {
        library: kit().join("onnxruntime/libonnxruntime.so"),
        weights: vec![kit().join("models")],
        downloads: downloads.to_owned(),
        parallel: 2,
        ..InferenceConfig::default()
    }
}

fn kit() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|dir| dir.join("Cargo.lock").exists());
    match std::env::var_os("LATENT_KIT") {
        Some(kit) => kit.into(),
        None => default().unwrap().join("target/release/kit"),
    }
}
