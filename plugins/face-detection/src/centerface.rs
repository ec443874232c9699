//! Reads CenterFace's maps: a heatmap of centres, and at each centre the size, the offset and five landmarks.

/// Cells of the maps for a batch of pictures of one size.
#[derive(Clone, Copy)]
pub struct Grid {
    /// Of the heatmap, in cells.
    pub width: u32,
    pub height: u32,
    /// Pixels of the detector's input for one cell.
    pub stride: u32,
}

/// A place in the heatmap of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Which picture of the batch.
    pub picture: u32,
    pub column: u32,
    pub row: u32,
}

/// A box in fractions of the picture, not yet cut at its edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

impl Grid {
    /// The maps of a picture of so many pixels.
    pub fn of(width: u32, height: u32, stride: u32) -> Self {
        Self { width: width / stride, height: height / stride, stride }
    }

    /// The cell behind a flat index of the heatmap.
    pub fn cell(self, flat: u32) -> Cell {
        let plane = self.width * self.height;
        Cell { picture: flat / plane, row: flat % plane / self.width, column: flat % self.width }
    }

    /// Flat indices of one cell's values in a map of so many channels.
    pub fn indices(self, cell: Cell, channels: u32) -> impl Iterator<Item = u32> {
        let plane = self.width * self.height;
        let first = cell.picture * channels * plane + cell.row * self.width + cell.column;
        (0..channels).map(move |channel| first + channel * plane)
    }

    /// `size`: logarithms of height and width in cells; `offset`: down and right, in cells.
    pub fn area(self, cell: Cell, size: [f32; 2], offset: [f32; 2]) -> Area {
        let (height, width) = (size[0].exp(), size[1].exp());
        let x = cell.column as f32 + offset[1] + 0.5 - width / 2.0;
        let y = cell.row as f32 + offset[0] + 0.5 - height / 2.0;
        let (across, down) = (self.width as f32, self.height as f32);
        Area { x: x / across, y: y / down, width: width / across, height: height / down }
    }
}

impl Area {
    /// Down and right from the corner, in boxes: five pairs. In fractions of the picture.
    pub fn landmarks(self, values: &[f32; 10]) -> [[f32; 2]; 5] {
        std::array::from_fn(|point| {
            [self.x + values[2 * point + 1] * self.width, self.y + values[2 * point] * self.height]
        })
    }

    /// What of it lies in the picture.
    #[must_use]
    pub fn clamped(self) -> Self {
        let (left, top) = (self.x.clamp(0.0, 1.0), self.y.clamp(0.0, 1.0));
        let right = (self.x + self.width).clamp(left, 1.0);
        let bottom = (self.y + self.height).clamp(top, 1.0);
        Self { x: left, y: top, width: right - left, height: bottom - top }
    }

    /// False for what an untrained corner of the maps may hold.
    pub fn is_usable(self) -> bool {
        [self.x, self.y, self.width, self.height].iter().all(|value| value.is_finite())
            && self.width > 0.0
            && self.height > 0.0
    }
}

/// Size of what the detector sees: the longer side at most `long_side`, both sides multiples of `multiple`, never enlarged
/// by more than that rounding.
pub fn input_size(width: u32, height: u32, long_side: u32, multiple: u32) -> (u32, u32) {
    let multiple = multiple.max(1);
    let scale = (long_side as f32 / width.max(height).max(1) as f32).min(1.0);
    let side = |length: u32| ((length as f32 * scale / multiple as f32).round() as u32).max(1) * multiple;
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_multiples_and_keep_the_proportions() {
        assert_eq!(input_size(1920, 1440, 640, 32), (640, 480));
        assert_eq!(input_size(1440, 2160, 640, 32), (416, 640));
        assert_eq!(input_size(100, 80, 640, 32), (96, 96));
        assert_eq!(input_size(30_000, 20, 640, 32), (640, 32));
        assert_eq!(input_size(1, 1, 640, 32), (32, 32));
    }

    #[test]
    fn a_flat_index_leads_to_its_cell_and_back() {
        let grid = Grid::of(64, 32, 4);
        let cell = grid.cell(2 * 128 + 3 * 16 + 5);
        assert_eq!(cell, Cell { picture: 2, column: 5, row: 3 });
        assert_eq!(grid.indices(cell, 1).collect::<Vec<_>>(), [2 * 128 + 53]);
        assert_eq!(grid.indices(cell, 2).collect::<Vec<_>>(), [4 * 128 + 53, 5 * 128 + 53]);
    }

    #[test]
    fn a_box_and_its_landmarks_come_out_of_the_maps() {
        // The published formula in pixels: h = exp(size[0]) * 4, x1 = (column + offset[1] + 0.5) * 4 - w / 2, ...
        let grid = Grid::of(160, 80, 4);
        let cell = Cell { picture: 0, column: 20, row: 10 };
        let area = grid.area(cell, [10.0_f32.ln(), 8.0_f32.ln()], [0.25, -0.5]);
        let expected =
            Area { x: (80.0 - 16.0) / 160.0, y: (43.0 - 20.0) / 80.0, width: 32.0 / 160.0, height: 40.0 / 80.0 };
        for (got, expected) in
            [(area.x, expected.x), (area.y, expected.y), (area.width, expected.width), (area.height, expected.height)]
        {
            assert!((got - expected).abs() < 1e-5, "{area:?}");
        }
        let landmarks = area.landmarks(&[0.5, 0.25, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert!((landmarks[0][0] - 72.0 / 160.0).abs() < 1e-5 && (landmarks[0][1] - 43.0 / 80.0).abs() < 1e-5);
        assert!((landmarks[1][0] - 96.0 / 160.0).abs() < 1e-5 && (landmarks[1][1] - 23.0 / 80.0).abs() < 1e-5);
    }

    #[test]
    fn a_box_is_cut_at_the_edges_and_nonsense_is_refused() {
        let area = Area { x: -0.1, y: 0.9, width: 0.3, height: 0.3 }.clamped();
        assert!((area.x, area.y) == (0.0, 0.9) && (area.width - 0.2).abs() < 1e-6 && (area.height - 0.1).abs() < 1e-6);
        assert!(!Area { x: 0.0, y: 0.0, width: f32::INFINITY, height: 1.0 }.is_usable());
        assert!(!Area { x: 2.0, y: 0.0, width: 0.1, height: 0.1 }.clamped().is_usable());
    }
}
