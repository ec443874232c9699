//! Where a face has to be taken from so that its eyes, nose and mouth lie where the embedder learnt them.

/// ArcFace's five points in a face of 112 x 112 pixels: left eye, right eye, nose, left and right corner of the mouth, as seen.
pub const ARCFACE: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// A turn, a scale and a shift of the plane: `(x, y) -> (a x - b y + dx, b x + a y + dy)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    a: f32,
    b: f32,
    dx: f32,
    dy: f32,
}

impl Similarity {
    /// The one that brings `from` nearest to `to`, by least squares (Umeyama 1991, in closed form for the plane, and
    /// without mirroring: a mirrored face would be somebody else). None where the points of `from` are one point.
    pub fn between(from: &[[f32; 2]; 5], to: &[[f32; 2]; 5]) -> Option<Self> {
        let ([from_x, from_y], [to_x, to_y]) = (centre(from), centre(to));
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for ([x, y], [u, v]) in from.iter().zip(to) {
            let (x, y, u, v) = (x - from_x, y - from_y, u - to_x, v - to_y);
            along += x * u + y * v;
            across += x * v - y * u;
            spread += x * x + y * y;
        }
        let (a, b) = (along / spread, across / spread);
        let this = Self { a, b, dx: to_x - a * from_x + b * from_y, dy: to_y - b * from_x - a * from_y };
        (spread > 0.0 && this.is_usable()).then_some(this)
    }

    /// The way back.
    pub fn inverse(self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, dx: b * self.dy - a * self.dx, dy: -b * self.dx - a * self.dy }
    }

    /// How much longer a line becomes.
    pub fn scale(self) -> f32 {
        self.a.hypot(self.b)
    }

    /// The same map into a plane that is `factor` times as large.
    #[must_use]
    pub fn scaled(self, factor: f32) -> Self {
        Self { a: self.a * factor, b: self.b * factor, dx: self.dx * factor, dy: self.dy * factor }
    }

    /// Row by row, as `image.warp` takes it.
    pub fn matrix(self) -> (f32, f32, f32, f32, f32, f32) {
        (self.a, -self.b, self.dx, self.b, self.a, self.dy)
    }

    fn is_usable(self) -> bool {
        self.scale() > 1e-6 && [self.a, self.b, self.dx, self.dy].iter().all(|value| value.is_finite())
    }
}

fn centre(points: &[[f32; 2]; 5]) -> [f32; 2] {
    let sum = points.iter().fold([0.0, 0.0], |sum, point| [sum[0] + point[0], sum[1] + point[1]]);
    sum.map(|value| value / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(map: Similarity, [x, y]: [f32; 2]) -> [f32; 2] {
        let (m0, m1, m2, m3, m4, m5) = map.matrix();
        [m0 * x + m1 * y + m2, m3 * x + m4 * y + m5]
    }

    fn close(got: [f32; 2], expected: [f32; 2]) {
        let near = got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 0.01);
        assert!(near, "{got:?} is not {expected:?}");
    }

    #[test]
    fn a_turned_and_enlarged_face_is_found_again() {
        let (sin, cos) = 0.6_f32.sin_cos();
        let face = ARCFACE.map(|[x, y]| [3.0 * (cos * x - sin * y) + 400.0, 3.0 * (sin * x + cos * y) - 20.0]);
        let map = Similarity::between(&face, &ARCFACE).unwrap();
        assert!((map.scale() - 1.0 / 3.0).abs() < 1e-4);
        for (face, template) in face.iter().zip(ARCFACE) {
            close(apply(map, *face), template);
            close(apply(map.inverse(), template), *face);
            close(apply(map.inverse().scaled(0.5), template), face.map(|value| value / 2.0));
        }
    }

    #[test]
    fn noise_moves_the_map_by_least_squares() {
        // The residuals of a least-squares fit sum to nothing.
        let mut face = ARCFACE;
        face[2][0] += 8.0;
        face[4][1] -= 5.0;
        let map = Similarity::between(&face, &ARCFACE).unwrap();
        let mut sum = [0.0, 0.0];
        for (face, template) in face.iter().zip(ARCFACE) {
            let there = apply(map, *face);
            sum = [sum[0] + there[0] - template[0], sum[1] + there[1] - template[1]];
        }
        close(sum, [0.0, 0.0]);
    }

    #[test]
    fn a_mirrored_face_is_turned_but_not_mirrored() {
        let mirrored = ARCFACE.map(|[x, y]| [112.0 - x, y]);
        let (m0, m1, _, m3, m4, _) = Similarity::between(&mirrored, &ARCFACE).unwrap().matrix();
        assert!(m0 * m4 - m1 * m3 > 0.0);
    }

    #[test]
    fn landmarks_in_one_point_give_nothing() {
        assert_eq!(Similarity::between(&[[5.0, 5.0]; 5], &ARCFACE), None);
        assert_eq!(Similarity::between(&[[f32::NAN, 5.0]; 5], &ARCFACE), None);
    }
}
