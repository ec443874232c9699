//! What can go wrong between us and the database.

/// The result of every statement.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A failed statement or a lost connection.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or not in time. Trying again later helps.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A rule of the schema was broken; `constraint` names it.
    #[error("the database refused: {message} (constraint {constraint})")]
    Constraint { constraint: String, message: String },
    #[error("the database failed: {0}")]
    Failed(String),
    #[error("database.url is not understood: {0}")]
    Url(String),
    #[error("TLS to the database: {0}")]
    Tls(String),
    /// The server is one that cannot do what we need; the text says what to do.
    #[error("{0}")]
    Unfit(String),
    #[error("the database could not be migrated: {0}")]
    Migration(String),
}

impl StoreError {
    /// Was this the rule named `name`?
    pub fn is_constraint(&self, name: &str) -> bool {
        matches!(self, Self::Constraint { constraint, .. } if constraint == name)
    }

    /// May the same statement succeed later?
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// How errors begin that no other day makes better, as tokio-postgres 0.7 writes them.
const OURS: &[&str] = &[
    "error serializing parameter",
    "error deserializing column",
    "error encoding message",
    "invalid column",
    "expected ",
    "query returned an unexpected number of",
    "invalid configuration",
    "invalid connection string",
];

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let text = chain(&error);
            // tokio-postgres keeps the kind to itself; its words for what is wrong with a statement, a value or a row are these.
            let is_ours = OURS.iter().any(|start| text.starts_with(start));
            return if is_ours { Self::Failed(text) } else { Self::Unavailable(text) };
        };
        if let Some(constraint) = db.constraint() {
            return Self::Constraint { constraint: constraint.to_owned(), message: db.message().to_owned() };
        }
        let code = db.code().code();
        // 08: connection, 40: serialization and deadlock, 53: no resources, 57P: shutting down.
        if ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class)) {
            Self::Unavailable(db.message().to_owned())
        } else {
            Self::Failed(format!("{} ({code})", db.message()))
        }
    }
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
