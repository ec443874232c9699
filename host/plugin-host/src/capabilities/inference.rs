//! `inference`: the models that the operator bound to a plugin's labels.

use std::time::Instant;

use inference::{InferenceError, Tensor};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::tensor::dtype;
use crate::bindings::lent::latent::plugin::inference as wit;
use crate::bindings::lent::latent::plugin::types::Error;
use crate::held::{HeldModel, HeldTensor};
use crate::instance::{Answer, HostState};
use crate::text::clean;

/// Bytes of a model's file that a guest may take into its memory.
const LONGEST_ASSET: usize = 32 << 20;

impl wit::Host for HostState {
    async fn open(&mut self, label: String) -> Answer<Resource<HeldModel>> {
        match self.common.models.get(&label).cloned() {
            Some(model) => self.hold_model(HeldModel(model)),
            None => Ok(Err(Error::Denied(format!(
                "no model is bound to the label {:?}: the manifest has to ask for it",
                clean(&label, 64)
            )))),
        }
    }
}

impl wit::HostModel for HostState {
    async fn revision(&mut self, this: Resource<HeldModel>) -> Result<String> {
        Ok(self.table.get(&this)?.0.revision().to_owned())
    }

    async fn settings(&mut self, this: Resource<HeldModel>) -> Result<String> {
        Ok(self.table.get(&this)?.0.settings_json())
    }

    async fn inputs(&mut self, this: Resource<HeldModel>) -> Result<Vec<wit::Port>> {
        Ok(self.table.get(&this)?.0.inputs().iter().map(port).collect())
    }

    async fn outputs(&mut self, this: Resource<HeldModel>) -> Result<Vec<wit::Port>> {
        Ok(self.table.get(&this)?.0.outputs().iter().map(port).collect())
    }

    async fn asset(&mut self, this: Resource<HeldModel>, name: String) -> Answer<Vec<u8>> {
        let model = self.table.get(&this)?.0.clone();
        let asset = self.work(u64::MAX, move || model.asset(&name).map(|bytes| bytes.to_vec())).await?;
        match asset {
            Ok(bytes) if bytes.len() > LONGEST_ASSET => {
                Ok(Err(Error::Limit(format!("{} bytes of a model's file; {LONGEST_ASSET} at most", bytes.len()))))
            }
            Ok(bytes) => Ok(Ok(bytes)),
            Err(error) => Ok(Err(self.inference_error(&error))),
        }
    }

    async fn run(
        &mut self,
        this: Resource<HeldModel>,
        inputs: Vec<(String, Resource<HeldTensor>)>,
    ) -> Answer<Vec<(String, Resource<HeldTensor>)>> {
        let model = self.table.get(&this)?.0.clone();
        let mut given = Vec::with_capacity(inputs.len());
        for (name, tensor) in inputs {
            // Shares the numbers; none is copied.
            given.push((name, self.held(&tensor)?.tensor.clone()));
        }
        let queued = Instant::now();
        // Waiting for other calls is not this guest's time.
        let turn = self.deadline.pause(model.turn(&given)).await;
        let begun = Instant::now();
        self.usage.waited += begun - queued;
        let outputs = match turn {
            Ok(turn) => model.run_now(turn, given).await,
            Err(error) => Err(error),
        };
        self.usage.host += begun.elapsed();
        match outputs {
            Ok(outputs) => self.hold_outputs(outputs),
            Err(error) => Ok(Err(self.inference_error(&error))),
        }
    }

    async fn drop(&mut self, this: Resource<HeldModel>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostState {
    fn hold_outputs(&mut self, outputs: Vec<(String, Tensor)>) -> Answer<Vec<(String, Resource<HeldTensor>)>> {
        let mut held = Vec::with_capacity(outputs.len());
        for (name, tensor) in outputs {
            let charge = match self.charge(tensor.bytes() as u64) {
                Ok(charge) => charge,
                Err(error) => return Ok(Err(self.let_go(held, error)?)),
            };
            match self.hold(HeldTensor::new(tensor, false, charge))? {
                Ok(handle) => held.push((name, handle)),
                Err(error) => return Ok(Err(self.let_go(held, error)?)),
            }
        }
        Ok(Ok(held))
    }

    fn let_go(&mut self, held: Vec<(String, Resource<HeldTensor>)>, error: Error) -> Result<Error> {
        for (_, handle) in held {
            self.take(handle)?;
        }
        Ok(error)
    }
}

impl HostState {
    /// What a guest did wrong is told. What ONNX Runtime says of its inputs may hold what is in them, and what the host says of
    /// files holds paths: that goes to the log.
    fn inference_error(&self, error: &InferenceError) -> Error {
        match error {
            InferenceError::Input { .. } | InferenceError::Shape { .. } => Error::Invalid(error.to_string()),
            InferenceError::UnknownModel { .. } | InferenceError::UnknownAsset { .. } => {
                Error::NotFound(error.to_string())
            }
            other => {
                tracing::warn!(plugin = self.common.manifest.id, error = %other, "A model failed for a plugin");
                match other {
                    InferenceError::Missing { .. }
                    | InferenceError::Fetch { .. }
                    | InferenceError::Library { .. }
                    | InferenceError::Io { .. }
                    | InferenceError::Stopping { .. } => Error::Unavailable("the model cannot be run now".into()),
                    _ => Error::Other("the model failed; the server's log says why".into()),
                }
            }
        }
    }
}

fn port(port: &inference::Port) -> wit::Port {
    wit::Port { name: port.name.clone(), dtype: dtype(port.dtype), shape: port.shape.clone() }
}
