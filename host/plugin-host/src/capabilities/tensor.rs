//! `tensor`: numbers behind handles, and the kernels on them.

use std::sync::Arc;

use inference::{Tensor, TensorData};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::lent::latent::plugin::tensor as wit;
use crate::bindings::lent::latent::plugin::types::{Dtype, Error, Rect};
use crate::held::HeldTensor;
use crate::instance::{Answer, HostState};
use crate::kernels::{self, Axis};

/// Axes of a tensor.
const MOST_AXES: usize = 8;
/// Parts of a stack.
const MOST_PARTS: usize = 1_024;
/// Values that `above` lists.
const MOST_ABOVE: u32 = 65_536;
/// Boxes of one suppression, which compares them two by two.
const MOST_BOXES: usize = 20_000;

impl wit::Host for HostState {
    async fn stack(&mut self, parts: Vec<Resource<HeldTensor>>) -> Answer<Resource<HeldTensor>> {
        if parts.len() > MOST_PARTS {
            return Ok(Err(Error::Limit(format!("{} parts; {MOST_PARTS} are stacked at most", parts.len()))));
        }
        let parts: Vec<HeldTensor> = parts.iter().map(|part| Ok(self.held(part)?.clone())).collect::<Result<_>>()?;
        let shape = match stacked(&parts) {
            Ok(shape) => shape,
            Err(why) => return Ok(Err(Error::Invalid(why))),
        };
        if let [only] = &parts[..] {
            return self.hold(only.clone());
        }
        let opaque = parts.iter().any(|part| part.opaque);
        self.derive(opaque, shape, parts[0].tensor.dtype().size(), move || {
            let tensors: Vec<&TensorData> = parts.iter().map(|part| &part.tensor.data).collect();
            join(&tensors)
        })
        .await
    }

    async fn nms(&mut self, boxes: Vec<Rect>, scores: Vec<f32>, iou: f32) -> Result<Vec<u32>> {
        if boxes.len() != scores.len() || boxes.len() > MOST_BOXES {
            let (boxes, scores) = (boxes.len(), scores.len());
            wasmtime::bail!("nms of {boxes} boxes and {scores} scores: it takes as many of both, at most {MOST_BOXES}");
        }
        let cost = boxes.len() as u64 * boxes.len() as u64 / 16;
        let given = boxes.len() as u64 * 20;
        let boxes: Vec<kernels::Box> = boxes.iter().map(|rect| [rect.x, rect.y, rect.width, rect.height]).collect();
        let kept = self.work(cost, move || kernels::nms(&boxes, &scores, iou)).await?;
        self.crossed(false, given + kept.len() as u64 * 4);
        Ok(kept)
    }
}

impl wit::HostTensor for HostState {
    async fn shape(&mut self, this: Resource<HeldTensor>) -> Result<Vec<u32>> {
        Ok(self.held(&this)?.tensor.shape.clone())
    }

    async fn dtype(&mut self, this: Resource<HeldTensor>) -> Result<Dtype> {
        Ok(dtype(self.held(&this)?.tensor.dtype()))
    }

    async fn reshape(&mut self, this: Resource<HeldTensor>, shape: Vec<u32>) -> Answer<Resource<HeldTensor>> {
        let held = self.held(&this)?;
        if shape.len() > MOST_AXES || kernels::product(&shape) != Some(held.tensor.len()) {
            let why = format!("{} values do not fill the shape {}", held.tensor.len(), text(&shape));
            return Ok(Err(Error::Invalid(why)));
        }
        let reshaped = held.reshaped(shape);
        self.hold(reshaped)
    }

    async fn l2_normalize(&mut self, this: Resource<HeldTensor>, axis: u32) -> Answer<Resource<HeldTensor>> {
        self.map(&this, axis, kernels::l2_normalize).await
    }

    async fn softmax(&mut self, this: Resource<HeldTensor>, axis: u32) -> Answer<Resource<HeldTensor>> {
        self.map(&this, axis, kernels::softmax).await
    }

    async fn above(&mut self, this: Resource<HeldTensor>, min: f32, max: u32) -> Answer<Vec<(u32, f32)>> {
        let held = self.held(&this)?.clone();
        if let Err(error) = self.readable(&held) {
            return Ok(Err(error));
        }
        if min.is_nan() || max > MOST_ABOVE {
            return Ok(Err(Error::Invalid(format!("above {min}, at most {max}: a number, and {MOST_ABOVE} at most"))));
        }
        let (cost, opaque) = (held.tensor.len() as u64, held.opaque);
        let found = self.work(cost, move || above(&held.tensor.data, min, max as usize)).await?;
        self.crossed(opaque, found.len() as u64 * 8);
        Ok(Ok(found))
    }

