//! What plugins find: values without authority.

use serde::{Deserialize, Serialize};

/// Pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

/// In fractions of the upright image, 0.0 to 1.0, so that it survives a resize.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

/// In fractions of the upright image, 0.0 to 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// A face that a plugin found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectedFace {
    pub area: Rect,
    /// 0.0 to 1.0.
    pub score: f32,
    /// Left eye, right eye, nose, left and right corner of the mouth, as seen; or empty.
    pub landmarks: Vec<Point>,
    /// Unit length; its dimensions are those of the plugin's space.
    pub embedding: Vec<f32>,
}
