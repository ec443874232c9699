//! One open ONNX Runtime session: its ports, and a run that several threads may make at once.

use std::ffi::CString;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use ort::AsPointer as _;
use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::{SessionInputValue, builder::SessionBuilder};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};

use crate::inference::InferenceConfig;
use crate::manifest::Manifest;
use crate::{Dtype, InferenceError, Port, Tensor, TensorData, library};

/// An open model.
pub(crate) struct Session {
    model: String,
    session: ort::session::Session,
    on_cpu: bool,
    inputs: Vec<Plug>,
    outputs: Vec<Plug>,
    /// Fed beside what the caller gives.
    zeros: Vec<(CString, Tensor)>,
}

/// A port, as ONNX Runtime wants it.
struct Plug {
    port: Port,
    name: CString,
    /// The graph's own numbers are 32-bit integers.
    narrow: bool,
}

impl Session {
    /// Reads the graph. Blocks: 20 to 300 ms for the models that we ship.
    pub(crate) fn open(config: &InferenceConfig, manifest: &Manifest, graph: &Path) -> Result<Self, InferenceError> {
        let environment = library::environment(&config.library)?;
        let fail = |error: ort::Error| InferenceError::Onnx {
            model: manifest.name.clone(),
            action: "open",
            reason: error.to_string(),
        };
        let mut builder = options(&environment, config.threads).map_err(fail)?;
        let on_cpu = !choose_provider(&mut builder, &config.provider);
        let session = builder.commit_from_file(graph).map_err(fail)?;
        library::return_memory();
        let mismatch = |reason| InferenceError::Mismatch { model: manifest.name.clone(), reason };
        let zeros = &manifest.tensors.zeros;
        let inputs = plugs(session.inputs(), &manifest.tensors.inputs, "input").map_err(mismatch)?;
        let outputs = plugs(session.outputs(), &manifest.tensors.outputs, "output").map_err(mismatch)?;
        let named = |name: &str| zeros.contains_key(name) || manifest.tensors.inputs.iter().any(|input| input == name);
        if let Some(other) = session.inputs().iter().find(|input| !named(input.name())) {
            return Err(mismatch(format!("the graph also has an input \"{}\"", other.name())));
        }
        let zeros = zeros.iter().map(|(name, shape)| zero(name, shape)).collect::<Result<_, _>>()?;
        Ok(Self { model: manifest.name.clone(), session, on_cpu, inputs, outputs, zeros })
    }

    pub(crate) fn is_on_cpu(&self) -> bool {
        self.on_cpu
    }

    pub(crate) fn inputs(&self) -> Vec<Port> {
        self.inputs.iter().map(|plug| plug.port.clone()).collect()
    }

    pub(crate) fn outputs(&self) -> Vec<Port> {
        self.outputs.iter().map(|plug| plug.port.clone()).collect()
    }

    /// One run, on this thread. Inputs are read where they lie, outputs are copied once.
    pub(crate) fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>, InferenceError> {
        let narrowed: Vec<_> =
            inputs.iter().map(|(name, tensor)| self.narrowed(name, tensor)).collect::<Result<_, _>>()?;
        let mut names = Vec::with_capacity(self.inputs.len() + self.zeros.len());
        let mut values = Vec::with_capacity(names.capacity());
        for ((name, tensor), narrowed) in inputs.iter().zip(&narrowed) {
            let plug = self.inputs.iter().find(|plug| plug.port.name == *name).ok_or_else(|| {
                InferenceError::Input { model: self.model.clone(), reason: format!("it has no input \"{name}\"") }
            })?;
            names.push(plug.name.as_ptr());
            values.push(view(tensor, narrowed.as_deref()).map_err(|error| self.failed(error))?);
        }
        for (name, tensor) in &self.zeros {
            names.push(name.as_ptr());
            values.push(view(tensor, None).map_err(|error| self.failed(error))?);
        }
        let values_out = self.call(&names, &values).map_err(|error| self.failed(error))?;
        let copy = |(plug, value): (&Plug, &DynValue)| Ok((plug.port.name.clone(), self.copied(plug, value)?));
        self.outputs.iter().zip(&values_out).map(copy).collect()
    }