    async fn gather(
        &mut self,
        this: Resource<HeldTensor>,
        axis: u32,
        indices: Vec<u32>,
    ) -> Answer<Resource<HeldTensor>> {
        let held = self.held(&this)?.clone();
        let Some(along) = Axis::of(&held.tensor.shape, axis) else {
            return Ok(Err(no_axis(axis, &held.tensor.shape)));
        };
        if let Some(index) = indices.iter().find(|index| **index as usize >= along.len) {
            return Ok(Err(Error::Invalid(format!("index {index} on an axis of {}", along.len))));
        }
        self.crossed(false, indices.len() as u64 * 4);
        let mut shape = held.tensor.shape.clone();
        shape[axis as usize] = u32::try_from(indices.len()).unwrap_or(u32::MAX);
        let size = held.tensor.dtype().size();
        self.derive(held.opaque, shape, size, move || match &held.tensor.data {
            TensorData::F32(data) => TensorData::F32(kernels::gather(data, along, &indices).into()),
            TensorData::F16(data) => TensorData::F16(kernels::gather(data, along, &indices).into()),
            TensorData::I64(data) => TensorData::I64(kernels::gather(data, along, &indices).into()),
            TensorData::U8(data) => TensorData::U8(kernels::gather(data, along, &indices).into()),
        })
        .await
    }

    async fn read_f32(&mut self, this: Resource<HeldTensor>, offset: u32, len: u32) -> Answer<Vec<f32>> {
        let held = self.held(&this)?.clone();
        if let Err(error) = self.readable(&held) {
            return Ok(Err(error));
        }
        if u64::from(len) * 4 > u64::from(self.common.grant.chunk) {
            let most = self.common.grant.chunk / 4;
            return Ok(Err(Error::Limit(format!("{len} values at once; {most} are read at most"))));
        }
        let (offset, len) = (offset as usize, len as usize);
        let Some(end) = offset.checked_add(len).filter(|end| *end <= held.tensor.len()) else {
            return Ok(Err(Error::Invalid(format!("{len} values from {offset} of {}", held.tensor.len()))));
        };
        self.crossed(held.opaque, len as u64 * 4);
        Ok(Ok(match &held.tensor.data {
            TensorData::F32(data) => data[offset..end].to_vec(),
            TensorData::F16(data) => data[offset..end].iter().map(|value| value.to_f32()).collect(),
            TensorData::I64(data) => data[offset..end].iter().map(|value| *value as f32).collect(),
            TensorData::U8(data) => data[offset..end].iter().map(|value| f32::from(*value)).collect(),
        }))
    }

    async fn from_f32(&mut self, shape: Vec<u32>, data: Vec<f32>) -> Answer<Resource<HeldTensor>> {
        self.own(shape, data.len(), 4, || TensorData::F32(data.into()))
    }

    async fn from_s64(&mut self, shape: Vec<u32>, data: Vec<i64>) -> Answer<Resource<HeldTensor>> {
        self.own(shape, data.len(), 8, || TensorData::I64(data.into()))
    }

    async fn drop(&mut self, this: Resource<HeldTensor>) -> Result<()> {
        self.take(this)?;
        Ok(())
    }
}

impl HostState {
    fn readable(&self, held: &HeldTensor) -> std::result::Result<(), Error> {
        if held.opaque { self.pixels("reading a tensor that was made from an image") } else { Ok(()) }
    }

    fn crossed(&mut self, opaque: bool, bytes: u64) {
        match opaque {
            true => self.usage.payload += bytes,
            false => self.usage.results += bytes,
        }
    }

