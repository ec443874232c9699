//! The detector: pictures to boxes and landmarks.

use latent_plugin::image::{Filter, Image, TensorOptions};
use latent_plugin::inference::Model;
use latent_plugin::tensor::{Tensor, batch, nms};
use latent_plugin::{Error, Rect, Result, Size, log};

use crate::centerface::{Area, Cell, Grid, input_size};
use crate::settings::{self, Settings};

/// Cells of one picture that are looked at before overlapping ones are merged.
const CANDIDATES: u32 = 2_000;
/// Pictures of one run at most: the maps and the network's own memory grow with it.
const BATCH: usize = 8;

/// A face as the detector sees it.
pub struct Found {
    /// In fractions of the picture; may reach beyond it.
    pub area: Area,
    pub score: f32,
    /// Left eye, right eye, nose, left and right corner of the mouth, as seen; in fractions of the picture.
    pub landmarks: [[f32; 2]; 5],
}

/// An open detector.
pub struct Detector {
    model: Model,
    input: String,
    outputs: Outputs,
    long_side: u32,
    multiple: u32,
    stride: u32,
    score: f32,
    nms: f32,
    min_size: f32,
    max_faces: usize,
    mean: [f32; 3],
    scale: [f32; 3],
}

struct Outputs {
    heatmap: String,
    size: String,
    offset: String,
    landmarks: String,
}

struct Candidate {
    cell: Cell,
    score: f32,
    area: Area,
}

impl Detector {
    /// The model behind the label `detector`, with the operator's settings over its own.
    pub fn open(settings: &Settings) -> Result<Self> {
        let model = Model::open("detector")?;
        let own: settings::Detector = model.settings()?;
        if own.kind != "centerface" {
            return Err(Error::Unsupported(format!(
                "a detector of the kind {:?}; this plugin reads centerface",
                own.kind
            )));
        }
        if own.stride == 0 || !own.multiple.is_multiple_of(own.stride) {
            return Err(Error::Invalid(format!("a detector with stride {} and multiple {}", own.stride, own.multiple)));
        }
        let name = |flat: &Option<String>, table: &Option<String>, place| {
            model.output_name(flat.as_deref().or(table.as_deref()), place)
        };
        let outputs = Outputs {
            heatmap: name(&own.heatmap, &own.outputs.heatmap, 0)?,
            size: name(&own.size, &own.outputs.size, 1)?,
            offset: name(&own.offset, &own.outputs.offset, 2)?,
            landmarks: name(&own.landmarks, &own.outputs.landmarks, 3)?,
        };
        Ok(Self {
            input: model.input_name(None, 0)?,
            outputs,
            long_side: settings.long_side.unwrap_or(own.long_side).clamp(own.multiple, 4_096),
            multiple: own.multiple,
            stride: own.stride,
            score: settings.score.unwrap_or(own.threshold),
            nms: own.nms,
            min_size: settings.min_size,
            max_faces: settings.max_faces as usize,
            mean: own.mean.each(),
            scale: own.scale.each(),
            model,
        })
    }

    /// Changes when the weights change.
    pub fn revision(&self) -> String {
        self.model.revision()
    }

    /// The faces of each picture, surest first. Pictures that become one size go through the model together.
    pub fn find(&self, images: &[Image]) -> Vec<Result<Vec<Found>>> {
        let sizes: Vec<_> = images.iter().map(|image| self.input_size(image.size())).collect();
        let mut found: Vec<Option<Result<Vec<Found>>>> = images.iter().map(|_| None).collect();
        for at in 0..images.len() {
            if found[at].is_some() {
                continue;
            }
            let alike = (at..images.len()).filter(|other| found[*other].is_none() && sizes[*other] == sizes[at]);
            let group: Vec<usize> = alike.take(BATCH).collect();
            let pictures: Vec<&Image> = group.iter().map(|index| &images[*index]).collect();
            for (index, result) in group.iter().zip(self.find_alike(&pictures, sizes[at])) {
                found[*index] = Some(result);
            }
        }
        found.into_iter().map(|result| result.unwrap_or_else(|| Err(Error::other("a picture was left out")))).collect()
    }

    fn input_size(&self, size: Size) -> (u32, u32) {
        input_size(size.width, size.height, self.long_side, self.multiple)
    }

