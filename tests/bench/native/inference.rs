//! Models by label.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use super::tensor::Tensor;
use super::{Error, Result, other};

thread_local! {
    /// What the operator's grant is to a guest.
    static BOUND: RefCell<HashMap<&'static str, Arc<inference::Model>>> = RefCell::default();
}

/// An open model.
pub struct Model(Arc<inference::Model>);

/// What one run gave.
pub struct Outputs(Vec<(String, inference::Tensor)>);

/// What a model takes or gives.
pub struct Port {
    pub name: String,
    pub shape: Vec<Option<u32>>,
}

/// Binds a model to a label, for this thread.
pub fn bind(label: &'static str, model: Arc<inference::Model>) {
    BOUND.with_borrow_mut(|bound| bound.insert(label, model));
}

impl Model {
    pub fn open(label: &str) -> Result<Self> {
        let bound = BOUND.with_borrow(|bound| bound.get(label).cloned());
        bound.map(Self).ok_or_else(|| Error::Other(format!("no model is bound to {label}")))
    }

    pub fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0.settings_json()).map_err(other)
    }

    pub fn revision(&self) -> String {
        self.0.revision().to_owned()
    }

    pub fn outputs(&self) -> Vec<Port> {
        self.0.outputs().iter().map(|port| Port { name: port.name.clone(), shape: port.shape.clone() }).collect()
    }

    pub fn input_name(&self, wished: Option<&str>, place: usize) -> Result<String> {
        name_of(self.0.inputs(), wished, place)
    }

    pub fn output_name(&self, wished: Option<&str>, place: usize) -> Result<String> {
        name_of(self.0.outputs(), wished, place)
    }

    /// The thread waits, as a guest does. It must not be one of the runtime's own.
    pub fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Outputs> {
        let inputs = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.0.clone())).collect();
        Handle::current().block_on(self.0.run(inputs)).map(Outputs).map_err(other)
    }
}

impl Outputs {
    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        let at = self.0.iter().position(|(there, _)| there == name);
        at.map(|at| Tensor(self.0.swap_remove(at).1)).ok_or_else(|| Error::other("the run gave no such output"))
    }
}

fn name_of(ports: &[inference::Port], wished: Option<&str>, place: usize) -> Result<String> {
    let found = match wished {
        Some(name) => ports.iter().find(|port| port.name == name),
        None => ports.get(place),
    };
    found.map(|port| port.name.clone()).ok_or_else(|| Error::other("the model has no such input or output"))
}
