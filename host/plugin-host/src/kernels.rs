//! The loops that would be a guest's hot ones, done natively. Public, so that a bench can do the same without a guest.

use std::cmp::Ordering;

/// A side of a tensor: 1 GiB of f32 along one axis is more than any model takes.
pub const LONGEST_SIDE: u32 = 1 << 28;

/// A tensor seen along one axis: `outer` times `len` values, each `inner` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    pub outer: usize,
    pub len: usize,
    pub inner: usize,
}

impl Axis {
    /// `None`: the shape has no such axis, or cannot be counted.
    pub fn of(shape: &[u32], axis: u32) -> Option<Self> {
        product(shape)?;
        let axis = usize::try_from(axis).ok()?;
        let len = *shape.get(axis)? as usize;
        Some(Self { outer: product(&shape[..axis])?, len, inner: product(&shape[axis + 1..])? })
    }
}

/// Values in a shape. `None`: a side that is too long, or more values than an address, the sides of no length left out. So the
/// product of any of the sides is a number too, and a loop over an empty tensor's other axes never runs for years.
pub fn product(shape: &[u32]) -> Option<usize> {
    if shape.iter().any(|side| *side > LONGEST_SIDE) {
        return None;
    }
    let long = shape.iter().filter(|side| **side > 0);
    let product = long.clone().try_fold(1_usize, |product, side| product.checked_mul(*side as usize))?;
    Some(if long.count() == shape.len() { product } else { 0 })
}

/// Divides by the length along an axis; a vector without a direction stays as it is.
pub fn l2_normalize(values: &mut [f32], axis: Axis) {
    along(values, axis, |line| {
        let length = line.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if length.is_finite() && length > f64::from(f32::MIN_POSITIVE) {
            line.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
    });
}

/// Shares that sum up to one along an axis.
pub fn softmax(values: &mut [f32], axis: Axis) {
    along(values, axis, |line| {
        let greatest = line.iter().fold(f32::NEG_INFINITY, |greatest, value| greatest.max(*value));
        // All of them minus infinity: no share is greater than another.
        let base = if greatest.is_finite() { greatest } else { 0.0 };
        line.iter_mut().for_each(|value| *value = (*value - base).exp());
        let sum: f32 = line.iter().sum();
        if sum > 0.0 {
            line.iter_mut().for_each(|value| *value /= sum);
        }
    });
}

fn along(values: &mut [f32], axis: Axis, mut each: impl FnMut(&mut [f32])) {
    let Some(block_len) = axis.len.checked_mul(axis.inner).filter(|len| *len > 0 && *len <= values.len()) else {
        return;
    };
    if axis.inner == 1 {
        return values.chunks_exact_mut(block_len).for_each(each);
    }
    let mut line = vec![0.0; axis.len];
    for block in values.chunks_exact_mut(block_len) {
        for inner in 0..axis.inner {
            let of = |at: usize| at * axis.inner + inner;
            line.iter_mut().enumerate().for_each(|(at, value)| *value = block[of(at)]);
            each(&mut line);
            line.iter().enumerate().for_each(|(at, value)| block[of(at)] = *value);
        }
    }
}

/// Flat indices of the values that are at least `min`, greatest first, at most `max`. What is not a number is not above.
pub fn above(values: &[f32], min: f32, max: usize) -> Vec<(u32, f32)> {
    above_of(values.iter().copied(), min, max)
}

/// The same of values that come one by one. Never holds more than twice `max`.
pub fn above_of(values: impl Iterator<Item = f32>, min: f32, max: usize) -> Vec<(u32, f32)> {
    let greatest = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let mut found: Vec<(u32, f32)> = Vec::new();
    if max == 0 {
        return found;
    }
    for (at, value) in (0_u32..).zip(values).filter(|(_, value)| *value >= min) {
        found.push((at, value));
        if found.len() == max.saturating_mul(2) {
            found.select_nth_unstable_by(max - 1, greatest);
            found.truncate(max);
        }
    }
    found.sort_unstable_by(greatest);
    found.truncate(max);
    found
}

/// Picks `indices` along an axis; all are below its length.
pub fn gather<T: Copy>(values: &[T], axis: Axis, indices: &[u32]) -> Vec<T> {
    if values.is_empty() || indices.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(axis.outer * indices.len() * axis.inner);
    for outer in 0..axis.outer {
        for index in indices {
            let at = (outer * axis.len + *index as usize) * axis.inner;
            out.extend_from_slice(&values[at..at + axis.inner]);
        }
    }
    out
}

/// A box: left, top, width, height.
pub type Box = [f32; 4];

/// Indices of the boxes to keep, best first: none overlaps a better one by more than `iou`. Boxes and scores that are not numbers,
/// and boxes without an area, are not kept.
pub fn nms(boxes: &[Box], scores: &[f32], iou: f32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..boxes.len().min(scores.len()))
        .filter(|&at| {
            scores[at].is_finite() && boxes[at].iter().all(|value| value.is_finite()) && area(&boxes[at]) > 0.0
        })
        .collect();
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap_or(Ordering::Equal).then(a.cmp(&b)));
    let mut kept: Vec<usize> = Vec::new();
    for at in order {
        if kept.iter().all(|&better| overlap(&boxes[better], &boxes[at]) <= iou) {
            kept.push(at);
        }
    }
    kept.into_iter().filter_map(|at| u32::try_from(at).ok()).collect()
}

fn area(of: &Box) -> f32 {
    of[2].max(0.0) * of[3].max(0.0)
}

fn overlap(a: &Box, b: &Box) -> f32 {
    let side = |at: usize| ((a[at] + a[at + 2]).min(b[at] + b[at + 2]) - a[at].max(b[at])).max(0.0);
    let both = side(0) * side(1);
    let either = area(a) + area(b) - both;
    if either > 0.0 { both / either } else { 0.0 }
}
