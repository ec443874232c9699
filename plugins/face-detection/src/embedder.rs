//! The embedder: aligned faces to unit vectors.

use latent_plugin::image::{Filter, Image, TensorOptions};
use latent_plugin::inference::Model;
use latent_plugin::tensor::{Tensor, batch};
use latent_plugin::{Error, Result, Size, log};

use crate::align::{ARCFACE, Similarity};
use crate::detector::Found;
use crate::settings::{self, Settings};

/// Faces of one run at most.
const BATCH: usize = 16;

/// An open embedder.
pub struct Embedder {
    model: Model,
    input: String,
    output: String,
    /// Side of an aligned face, in pixels.
    size: u32,
    template: [[f32; 2]; 5],
    mean: [f32; 3],
    scale: [f32; 3],
    /// Length of a vector.
    pub dimensions: u32,
    /// Cosine similarity from which two faces are one person's.
    pub same_person: f32,
}

impl Embedder {
    /// The model behind the label `embedder`, with the operator's settings over its own.
    pub fn open(settings: &Settings) -> Result<Self> {
        let model = Model::open("embedder")?;
        let own: settings::Embedder = model.settings()?;
        if own.distance != "cosine" {
            return Err(Error::Unsupported(format!(
                "an embedder compared by {}; faces are compared by cosine",
                own.distance
            )));
        }
        let output = model.output_name(own.output.as_deref(), 0)?;
        let port = model.outputs().into_iter().find(|port| port.name == output);
        let dimensions = port.and_then(|port| port.shape.last().copied().flatten()).or(own.dimensions);
        let scale = own.size as f32 / 112.0;
        Ok(Self {
            input: model.input_name(None, 0)?,
            output,
            size: own.size,
            template: own.template.unwrap_or(ARCFACE.map(|point| point.map(|value| value * scale))),
            mean: own.mean.each(),
            scale: own.scale.each(),
            dimensions: dimensions
                .ok_or_else(|| Error::invalid("neither the embedder nor its manifest says its dimensions"))?,
            same_person: settings.same_person.unwrap_or(own.same),
            model,
        })
    }

    /// Changes when the weights change.
    pub fn revision(&self) -> String {
        self.model.revision()
    }

    /// The face, upright and of the embedder's size, as a tensor that no one but the model reads.
    pub fn align(&self, source: &mut Source<'_>, face: &Found) -> Result<Tensor> {
        let landmarks = face.landmarks.map(|point| source.pixels(point));
        let to_chip = Similarity::between(&landmarks, &self.template)
            .or_else(|| Similarity::between(&source.corners(face), &self.corners()))
            .ok_or_else(|| Error::other("a face without extent"))?;
        let from_chip = to_chip.inverse();
        let (image, shrunk) = source.at(from_chip.scale())?;
        let chip = image.warp(from_chip.scaled(shrunk).matrix(), Size { width: self.size, height: self.size })?;
        chip.to_tensor(TensorOptions::rgb_planes(self.mean, self.scale))
    }

    /// A unit vector for each aligned face, in order, as [1, dimensions]. A batch that fails as a whole is tried one by one.
    pub fn embed(&self, mut chips: Vec<Tensor>) -> Vec<Result<Tensor>> {
        let mut rows = Vec::with_capacity(chips.len());
        while !chips.is_empty() {
            let rest = chips.split_off(chips.len().min(BATCH));
            rows.extend(self.embed_batch(&chips));
            // Handles are few: a batch's are given back before the next.
            chips = rest;
        }
        rows
    }

    /// The rows of one picture's faces as one tensor; `None` of none.
    pub fn together(&self, rows: &[Tensor]) -> Result<Option<Tensor>> {
        if rows.is_empty() { Ok(None) } else { batch(rows, &[self.dimensions]).map(Some) }
    }

    fn embed_batch(&self, chips: &[Tensor]) -> Vec<Result<Tensor>> {
        match self.run(chips) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) if chips.len() == 1 => vec![Err(error)],
            Err(error) => {
                log::debug("A batch failed, its faces follow one by one", &[("error", error.to_string())]);
                chips.chunks(1).flat_map(|chip| self.embed_batch(chip)).collect()
            }
        }
    }

    fn run(&self, chips: &[Tensor]) -> Result<Vec<Tensor>> {
        let input = batch(chips, &[3, self.size, self.size])?;
        let vectors = self.model.run(&[(&self.input, &input)])?.take(&self.output)?;
        let count = chips.len() as u32;
        let vectors = vectors.reshape(&[count, self.dimensions])?.l2_normalize(1)?;
        match count {
            1 => Ok(vec![vectors]),
            _ => (0..count).map(|row| vectors.gather(0, &[row])).collect(),
        }
    }

    /// Four corners and the centre of the aligned face: for a face whose landmarks say nothing.
    fn corners(&self) -> [[f32; 2]; 5] {
        let side = self.size as f32;
        [[0.0, 0.0], [side, 0.0], [side / 2.0, side / 2.0], [0.0, side], [side, side]]
    }
}

/// A picture that faces are taken from, with its smaller copies: the warp takes single pixels, so a large face would be
/// taken from too few of them.
pub struct Source<'a> {
    image: &'a Image,
    size: Size,
    /// Half the size, a quarter, ...
    smaller: Vec<Image>,
}

impl<'a> Source<'a> {
    pub fn new(image: &'a Image) -> Self {
        Self { image, size: image.size(), smaller: Vec::new() }
    }

    /// A point in fractions, in pixels.
    fn pixels(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x * self.size.width as f32, y * self.size.height as f32]
    }

    /// The corners of a square around the face, and its centre.
    fn corners(&self, face: &Found) -> [[f32; 2]; 5] {
        let [left, top] = self.pixels([face.area.x, face.area.y]);
        let [width, height] = self.pixels([face.area.width, face.area.height]);
        let (x, y, half) = (left + width / 2.0, top + height / 2.0, width.max(height) / 2.0);
        [[x - half, y - half], [x + half, y - half], [x, y], [x - half, y + half], [x + half, y + half]]
    }

    /// The copy for a map that takes one pixel out of `step`, and how much smaller it is.
    fn at(&mut self, step: f32) -> Result<(&Image, f32)> {
        let levels = (step.max(1.0).log2().floor() as usize).min(4);
        while self.smaller.len() < levels {
            let last = self.smaller.last().unwrap_or(self.image);
            let size = last.size();
            let half = Size { width: (size.width / 2).max(1), height: (size.height / 2).max(1) };
            self.smaller.push(last.stretch(half, Filter::Bilinear)?);
        }
        match levels.checked_sub(1).and_then(|level| self.smaller.get(level)) {
            Some(image) => Ok((image, image.size().width as f32 / self.size.width as f32)),
            None => Ok((self.image, 1.0)),
        }
    }
}