    /// The call itself. `ort`'s own `run` takes `&mut self` because some providers are not thread-safe; with a session per
    /// thread instead, the weights would be in memory once per core.
    fn call(&self, names: &[*const i8], values: &[SessionInputValue<'_>]) -> ort::Result<Vec<DynValue>> {
        let inputs: Vec<_> = values.iter().map(|value| value.ptr()).collect();
        let output_names: Vec<_> = self.outputs.iter().map(|plug| plug.name.as_ptr()).collect();
        let mut outputs = vec![ptr::null_mut(); self.outputs.len()];
        // SAFETY: ONNX Runtime lets threads call Run on one session at once, and the processor's provider keeps that
        // promise; on every other provider `Model` gives out one permit only. All pointers outlive the call: names and
        // values are borrowed from the caller, `outputs` has as many places as there are output names. Null run options
        // mean the defaults. The session is alive as long as `self`.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                output_names.as_ptr(),
                output_names.len(),
                outputs.as_mut_ptr(),
            )
        };
        // SAFETY: the status comes from the call above and is looked at once.
        unsafe { ort::Error::result_from_status(status) }?;
        let own = |value| {
            let value = NonNull::new(value).ok_or_else(|| ort::Error::new("an output was not computed"))?;
            // SAFETY: a value that Run returned, owned by us from here on, made by this session's allocator.
            Ok(unsafe { DynValue::from_ptr(value, Some(self.session.allocator())) })
        };
        outputs.into_iter().map(own).collect()
    }

    fn narrowed(&self, name: &str, tensor: &Tensor) -> Result<Option<Vec<i32>>, InferenceError> {
        let narrow = self.inputs.iter().any(|plug| plug.narrow && plug.port.name == name);
        let (true, TensorData::I64(data)) = (narrow, &tensor.data) else { return Ok(None) };
        let small: Result<_, _> = data.iter().map(|value| i32::try_from(*value)).collect();
        small.map(Some).map_err(|_| InferenceError::Input {
            model: self.model.clone(),
            reason: format!("input \"{name}\" holds a value outside 32 bits"),
        })
    }

    fn copied(&self, plug: &Plug, value: &DynValue) -> Result<Tensor, InferenceError> {
        copy_out(plug, value).map_err(|error| self.failed(error)).and_then(|(shape, data)| Tensor::new(shape, data))
    }

    fn failed(&self, error: ort::Error) -> InferenceError {
        InferenceError::Onnx { model: self.model.clone(), action: "run", reason: error.to_string() }
    }
}

/// Each session keeps its arena, but no memory patterns: see docs/decisions/0031-memory-of-models.md.
fn options(environment: &Environment, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(ort::session::Session::builder(environment)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        .with_memory_pattern(false)?)
}

/// Registers what the settings ask for. Is it anything but the processor? Says once why it is not.
fn choose_provider(builder: &mut SessionBuilder, provider: &str) -> bool {
    static SAID: AtomicBool = AtomicBool::new(false);
    let wanted: ExecutionProviderDispatch = match provider {
        "" | "cpu" => return false,
        "cuda" => ep::CUDA::default().build(),
        "openvino" => ep::OpenVINO::default().build(),
        "coreml" => ep::CoreML::default().build(),
        other => {
            say_once(&SAID, other, "it is none of cpu, cuda, openvino, coreml");
            return false;
        }
    };
    match wanted.register(builder) {
        Ok(()) => true,
        Err(error) => {
            say_once(&SAID, provider, &error.to_string());
            false
        }
    }
}

fn say_once(said: &AtomicBool, provider: &str, reason: &str) {
    if !said.swap(true, Ordering::Relaxed) {
        tracing::warn!(provider, reason, "inference.provider cannot be used, models run on the processor");
    }
}

