//! `inference`: models by label.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::tally::{Kind, count};
use super::tensor::Tensor;
use super::{Error, Result, other};

thread_local! {
    /// What the operator's grant is to a guest.
    static BOUND: RefCell<HashMap<&'static str, Arc<::inference::Model>>> = RefCell::default();
}

/// An open model.
pub struct Model(Arc<::inference::Model>);

/// What a model takes or gives.
pub struct Port {
    pub name: String,
    pub shape: Vec<Option<u32>>,
}

/// Binds a model to a label, for this thread.
pub fn bind(label: &'static str, model: Arc<::inference::Model>) {
    BOUND.with_borrow_mut(|bound| bound.insert(label, model));
}

pub fn open(label: &str) -> Result<Model> {
    let bound = BOUND.with_borrow(|bound| bound.get(label).cloned());
    bound.map(Model).ok_or_else(|| Error::Denied(format!("no model is bound to {label}")))
}

impl Model {
    pub fn revision(&self) -> String {
        self.0.revision().to_owned()
    }

    pub fn settings(&self) -> String {
        let settings = self.0.settings_json();
        count(Kind::Settings, settings.len(), 1);
        settings
    }

    pub fn inputs(&self) -> Vec<Port> {
        ports(self.0.inputs())
    }

    pub fn outputs(&self) -> Vec<Port> {
        ports(self.0.outputs())
    }

    pub fn asset(&self, name: &str) -> Result<Vec<u8>> {
        self.0.asset(name).map(|bytes| bytes.to_vec()).map_err(other)
    }

    /// The thread waits, as a guest does. It must not be one of the runtime's own.
    pub fn run(&self, inputs: &[(String, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        named(inputs.iter().map(|(name, _)| &**name));
        let inputs = inputs.iter().map(|(name, tensor)| (name.clone(), tensor.0.clone())).collect();
        let outputs = Handle::current().block_on(self.0.run(inputs)).map_err(other)?;
        named(outputs.iter().map(|(name, _)| &**name));
        Ok(outputs.into_iter().map(|(name, tensor)| (name, Tensor(tensor))).collect())
    }
}

/// Tensors with their names.
fn named<'a>(names: impl Iterator<Item = &'a str>) {
    for name in names {
        count(Kind::Names, name.len(), 1);
        count(Kind::Handles, 1, 4);
    }
}

fn ports(ports: &[::inference::Port]) -> Vec<Port> {
    let ports = ports.iter().map(|port| {
        count(Kind::Ports, 1, port.name.len() + 1 + 8 * port.shape.len());
        Port { name: port.name.clone(), shape: port.shape.clone() }
    });
    ports.collect()
}
