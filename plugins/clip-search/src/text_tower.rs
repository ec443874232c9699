//! Texts to vectors.

use std::cell::OnceCell;

use latent_plugin::inference::Model;
use latent_plugin::tensor::Tensor;
use latent_plugin::{Error, Result};

use crate::image_tower::dimensions;
use crate::once;
use crate::settings::TextModel;
use crate::tokenizer::{Rows, Tokenizer};

/// The open text model. Its vocabulary is read when the first text comes: `describe` does not pay for it.
pub struct TextTower {
    model: Model,
    settings: TextModel,
    ids: String,
    mask: Option<String>,
    output: String,
    prompt: Option<String>,
    tokenizer: OnceCell<Tokenizer>,
    /// Length of a vector.
    pub dimensions: u32,
}

impl TextTower {
    /// The model behind the label `text`. `prompt` is the operator's and goes before the model's own.
    pub fn open(prompt: Option<&str>) -> Result<Self> {
        let model = Model::open("text")?;
        let settings: TextModel = model.settings()?;
        let output = model.output_name(settings.output.as_deref(), 0)?;
        let ids = model.input_name(settings.input.as_deref().or(settings.inputs.ids.as_deref()), 0)?;
        let mask = settings.mask.as_deref().or(settings.inputs.mask.as_deref());
        Ok(Self {
            ids,
            mask: mask.map(|name| model.input_name(Some(name), 1)).transpose()?,
            dimensions: dimensions(&model, &output, settings.dimensions)?,
            prompt: prompt
                .map(str::to_owned)
                .or_else(|| settings.prompt.clone())
                .filter(|prompt| prompt.contains("{}")),
            output,
            settings,
            model,
            tokenizer: OnceCell::new(),
        })
    }

    /// Changes when the weights, the vocabulary or the prompt change.
    pub fn revision(&self) -> String {
        self.model.revision()
    }

    /// One unit vector a row.
    pub fn embed(&self, texts: &[String]) -> Result<Tensor> {
        if texts.is_empty() {
            return Tensor::no_rows(self.dimensions);
        }
        let tokenizer = self.tokenizer()?;
        let encoded = texts.iter().map(|text| tokenizer.encode(&self.prompted(text))).collect();
        let rows = Rows::new(encoded, tokenizer.pad(), tokenizer.filled_up_to());
        let shape = [texts.len() as u32, rows.width];
        let ids = Tensor::from_s64(&shape, &rows.ids)?;
        let mask = Tensor::from_s64(&shape, &rows.mask)?;
        let mut inputs = vec![(self.ids.as_str(), &ids)];
        inputs.extend(self.mask.as_deref().map(|name| (name, &mask)));
        let vectors = self.model.run(&inputs)?.take(&self.output)?;
        vectors.reshape(&[texts.len() as u32, self.dimensions])?.l2_normalize(1)
    }

    fn tokenizer(&self) -> Result<&Tokenizer> {
        once(&self.tokenizer, || {
            let json = self.model.asset(&self.settings.vocabulary)?;
            let mut tokenizer = Tokenizer::parse(&json)
                .map_err(|error| Error::Invalid(format!("{} of the text model: {error}", self.settings.vocabulary)))?;
            tokenizer.configure(self.settings.context, self.settings.pad, self.settings.pad_to_context);
            Ok(tokenizer)
        })
    }

    fn prompted(&self, text: &str) -> String {
        match &self.prompt {
            Some(prompt) if !text.trim().is_empty() => prompt.replace("{}", text),
            _ => text.to_owned(),
        }
    }
}
