//! Models that the operator bound to this plugin's labels, run natively.

use serde::de::DeserializeOwned;

use crate::bindings::latent::plugin::inference;
pub use crate::bindings::latent::plugin::inference::Port;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// An open model.
pub struct Model {
    label: String,
    inner: inference::Model,
}

impl Model {
    /// The model behind a label of the manifest.
    ///
    /// # Errors
    /// Denied where the operator bound none; unavailable while its weights cannot be had.
    pub fn open(label: &str) -> Result<Self> {
        let inner = inference::open(label).map_err(|error| error.context(&format!("the model `{label}`")))?;
        Ok(Self { label: label.to_owned(), inner })
    }

    /// Changes when the weights change.
    pub fn revision(&self) -> String {
        self.inner.revision()
    }

    /// What the model's manifest says of its use: sizes, means, thresholds.
    ///
    /// # Errors
    /// Invalid where it does not fit the type.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.inner.settings())
            .map_err(|error| Error::Invalid(format!("the settings of the model `{}`: {error}", self.label)))
    }

    /// What it takes, in order.
    pub fn inputs(&self) -> Vec<Port> {
        self.inner.inputs()
    }

    /// What it gives, in order.
    pub fn outputs(&self) -> Vec<Port> {
        self.inner.outputs()
    }

    /// The name of an input: the one that is wished for, or the one at that place.
    ///
    /// # Errors
    /// Unsupported where the model has no such input.
    pub fn input_name(&self, wished: Option<&str>, place: usize) -> Result<String> {
        self.name_of(self.inputs(), wished, place, "input")
    }

    /// The name of an output: the one that is wished for, or the one at that place.
    ///
    /// # Errors
    /// Unsupported where the model has no such output.
    pub fn output_name(&self, wished: Option<&str>, place: usize) -> Result<String> {
        self.name_of(self.outputs(), wished, place, "output")
    }

    /// A file that belongs to the model, such as its tokenizer.
    ///
    /// # Errors
    /// Not found.
    pub fn asset(&self, name: &str) -> Result<Vec<u8>> {
        self.inner.asset(name).map_err(|error| error.context(&format!("{name} of the model `{}`", self.label)))
    }

    /// Runs it on named inputs.
    ///
    /// # Errors
    /// Invalid where shapes or kinds do not fit.
    pub fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Outputs> {
        let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), *tensor)).collect();
        let outputs = self.inner.run(&inputs).map_err(|error| error.context(&format!("the model `{}`", self.label)))?;
        Ok(Outputs(outputs))
    }

    fn name_of(&self, ports: Vec<Port>, wished: Option<&str>, place: usize, what: &str) -> Result<String> {
        let found = match wished {
            Some(name) => ports.into_iter().find(|port| port.name == name),
            None => ports.into_iter().nth(place),
        };
        found.map(|port| port.name).ok_or_else(|| {
            let which = wished.map_or_else(|| format!("number {place}"), |name| format!("{name:?}"));
            Error::Unsupported(format!("the model `{}` has no {what} {which}", self.label))
        })
    }
}

/// What one run gave.
pub struct Outputs(Vec<(String, Tensor)>);

impl Outputs {
    /// One output, by its name.
    ///
    /// # Errors
    /// Other: the model did not keep its word.
    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        let at = self.0.iter().position(|(there, _)| there == name);
        at.map(|at| self.0.swap_remove(at).1).ok_or_else(|| Error::Other(format!("the run gave no output {name:?}")))
    }
}
