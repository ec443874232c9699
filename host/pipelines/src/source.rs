//! The pipelines of an installation, as they are now: read from a folder, and again when it changes. A file with a mistake leaves
//! the pipeline as it was.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use gallery::{Looker, Plugins};
use jiff::Timestamp;
use types::QueueName;

use crate::definition::{Definition, DefinitionError, Use};
use crate::hours::QueueRules;
use crate::reader::name_of;
use crate::suggest;
use crate::trigger::Trigger;

/// Bytes of a file at most: a pipeline is written by hand.
const LARGEST: u64 = 1 << 20;

/// Where pipelines are read from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Empty: those that are built in.
    pub folder: PathBuf,
    /// Names of files and their text.
    pub built_in: Vec<(&'static str, &'static str)>,
}

type Read = Vec<(String, Result<Definition, Vec<DefinitionError>>)>;

impl Source {
    /// Every file, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be read, or holds no pipeline.
    pub fn read(&self) -> Result<Read, DefinitionError> {
        if self.folder.as_os_str().is_empty() {
            let read = |(file, text): &(&str, &str)| ((*file).to_owned(), Definition::parse_all(file, text));
            return Ok(self.built_in.iter().map(read).collect());
        }
        let mut found = Vec::new();
        for path in self.files()? {
            let file = path.display().to_string();
            let wrong = |what: String| vec![DefinitionError { file: file.clone(), line: 1, what }];
            let is_large = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LARGEST);
            let text = if is_large {
                Err(wrong(format!("the file is larger than {LARGEST} bytes")))
            } else {
                std::fs::read_to_string(&path).map_err(|error| wrong(format!("cannot be read: {error}")))
            };
            let definition = text.and_then(|text| Definition::parse_all(&file, &text));
            found.push((file, definition));
        }
        Ok(found)
    }

    fn files(&self) -> Result<Vec<PathBuf>, DefinitionError> {
        let wrong = |what: String| DefinitionError { file: self.folder.display().to_string(), line: 1, what };
        let entries =
            std::fs::read_dir(&self.folder).map_err(|error| wrong(format!("the folder cannot be read: {error}")))?;
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(wrong("the folder holds no *.toml".into()));
        }
        Ok(files)
    }

    /// Another one when a file was changed, came or went.
    fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for path in self.files().unwrap_or_default() {
            let metadata = std::fs::metadata(&path).ok();
            (path, metadata.as_ref().map(|metadata| (metadata.len(), metadata.modified().ok()))).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Those that are in force, and what is wrong with the files that are not.
#[derive(Debug, Default)]
struct Loaded {
    definitions: Vec<Arc<Definition>>,
    problems: Vec<DefinitionError>,
    at: Timestamp,
}

/// The pipelines of an installation. Cheap to clone; all clones see a reload.
#[derive(Debug, Clone)]
pub struct Pipelines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    loaded: RwLock<Arc<Loaded>>,
    source: Source,
    rules: QueueRules,
}

impl Pipelines {
    /// These, for good.
    pub fn new(definitions: Vec<Definition>) -> Self {
        Self::of(definitions, Source::default(), QueueRules::default())
    }

