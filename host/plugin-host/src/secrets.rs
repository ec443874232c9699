//! Keys that plugins use and never hold: each goes to one origin, and nothing here shows a value.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize, Serializer};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::http::Origin;
use crate::text::is_name;

/// Shorter ones would be blotted out of answers where they stand by chance.
const SHORTEST: usize = 8;
const LONGEST: usize = 4_096;
const MOST_MESSAGES: usize = 8;
const MOST_IN_A_HEADER: usize = 4;
/// AWS's own chain: date, region, service, this, what is signed.
const AWS: &str = "AWS4";
const AWS_END: &[u8] = b"aws4_request";
const AWS_MESSAGES: usize = 5;

/// A value that is overwritten when it is dropped, and is shown as stars wherever it would be shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct SecretText(Zeroizing<String>);

/// A secret of the operator, and the one origin that gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundSecret {
    pub value: SecretText,
    pub origin: Origin,
}

/// Those of one plugin, by name.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<String, BoundSecret>);

/// A header's value, and the secrets in it.
pub struct Filled {
    pub text: Zeroizing<String>,
    pub names: Vec<String>,
}

impl SecretText {
    /// Without the line's end that files have.
    pub fn new(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        Self(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// # Errors
    /// It is too short or too long to be a secret.
    pub fn check(&self) -> Result<(), String> {
        match self.0.len() {
            len if len < SHORTEST => Err(format!("it has {len} bytes; a secret has at least {SHORTEST}")),
            len if len > LONGEST => Err(format!("it has {len} bytes; a secret has at most {LONGEST}")),
            _ => Ok(()),
        }
    }
}

impl Secrets {
    pub fn new(bound: BTreeMap<String, BoundSecret>) -> Self {
        Self(bound)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `${secret:NAME}` filled in, for the origin that it is bound to.
    ///
    /// # Errors
    /// There is no such secret, or it is not for this origin.
    pub fn fill(&self, text: &str, origin: &Origin) -> Result<Filled, String> {
        // Room for all of it: a text that moves would leave a copy behind.
        let most = self.0.values().map(|secret| secret.value.0.len()).max().unwrap_or(0);
        let mut filled = Zeroizing::new(String::with_capacity(text.len() + MOST_IN_A_HEADER * most));
        let mut names = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${secret:") {
            let (name, after) = after.split_once('}').ok_or("a header holds ${secret: without its end }")?;
            let secret = self.named(name)?;
            if secret.origin != *origin {
                return Err(format!("the secret {name} is bound to {} and does not go to {origin}", secret.origin));
            }
            if names.len() == MOST_IN_A_HEADER {
                return Err(format!("a header holds more than {MOST_IN_A_HEADER} secrets"));
            }
            filled.push_str(before);
            filled.push_str(&secret.value.0);
            names.push(name.to_owned());
            rest = after;
        }
        filled.push_str(rest);
        Ok(Filled { text: filled, names })
    }

    /// What must not be seen in the answer to a request that these went into.
    pub fn values(&self, names: &[String]) -> Vec<Zeroizing<Vec<u8>>> {
        let values = names.iter().filter_map(|name| self.0.get(name));
        values.map(|secret| Zeroizing::new(secret.value.0.as_bytes().to_vec())).collect()
    }

    /// # Errors
    /// The operator bound no such secret.
    pub fn named(&self, name: &str) -> Result<&BoundSecret, String> {
        let shown = if is_name(name) { name } else { "of that name" };
        self.0.get(name).ok_or_else(|| format!("no secret {shown} was granted: the operator binds it in `secrets`"))
    }
}

impl BoundSecret {
    /// HMAC-SHA-256 of each message keyed by the one before, the first by prefix + secret.
    ///
    /// # Errors
    /// A chain whose end would be worth more than the one signature.
    pub fn chain(&self, prefix: Option<&str>, messages: &[Vec<u8>]) -> Result<[u8; 32], String> {
        if !(2..=MOST_MESSAGES).contains(&messages.len()) {
            return Err(format!("{} messages; a chain has 2 to {MOST_MESSAGES}", messages.len()));
        }
        if prefix == Some(AWS) && (messages.len() != AWS_MESSAGES || messages[AWS_MESSAGES - 2] != AWS_END) {
            return Err(format!(
                "with the prefix {AWS} there are {AWS_MESSAGES} messages: date, region, service, aws4_request, text"
            ));
        }
        let first = Zeroizing::new([prefix.unwrap_or("").as_bytes(), self.value.0.as_bytes()].concat());
        let mut key = Zeroizing::new([0; 32]);
        for (at, message) in messages.iter().enumerate() {
            let keyed = if at == 0 { &first[..] } else { &key[..] };
            let mut mac = Hmac::<Sha256>::new_from_slice(keyed).expect("HMAC takes a key of any length");
            mac.update(message);
            *key = mac.finalize().into_bytes().into();
        }
        Ok(*key)
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}
