//! How much two pictures look alike, from their thumbhashes alone.

/// 0: the same; below 0.1 hardly anybody sees the difference; two pictures of different things are mostly above 0.5. `None`: of
/// different shapes, or no thumbhashes.
///
/// The distance between what the hashes hold: the mean colour and the few waves of a cosine transform.
pub fn thumbhash_distance(one: &[u8], other: &[u8]) -> Option<f32> {
    let (one, other) = (waves(one)?, waves(other)?);
    if one.shape != other.shape || one.heights.len() != other.heights.len() {
        return None;
    }
    let squares = one.heights.iter().zip(&other.heights).map(|(one, other)| (one - other).powi(2));
    Some(squares.sum::<f32>().sqrt())
}

struct Waves {
    /// How many there are across and down.
    shape: (usize, usize),
    /// The mean of brightness and of two colours, twice as heavy; then the waves of each.
    heights: Vec<f32>,
}

/// The format of thumbhash.js: 24 and 16 bits of header, then half a byte a wave. A hash of ours has no alpha.
fn waves(hash: &[u8]) -> Option<Waves> {
    let &[a, b, c, d, e, ref halves @ ..] = hash else { return None };
    let (head, shape) = (u32::from_le_bytes([a, b, c, 0]), u32::from_le_bytes([d, e, 0, 0]));
    if head >> 23 != 0 {
        return None;
    }
    let part = |bits: u32, at: u32, most: u32| (bits >> at & most) as f32;
    let counted = ((shape & 7) as usize).max(3);
    let shape_of = if shape >> 15 != 0 { (7, counted) } else { (counted, 7) };
    let mut heights =
        vec![part(head, 0, 63) / 63.0 * 2.0, part(head, 6, 63) / 31.5 * 2.0, part(head, 12, 63) / 31.5 * 2.0];
    let mut halves = halves.iter().flat_map(|byte| [byte & 15, byte >> 4]);
    let channels = [
        (shape_of, part(head, 18, 31) / 31.0),
        ((3, 3), part(shape, 3, 63) / 63.0 * 1.25),
        ((3, 3), part(shape, 9, 63) / 63.0 * 1.25),
    ];
    for ((across, down), scale) in channels {
        for y in 0..down {
            let first = usize::from(y == 0);
            for _ in (first..).take_while(|x| x * down < across * (down - y)) {
                heights.push((f32::from(halves.next()?) / 7.5 - 1.0) * scale);
            }
        }
    }
    Some(Waves { shape: shape_of, heights })
}