    /// # Errors
    /// Every mistake in every file.
    pub fn open(source: Source, rules: QueueRules) -> Result<Self, Vec<DefinitionError>> {
        let (mut definitions, mut mistakes) = (Vec::new(), Vec::new());
        for (_, read) in source.read().map_err(|mistake| vec![mistake])? {
            match read {
                Ok(definition) => definitions.push(definition),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() { Ok(Self::of(definitions, source, rules)) } else { Err(mistakes) }
    }

    fn of(definitions: Vec<Definition>, source: Source, rules: QueueRules) -> Self {
        let definitions = definitions.into_iter().map(Arc::new).collect();
        let loaded = Loaded { definitions, problems: Vec::new(), at: Timestamp::now() };
        Self(Arc::new(Shared { loaded: RwLock::new(loaded.into()), source, rules }))
    }

    /// Every plugin that a step needs is installed, and may do there what it does.
    ///
    /// # Errors
    /// The first that is not, with the file and the line of its step.
    pub fn check(&self, plugins: &Plugins) -> Result<(), DefinitionError> {
        for definition in self.all() {
            for step in definition.steps.iter().filter(|step| step.optional) {
                if let Use::Plugin(name) = &step.uses
                    && plugins.named(name).is_none()
                {
                    tracing::info!(step = step.id, plugin = name, "A step is left out: its plugin is not installed");
                }
            }
            if let Some(problem) = unmet(&definition, plugins).into_iter().next() {
                return Err(problem);
            }
        }
        Ok(())
    }

    /// Reads the files again. One with a mistake, or whose plugin is missing, leaves its pipeline as it was; the mistakes are
    /// returned, and shown until they are gone.
    pub fn reload(&self, plugins: &Plugins, now: Timestamp) -> Vec<DefinitionError> {
        let before = self.loaded();
        let old = |file: &str| before.definitions.iter().find(|old| old.name == name_of(file)).cloned();
        let (mut definitions, mut problems) = (Vec::new(), Vec::new());
        match self.0.source.read() {
            Err(problem) => {
                problems.push(problem);
                definitions.clone_from(&before.definitions);
            }
            Ok(read) => {
                for (file, read) in read {
                    let checked = read.and_then(|definition| match unmet(&definition, plugins) {
                        unmet if unmet.is_empty() => Ok(definition),
                        unmet => Err(unmet),
                    });
                    match checked {
                        Ok(definition) => definitions.push(Arc::new(definition)),
                        Err(found) => {
                            problems.extend(found);
                            definitions.extend(old(&file));
                        }
                    }
                }
            }
        }
        for problem in &problems {
            tracing::error!(%problem, "A pipeline stays as it was");
        }
        let names: Vec<&str> = definitions.iter().map(|definition| &*definition.name).collect();
        tracing::info!(pipelines = names.join(", "), problems = problems.len(), "Read the pipelines again");
        let loaded = Loaded { definitions, problems: problems.clone(), at: now };
        *self.0.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded.into();
        problems
    }

    /// Another number when a file was changed, came or went; `None`: they cannot change.
    pub(crate) fn state(&self) -> Option<u64> {
        (!self.0.source.folder.as_os_str().is_empty()).then(|| self.0.source.state())
    }

    fn loaded(&self) -> Arc<Loaded> {
        self.0.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn get(&self, name: &str) -> Option<Arc<Definition>> {
        self.loaded().definitions.iter().find(|definition| definition.name == name).cloned()
    }

    /// The pipeline of this name.
    ///
    /// # Errors
    /// There is none, with the nearest.
    pub fn named(&self, name: &str) -> Result<Arc<Definition>, String> {
        self.get(name).ok_or_else(|| {
            let all = self.all();
            format!("there is no pipeline {name:?}{}", suggest::hint(name, all.iter().map(|pipeline| &*pipeline.name)))
        })
    }

    pub fn all(&self) -> Vec<Arc<Definition>> {
        self.loaded().definitions.clone()
    }

    /// What is wrong with the files, as they were read last.
    pub fn problems(&self) -> Vec<DefinitionError> {
        self.loaded().problems.clone()
    }

    /// When they were read last.
    pub fn read_at(&self) -> Timestamp {
        self.loaded().at
    }

    /// When queues work, and how many of their jobs at once.
    pub fn rules(&self) -> &QueueRules {
        &self.0.rules
    }

    /// Every queue that a step names, once, in the order of the steps: a worker looks at what comes first first.
    pub fn queues(&self) -> Vec<QueueName> {
        let mut queues: Vec<QueueName> = Vec::new();
        for step in self.all().iter().flat_map(|pipeline| &pipeline.steps) {
            if !queues.contains(&step.queue) {
                queues.push(step.queue.clone());
            }
        }
        queues
    }
}

/// What a pipeline needs of plugins and does not have, with the line of the step.
pub(crate) fn unmet(definition: &Definition, plugins: &Plugins) -> Vec<DefinitionError> {
    let mut found = Vec::new();
    for step in &definition.steps {
        let mut wrong = |what: String| {
            found.push(DefinitionError { file: definition.file.clone(), line: step.line, what });
        };
        let Use::Plugin(own) = &step.uses else { continue };
        let is_optional = |name: &String| step.optional && name == own;
        if step.optional && plugins.named(own).is_none() {
            continue;
        }
        for name in std::iter::once(own).chain(&step.on_failure.fallbacks) {
            match plugins.named(name) {
                // What it has to do waits until somebody decides.
                None if is_optional(name) || plugins.is_quarantined(name) => {}
                None => {
                    let id = &step.id;
                    let hint = near(name, plugins);
                    let way = if name == own { ", or write optional = true" } else { "" };
                    wrong(format!(
                        "the step {id:?} needs the plugin {name:?}, which is not installed{hint}: install it{way}"
                    ));
                }
                Some(Looker::Faces(_)) if matches!(definition.on, Trigger::Recognized) => wrong(format!(
                    "{name:?} finds faces, and whom it finds starts this pipeline: it would start itself. Use it on asset.created"
                )),
                Some(_) => {}
            }
        }
    }
    found
}

fn near(name: &str, plugins: &Plugins) -> String {
    let installed = plugins.ids();
    let near = suggest::nearest(name, installed.iter().map(String::as_str));
    near.map_or_else(String::new, |near| format!(" (did you mean {near:?}?)"))
}