fn plugs(outlets: &[Outlet], names: &[String], kind: &str) -> Result<Vec<Plug>, String> {
    names.iter().map(|name| plug(outlets, name, kind)).collect()
}

fn plug(outlets: &[Outlet], name: &str, kind: &str) -> Result<Plug, String> {
    let there = || outlets.iter().map(|outlet| outlet.name()).collect::<Vec<_>>().join(", ");
    let outlet = outlets
        .iter()
        .find(|outlet| outlet.name() == name)
        .ok_or_else(|| format!("the graph has no {kind} \"{name}\"; it has {}", there()))?;
    let &ValueType::Tensor { ty, ref shape, .. } = outlet.dtype() else {
        return Err(format!("{kind} \"{name}\" is not a tensor"));
    };
    let dtype = match ty {
        TensorElementType::Float32 => Dtype::F32,
        TensorElementType::Float16 => Dtype::F16,
        TensorElementType::Uint8 => Dtype::U8,
        TensorElementType::Int64 | TensorElementType::Int32 => Dtype::I64,
        other => return Err(format!("{kind} \"{name}\" is {other}, which is not supported")),
    };
    let port = Port { name: name.to_owned(), dtype, shape: shape.iter().map(|dim| u32::try_from(*dim).ok()).collect() };
    let c_name = CString::new(name).map_err(|_| format!("the name of {kind} \"{name}\" holds NUL"))?;
    Ok(Plug { port, name: c_name, narrow: ty == TensorElementType::Int32 })
}

fn zero(name: &str, shape: &[u32]) -> Result<(CString, Tensor), InferenceError> {
    let len = shape.iter().map(|dim| *dim as usize).product();
    let tensor = Tensor::f32(shape.to_vec(), vec![0.0; len])?;
    let name = CString::new(name).map_err(|_| InferenceError::Manifest {
        origin: name.to_owned(),
        reason: "the name of an input holds NUL".to_owned(),
    })?;
    Ok((name, tensor))
}

/// A value that reads the tensor's own numbers.
fn view<'a>(tensor: &'a Tensor, narrowed: Option<&'a [i32]>) -> ort::Result<SessionInputValue<'a>> {
    let shape = || tensor.shape.iter().map(|dim| i64::from(*dim)).collect::<Vec<_>>();
    Ok(match (&tensor.data, narrowed) {
        (_, Some(data)) => TensorRef::from_array_view((shape(), data))?.into(),
        (TensorData::F32(data), _) => TensorRef::from_array_view((shape(), &**data))?.into(),
        (TensorData::F16(data), _) => TensorRef::from_array_view((shape(), &**data))?.into(),
        (TensorData::I64(data), _) => TensorRef::from_array_view((shape(), &**data))?.into(),
        (TensorData::U8(data), _) => TensorRef::from_array_view((shape(), &**data))?.into(),
    })
}

fn copy_out(plug: &Plug, value: &DynValue) -> ort::Result<(Vec<u32>, TensorData)> {
    let (shape, data) = match plug.port.dtype {
        Dtype::F32 => value.try_extract_tensor::<f32>().map(|(shape, data)| (shape, TensorData::F32(data.into())))?,
        Dtype::F16 => value.try_extract_tensor::<f16>().map(|(shape, data)| (shape, TensorData::F16(data.into())))?,
        Dtype::U8 => value.try_extract_tensor::<u8>().map(|(shape, data)| (shape, TensorData::U8(data.into())))?,
        Dtype::I64 if plug.narrow => value
            .try_extract_tensor::<i32>()
            .map(|(shape, data)| (shape, TensorData::I64(data.iter().map(|value| i64::from(*value)).collect())))?,
        Dtype::I64 => value.try_extract_tensor::<i64>().map(|(shape, data)| (shape, TensorData::I64(data.into())))?,
    };
    Ok((shape.iter().map(|dim| u32::try_from(*dim).unwrap_or(0)).collect(), data))
}
