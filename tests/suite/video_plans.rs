//! Plans: those that cannot be are refused by name, and those that can are done, whatever the codec.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use media::video::{
    Acceleration, AudioCodec, AudioEncoding, Cancel, Container, Demand, Output, Preset, Rendering, Sound, ToneMap,
    Transcode, VideoCodec, VideoConfig, VideoEncoding, VideoError, VideoInfo, VideoRate, VideoTools,
};
use plugin_host::{OperatorGrant, PluginError, Transcoder};
use tests::videos::{self, PICTURE, codecs, make};
use types::Size;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::plugin_host::{house, with_manifest};

/// One output as the component model lays it out: 192 bytes.
#[derive(Clone)]
struct Plan {
    bytes: [u8; 192],
    texts: Vec<u8>,
}

/// Where the guest's texts lie, and its outputs.
const TEXTS: u32 = 4_096;
const OUTPUTS: u32 = 65_536;

impl Plan {
    /// Copies the picture, has no sound.
    fn copy(name: &str, container: &str) -> Self {
        let mut plan = Self { bytes: [0; 192], texts: Vec::new() };
        plan.text(0, name);
        plan.text(8, container);
        plan
    }

    /// Encodes it with all in range.
    fn encode(codec: &str) -> Self {
        let mut plan = Self::copy("playback", "mp4");
        plan.bytes[24] = 1;
        plan.text(32, codec);
        plan.bytes[32 + 32] = 23;
        plan.text(32 + 60, "ultrafast");
        plan.bytes[32 + 68] = 8;
        plan
    }

    fn text(&mut self, at: usize, text: &str) {
        self.number(at, TEXTS + self.texts.len() as u32);
        self.number(at + 4, text.len() as u32);
        self.texts.extend(text.as_bytes());
    }