    /// A batch that fails as a whole is tried one by one, so that one bad picture fails alone.
    fn find_alike(&self, images: &[&Image], size: (u32, u32)) -> Vec<Result<Vec<Found>>> {
        let together = images.iter().map(|image| self.tensor(image, size)).collect::<Result<Vec<_>>>();
        let error = match together.and_then(|tensors| self.run(&tensors, size)) {
            Ok(found) => return found.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if images.len() == 1 {
            return vec![Err(error)];
        }
        log::debug("A batch failed, its pictures follow one by one", &[("error", error.to_string())]);
        images.iter().flat_map(|image| self.find_alike(&[image], size)).collect()
    }

    fn tensor(&self, image: &Image, (width, height): (u32, u32)) -> Result<Tensor> {
        let small = image.stretch(Size { width, height }, Filter::Bilinear)?;
        small.to_tensor(TensorOptions::rgb_planes(self.mean, self.scale))
    }

    fn run(&self, tensors: &[Tensor], (width, height): (u32, u32)) -> Result<Vec<Vec<Found>>> {
        let input = batch(tensors, &[3, height, width])?;
        let mut maps = self.model.run(&[(&self.input, &input)])?;
        let grid = Grid::of(width, height, self.stride);
        let heatmap = maps.take(&self.outputs.heatmap)?;
        let expected = tensors.len() as u32 * grid.width * grid.height;
        if heatmap.shape().iter().product::<u32>() != expected {
            return Err(Error::Unsupported(format!(
                "a heatmap of {:?} for {width} x {height} pixels",
                heatmap.shape()
            )));
        }
        let peaks = heatmap.above(self.score, CANDIDATES * tensors.len() as u32)?;
        let (size, offset) = (maps.take(&self.outputs.size)?, maps.take(&self.outputs.offset)?);
        let candidates = self.candidates(grid, &peaks, &size, &offset, width as f32 / height as f32)?;
        let kept = self.merge(candidates, tensors.len());
        landmarks(grid, kept, &maps.take(&self.outputs.landmarks)?)
    }

    /// The boxes at the peaks: only their few values leave the host.
    fn candidates(
        &self,
        grid: Grid,
        peaks: &[(u32, f32)],
        size: &Tensor,
        offset: &Tensor,
        aspect: f32,
    ) -> Result<Vec<Candidate>> {
        let cells: Vec<Cell> = peaks.iter().map(|(flat, _)| grid.cell(*flat)).collect();
        let pairs: Vec<u32> = cells.iter().flat_map(|cell| grid.indices(*cell, 2)).collect();
        let (sizes, offsets) = (size.pick(&pairs)?, offset.pick(&pairs)?);
        let values = sizes.chunks_exact(2).zip(offsets.chunks_exact(2));
        Ok(cells
            .iter()
            .zip(peaks)
            .zip(values)
            .map(|((cell, (_, score)), (size, offset))| Candidate {
                cell: *cell,
                score: *score,
                area: grid.area(*cell, [size[0], size[1]], [offset[0], offset[1]]),
            })
            .filter(|candidate| candidate.area.clamped().is_usable() && self.is_large_enough(candidate.area, aspect))
            .collect())
    }

    /// `aspect`: the picture's width over its height.
    fn is_large_enough(&self, area: Area, aspect: f32) -> bool {
        let (width, height) =
            if aspect >= 1.0 { (area.width, area.height / aspect) } else { (area.width * aspect, area.height) };
        width.max(height) >= self.min_size
    }

    /// For each picture, the best of those that overlap.
    fn merge(&self, candidates: Vec<Candidate>, pictures: usize) -> Vec<Vec<Candidate>> {
        let mut by_picture: Vec<Vec<Candidate>> = (0..pictures).map(|_| Vec::new()).collect();
        for candidate in candidates {
            if let Some(picture) = by_picture.get_mut(candidate.cell.picture as usize) {
                picture.push(candidate);
            }
        }
        by_picture.into_iter().map(|candidates| self.best(candidates)).collect()
    }

    fn best(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        if candidates.len() < 2 {
            return candidates;
        }
        let boxes: Vec<Rect> = candidates.iter().map(|candidate| crate::rect(candidate.area)).collect();
        let scores: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
        let mut candidates: Vec<Option<Candidate>> = candidates.into_iter().map(Some).collect();
        let kept = nms(&boxes, &scores, self.nms).into_iter().take(self.max_faces);
        kept.filter_map(|index| candidates.get_mut(index).and_then(Option::take)).collect()
    }
}

/// Reads the landmarks of the faces that are left.
fn landmarks(grid: Grid, kept: Vec<Vec<Candidate>>, map: &Tensor) -> Result<Vec<Vec<Found>>> {
    let indices: Vec<u32> = kept.iter().flatten().flat_map(|face| grid.indices(face.cell, 10)).collect();
    let values = map.pick(&indices)?;
    let mut values = values.as_chunks::<10>().0.iter();
    Ok(kept
        .into_iter()
        .map(|faces| {
            let with_values = faces.into_iter().zip(values.by_ref());
            with_values
                .map(|(face, values)| Found {
                    area: face.area,
                    score: face.score,
                    landmarks: face.area.landmarks(values),
                })
                .collect()
        })
        .collect())
}
