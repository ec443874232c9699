//! Videos that the tests make with ffmpeg: small, short, and each of a kind.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A second of a moving test picture with a tone, unless the arguments say otherwise. What stands before `--` in `args` are inputs
/// of their own in place of these; what follows is how it is written.
pub fn make(name: &str, args: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let (inputs, how) = args.split_once(" -- ").unwrap_or((PICTURE_AND_TONE, args));
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]).args(inputs.split_whitespace()).args(how.split_whitespace());
    let output = command.arg(&path).output().expect("ffmpeg is there: run `cargo xtask test`");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&path).unwrap()
}

const PICTURE_AND_TONE: &str =
    "-f lavfi -i testsrc2=s=128x96:d=1:r=25 -f lavfi -i sine=frequency=440:duration=1 -shortest";

/// The picture alone.
pub const PICTURE: &str = "-f lavfi -i testsrc2=s=128x96:d=1:r=25";

/// How phones write.
pub const PHONE: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -movflags +faststart";

/// What ffprobe says of a file: `{streams: [...], format: {...}}`.
pub fn probe(bytes: &[u8]) -> serde_json::Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-count_packets", "-print_format", "json", "-show_format", "-show_streams"]);
    let output = command.arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `h264 yuv420p 128x96, aac`: the codecs of a file.
pub fn codecs(bytes: &[u8]) -> String {
    let said = probe(bytes);
    let streams = said["streams"].as_array().unwrap().iter().map(|stream| match stream["codec_type"].as_str() {
        Some("video") => format!(
            "{} {} {}x{}",
            stream["codec_name"].as_str().unwrap(),
            stream["pix_fmt"].as_str().unwrap(),
            stream["width"],
            stream["height"]
        ),
        _ => stream["codec_name"].as_str().unwrap_or("?").to_owned(),
    });
    streams.collect::<Vec<_>>().join(", ")
}

/// A program that does `script` in place of ffmpeg; `$REAL` is ffmpeg.
pub fn instead_of_ffmpeg(folder: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("ffmpeg-of-the-test");
    std::fs::write(&path, format!("#!/bin/sh\nREAL=ffmpeg\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Processes whose command line holds `text`.
pub fn processes(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_string_lossy().parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains(text).then_some(pid)
    });
    pids.collect()
}