    fn number(&mut self, at: usize, number: u32) {
        self.bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A guest of the world `transcoder` that answers `count` outputs, the first of them this one.
async fn guest(plan: &Plan, count: u32) -> (crate::plugin_host::House, Transcoder) {
    let answer = [0_u32.to_le_bytes(), OUTPUTS.to_le_bytes(), count.to_le_bytes()].concat();
    let module = format!(
        "(module (memory (export \"memory\") 64)
           (global $heap (mut i32) (i32.const 3000000))
           (data (i32.const 2048) \"{}\") (data (i32.const {TEXTS}) \"{}\") (data (i32.const {OUTPUTS}) \"{}\")
           (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32)
             (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
             (global.set $heap (i32.add (local.get $at) (local.get 3)))
             (local.get $at))
           (func (export \"latent:plugin/lifecycle@0.1.0#init\") (result i32) (i32.const 1024))
           (func (export \"latent:plugin/transcoding@0.1.0#plan\")
             (param i64 i32 i32 i32 i32 i64 i32 i64 i32 i32) (result i32) (i32.const 2048)))",
        escaped(&answer),
        escaped(&plan.texts),
        escaped(&plan.bytes)
    );
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("transcoder")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let component = ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
    let manifest = "id = \"test.planner\"\nversion = \"1.0.0\"\nworld = \"latent:plugin/transcoder@0.1.0\"\ntitle = \"A guest\"\n\
                    [requests]\nmemory = \"8MiB\"\n";
    let house = house();
    let loaded = house.host.load(with_manifest(component, manifest).into(), &OperatorGrant::default()).await.unwrap();
    let transcoder = loaded.transcoder().unwrap();
    (house, transcoder)
}

fn tools(change: impl FnOnce(&mut VideoConfig)) -> VideoTools {
    let mut config = VideoConfig {
        ffmpeg: "ffmpeg".into(),
        ffprobe: "ffprobe".into(),
        memory: 6 << 30,
        nice: 5,
        threads: 2,
        acceleration: Acceleration::None,
        device: "/dev/dri/renderD128".into(),
        look_limit: std::time::Duration::from_secs(30),
        transcode_limit: std::time::Duration::from_secs(60),
        seconds_per_second: 60.0,
        max_pixels: 256_000_000,
    };
    change(&mut config);
    VideoTools::find(config).unwrap()
}

fn open(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn probed(bytes: &[u8]) -> (File, VideoInfo) {
    let file = open(bytes);
    let info = tools(|_| {}).probe(&file, &Cancel::default()).unwrap();
    (file, info)
}

#[tokio::test]
async fn plans_that_cannot_be_are_refused_by_name() {
    let video = make("a.mkv", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a flac");
    let (_, info) = probed(&video);
    let number = |at: usize, some: usize, value: u32| {
        move |plan: &mut Plan| {
            plan.bytes[some] = 1;
            plan.number(at, value);
        }
    };
    let cases: Vec<(Plan, u32, &str)> = vec![
        (Plan::copy("playback", "mp4"), 10_000, "its plan has 10000 outputs; 1 can be kept"),
        (Plan::copy("../../etc/passwd", "mp4"), 1, "the name \"../../etc/passwd\" is not 1 to 32 of a to z"),
        (Plan::copy("", "mp4"), 1, "the name \"\" is not"),
        (Plan::copy("playback", "exe"), 1, "there is no container \"exe\" here; there are mp4, mov, webm"),
        (Plan::copy("playback", "webm"), 1, "\"h264\" cannot be copied into webm"),
        (
            Plan::encode("h264 -f sdl /dev/fb0"),
            1,
            "there is no video codec \"h264 -f sdl /dev/fb0\" here; there are h264",
        ),
        (Plan::encode("h264").with(|plan| plan.bytes[64] = 99), 1, "the crf is 99, which is not 0 to 51"),
        (Plan::encode("h264").with(|plan| plan.bytes[100] = 12), 1, "the bit depth is 12"),
        (Plan::encode("h264").with(|plan| plan.bytes[88] = 1), 1, "two passes need a bit rate"),
        (Plan::encode("h264").with(|plan| plan.text(92, "warp9")), 1, "there is no preset \"warp9\" here"),
        (Plan::encode("h264").with(number(44, 40, 1 << 30)), 1, "the greatest width is 1073741824"),
        (Plan::encode("h264").with(number(108, 104, 0)), 1, "the distance of key frames is 0"),
        (Plan::encode("h264").with(number(132, 128, 4_000)), 1, "the number of threads is 4000"),
        (Plan::copy("playback", "mp4").with(|plan| plan.number(16, 7)), 1, "stream 7 is no picture of this video"),
        (Plan::copy("playback", "mp4").with(|plan| plan.bytes[144] = 1), 1, "no stream for it is named"),
        (
            Plan::copy("playback", "mp4").with(number(140, 136, 1)).with(|plan| plan.bytes[144] = 1),
            1,
            "\"flac\" cannot be copied into mp4",
        ),
    ];
    for (plan, count, words) in cases {
        let (_house, transcoder) = guest(&plan, count).await;
        match transcoder.plan(&info, "mkv").await {
            Err(PluginError::Other(why)) => assert!(why.contains(words), "{why} is not {words}"),
            other => panic!("{words}: {other:?}"),
        }
    }
    // And one that can be, so that the layout above is known to be right.
    let (_house, transcoder) = guest(&Plan::encode("vp9").with(number(140, 136, 1)), 1).await;
    let plan = transcoder.plan(&info, "mkv").await.unwrap();
    let Rendering::Encode(encoding) = &plan[0].video else { panic!("{plan:?}") };
    assert_eq!(
        (encoding.codec, encoding.rate, encoding.preset),
        (VideoCodec::Vp9, VideoRate::Crf(23), Preset::Ultrafast)
    );
    assert_eq!((plan[0].audio_stream, &plan[0].audio), (Some(1), &Sound::Drop));
}

fn encoding(codec: VideoCodec) -> VideoEncoding {
    VideoEncoding {
        codec,
        at_most: None,
        rate: VideoRate::Crf(30),
        max_bit_rate: None,
        two_pass: false,
        preset: Preset::Ultrafast,
        bit_depth: 8,
        gop: Some(10),
        b_frames: Some(1),
        tone_map: None,
        threads: Some(2),
    }
}

fn output(container: Container, video: VideoEncoding, audio: AudioCodec) -> Output {
    Output {
        name: "playback".into(),
        container,
        video_stream: 0,
        video: Rendering::Encode(video),
        audio_stream: Some(1),
        audio: Sound::Encode(AudioEncoding { codec: audio, bit_rate: Some(64_000), channels: Some(1) }),
        acceleration: Demand::Auto,
    }
}

/// What is made of a video, and what is known of how.
fn made(tools: &VideoTools, video: &[u8], output: &Output) -> Result<(media::video::Made, Vec<u8>), VideoError> {
    use std::os::unix::fs::FileExt as _;
    let (input, info) = probed(video);
    output.check(&info).unwrap();
    let (into, folder) = (tempfile::tempfile().unwrap(), tempfile::tempdir().unwrap());
    let work = Transcode { input: &input, info: &info, output, into: &into, folder: folder.path() };
    let mut last = 0.0;
    let made = tools.transcode(&work, &Cancel::default(), &mut |part| last = part)?;
    assert!(last > 0.5, "it says how far it is: {last}");
    let mut bytes = vec![0; made.len as usize];
    into.read_exact_at(&mut bytes, 0).unwrap();
    Ok((made, bytes))
}

#[test]
fn every_codec_with_one_pass_and_with_two() {
    let video = make("a.mkv", "-c:v mpeg4 -q:v 3 -c:a flac");
    let tools = tools(|_| {});
    let two = |codec| VideoEncoding { rate: VideoRate::BitRate(200_000), two_pass: true, ..encoding(codec) };
    let half = |codec| VideoEncoding { at_most: Some(Size { width: 64, height: 64 }), ..encoding(codec) };
    let capped = |codec| VideoEncoding { max_bit_rate: Some(400_000), ..encoding(codec) };
    for (output, wanted) in [
        (output(Container::Mp4, two(VideoCodec::H264), AudioCodec::Mp3), "h264 yuv420p 128x96, mp3"),
        (output(Container::Mp4, two(VideoCodec::Hevc), AudioCodec::Aac), "hevc yuv420p 128x96, aac"),
        (output(Container::Webm, two(VideoCodec::Vp9), AudioCodec::Opus), "vp9 yuv420p 128x96, opus"),
        (output(Container::Mov, half(VideoCodec::H264), AudioCodec::Aac), "h264 yuv420p 64x48, aac"),
        (output(Container::Webm, capped(VideoCodec::Vp9), AudioCodec::Opus), "vp9 yuv420p 128x96, opus"),
        (output(Container::Mp4, capped(VideoCodec::Av1), AudioCodec::Opus), "av1 yuv420p 128x96, opus"),
        (output(Container::Mp4, capped(VideoCodec::H264), AudioCodec::Aac), "h264 yuv420p 128x96, aac"),
    ] {
        let (_, bytes) = made(&tools, &video, &output).unwrap_or_else(|error| panic!("{output:?}: {error}"));
        assert_eq!(codecs(&bytes), wanted);
    }
}

#[test]
fn the_light_of_hdr_stays_where_it_is_wanted() {
    let video = make(
        "hdr.mp4",
        &format!(
            "{PICTURE} -- -pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -x265-params log-level=error \
             -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc"
        ),
    );
    let deep = VideoEncoding { bit_depth: 10, ..encoding(VideoCodec::Hevc) };
    let silent =
        |video| Output { audio_stream: None, audio: Sound::Drop, ..output(Container::Mp4, video, AudioCodec::Aac) };
    let (_, bytes) = made(&tools(|_| {}), &video, &silent(deep.clone())).unwrap();
    assert_eq!(codecs(&bytes), "hevc yuv420p10le 128x96");
    assert_eq!(videos::probe(&bytes)["streams"][0]["color_transfer"], "smpte2084");
    let mapped = VideoEncoding { tone_map: Some(ToneMap::Mobius), bit_depth: 8, ..deep };
    let (_, bytes) = made(&tools(|_| {}), &video, &silent(mapped)).unwrap();
    assert_eq!(videos::probe(&bytes)["streams"][0]["color_transfer"], "bt709");
}

#[test]
fn hardware_that_is_not_there_is_done_without_unless_it_is_required() {
    let video = make("a.mkv", "-c:v mpeg4 -c:a flac");
    for acceleration in [Acceleration::Vaapi, Acceleration::Nvenc, Acceleration::Qsv] {
        let tools = tools(|config| {
            config.acceleration = acceleration;
            config.device = "/dev/dri/nothing-of-this-name".into();
        });
        let mut wanted = output(Container::Mp4, encoding(VideoCodec::H264), AudioCodec::Aac);
        let (done, bytes) = made(&tools, &video, &wanted).unwrap();
        assert_eq!(codecs(&bytes), "h264 yuv420p 128x96, aac");
        // A machine that has it does it with it.
        if done.acceleration == Acceleration::None {
            assert!(done.fallback.is_some(), "{acceleration:?}");
            wanted.acceleration = Demand::Required;
            assert!(matches!(made(&tools, &video, &wanted), Err(VideoError::Failed { .. })), "{acceleration:?}");
        }
    }
}

#[test]
fn memory_is_bounded_and_said_to_be() {
    let video = make("a.mkv", "-c:v mpeg4 -c:a flac");
    let small = tools(|config| config.memory = 24 << 20);
    let wanted = output(Container::Mp4, encoding(VideoCodec::H264), AudioCodec::Aac);
    let (input, info) = probed(&video);
    let (into, folder) = (tempfile::tempfile().unwrap(), tempfile::tempdir().unwrap());
    let work = Transcode { input: &input, info: &info, output: &wanted, into: &into, folder: folder.path() };
    let error = small.transcode(&work, &Cancel::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, VideoError::Failed { .. }), "{error}");
    let cancelled = Cancel::default();
    cancelled.cancel();
    let error = tools(|_| {}).transcode(&work, &cancelled, &mut |_| {}).unwrap_err();
    assert!(matches!(error, VideoError::Cancelled), "{error}");
}