    /// A tensor of the guest's own numbers.
    fn own(
        &mut self,
        shape: Vec<u32>,
        len: usize,
        size: u64,
        data: impl FnOnce() -> TensorData,
    ) -> Answer<Resource<HeldTensor>> {
        if shape.len() > MOST_AXES || kernels::product(&shape) != Some(len) {
            return Ok(Err(Error::Invalid(format!("{len} values do not fill the shape {}", text(&shape)))));
        }
        match self.charge(len as u64 * size) {
            Ok(charge) => {
                let tensor = Tensor { shape, data: data() };
                self.hold(HeldTensor::new(tensor, false, charge))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// A tensor made of others, for which there is room before it is made.
    async fn derive(
        &mut self,
        opaque: bool,
        shape: Vec<u32>,
        size: usize,
        make: impl FnOnce() -> TensorData + Send + 'static,
    ) -> Answer<Resource<HeldTensor>> {
        let Some(values) = kernels::product(&shape).map(|values| values as u64) else {
            return Ok(Err(Error::Limit(format!("a tensor of the shape {}", text(&shape)))));
        };
        let charge = match self.charge(values.saturating_mul(size as u64)) {
            Ok(charge) => charge,
            Err(error) => return Ok(Err(error)),
        };
        // What takes time is what is made: an empty tensor takes none, whatever its other sides say.
        let data = self.work(values, make).await?;
        self.hold(HeldTensor::new(Tensor { shape, data }, opaque, charge))
    }

    async fn map(
        &mut self,
        this: &Resource<HeldTensor>,
        axis: u32,
        kernel: fn(&mut [f32], Axis),
    ) -> Answer<Resource<HeldTensor>> {
        let held = self.held(this)?.clone();
        let Some(along) = Axis::of(&held.tensor.shape, axis) else {
            return Ok(Err(no_axis(axis, &held.tensor.shape)));
        };
        if !matches!(held.tensor.data, TensorData::F32(_) | TensorData::F16(_)) {
            return Ok(Err(Error::Unsupported(format!("this is for float tensors, not for {}", held.tensor.dtype()))));
        }
        let shape = held.tensor.shape.clone();
        self.derive(held.opaque, shape, 4, move || {
            let mut values = floats(&held.tensor.data);
            kernel(Arc::make_mut(&mut values), along);
            TensorData::F32(values)
        })
        .await
    }
}

/// A copy as f32, made once.
fn floats(data: &TensorData) -> Arc<[f32]> {
    match data {
        TensorData::F32(data) => data[..].into(),
        TensorData::F16(data) => data.iter().map(|value| value.to_f32()).collect(),
        TensorData::I64(data) => data.iter().map(|value| *value as f32).collect(),
        TensorData::U8(data) => data.iter().map(|value| f32::from(*value)).collect(),
    }
}

/// Reads the numbers where they lie.
fn above(data: &TensorData, min: f32, max: usize) -> Vec<(u32, f32)> {
    match data {
        TensorData::F32(data) => kernels::above(data, min, max),
        TensorData::F16(data) => kernels::above_of(data.iter().map(|value| value.to_f32()), min, max),
        TensorData::I64(data) => kernels::above_of(data.iter().map(|value| *value as f32), min, max),
        TensorData::U8(data) => kernels::above_of(data.iter().map(|value| f32::from(*value)), min, max),
    }
}

/// The shape of tensors joined along their first axis.
fn stacked(parts: &[HeldTensor]) -> std::result::Result<Vec<u32>, String> {
    let Some(first) = parts.first().map(|part| &part.tensor) else { return Err("a stack of nothing".into()) };
    let [_, rest @ ..] = &first.shape[..] else {
        return Err("a single number cannot be stacked: reshape it to [1]".into());
    };
    let mut sum = 0_u32;
    for part in parts.iter().map(|part| &part.tensor) {
        if part.shape.len() != first.shape.len() || part.shape[1..] != *rest || part.dtype() != first.dtype() {
            let (one, other) = (text(&first.shape), text(&part.shape));
            return Err(format!("{} {one} and {} {other} cannot be stacked", first.dtype(), part.dtype()));
        }
        sum = sum.checked_add(part.shape[0]).ok_or("a stack that is too high")?;
    }
    Ok([&[sum], rest].concat())
}

/// Of one type: `stacked` saw to that.
fn join(parts: &[&TensorData]) -> TensorData {
    macro_rules! joined {
        ($kind:ident) => {{
            let slices: Vec<&[_]> = parts
                .iter()
                .filter_map(|part| if let TensorData::$kind(data) = part { Some(&data[..]) } else { None })
                .collect();
            TensorData::$kind(slices.concat().into())
        }};
    }
    match parts[0] {
        TensorData::F32(_) => joined!(F32),
        TensorData::F16(_) => joined!(F16),
        TensorData::I64(_) => joined!(I64),
        TensorData::U8(_) => joined!(U8),
    }
}

fn no_axis(axis: u32, shape: &[u32]) -> Error {
    Error::Invalid(format!("there is no axis {axis} in the shape {}", text(shape)))
}

/// Hostile shapes may be long.
fn text(shape: &[u32]) -> String {
    if shape.len() > MOST_AXES {
        format!("of {} axes ({MOST_AXES} at most)", shape.len())
    } else {
        format!("{shape:?}")
    }
}

pub(super) fn dtype(dtype: inference::Dtype) -> Dtype {
    match dtype {
        inference::Dtype::U8 => Dtype::Uint8,
        inference::Dtype::F16 => Dtype::Float16,
        inference::Dtype::F32 => Dtype::Float32,
        inference::Dtype::I64 => Dtype::Int64,
    }
}
