//! Whose a component is: a minisign signature of its bytes by a key that is trusted for its id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};
use store::plugins::PluginKey;

use super::package::Package;

/// Characters of a signature file: four short lines, of which two are comments.
pub const LONGEST_SIGNATURE: usize = 16 << 10;

/// The key that the signature of a package holds for; `None`: it is not signed by anybody who is trusted, and it need not be.
///
/// # Errors
/// In words for an operator: no signature, one of a key that is not trusted for this id, one that does not hold, or one that was
/// made for another id or version.
pub fn verify(
    package: &Package,
    signature: Option<&str>,
    keys: &[PluginKey],
    allow_unsigned: bool,
) -> Result<Option<String>, String> {
    let id = &package.manifest.id;
    let Some(text) = signature else {
        return if allow_unsigned {
            Ok(None)
        } else {
            Err(format!("{id} is not signed: there is no .minisig beside it. Ask its author for one; {UNSIGNED}"))
        };
    };
    let parsed = Signature::decode(text).map_err(|_| format!("the signature of {id} is none of minisign's"))?;
    let signer = signer(text).ok_or_else(|| format!("the signature of {id} is none of minisign's"))?;
    let by_signer: Vec<&PluginKey> =
        keys.iter().filter(|key| key_id(&key.public_key).as_deref() == Some(&*signer)).collect();
    let Some(key) = by_signer.iter().find(|key| covers(&key.prefix, id)) else {
        // A signature that nobody here can look at is as good as none.
        return if allow_unsigned { Ok(None) } else { Err(foreign(id, &signer, &by_signer)) };
    };
    let public = PublicKey::from_base64(&key.public_key).map_err(|error| format!("the key {signer}: {error}"))?;
    public
        .verify(&package.wasm, &parsed, true)
        .map_err(|_| format!("the signature of {id} does not hold: these are not the bytes that {signer} signed"))?;
    said(package, parsed.trusted_comment())?;
    Ok(Some(key.public_key.clone()))
}

const UNSIGNED: &str = "a developer takes it with --allow-unsigned";

fn foreign(id: &str, signer: &str, known: &[&PluginKey]) -> String {
    let prefixes: Vec<&str> = known.iter().map(|key| &*key.prefix).collect();
    let trusted = if prefixes.is_empty() { String::new() } else { format!(" (only for {})", prefixes.join(", ")) };
    format!(
        "{id} is signed by the key {signer}, which is not trusted for it{trusted}: `latent plugin trust add KEY --for PREFIX`, if \
         you know whose it is"
    )
}

/// The trusted comment is signed, too: bytes of one version are not passed off as another's.
fn said(package: &Package, comment: &str) -> Result<(), String> {
    let value = |name: &str| comment.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    for (name, own) in [("id", &package.manifest.id), ("version", &package.manifest.version)] {
        match value(name) {
            Some(said) if said == own => {}
            Some(said) => return Err(format!("the signature is for {name} {said}, and this is {own}")),
            None => {
                return Err(format!(
                    "the trusted comment of the signature names no {name}: sign with -t \"id={} version={}\"",
                    package.manifest.id, package.manifest.version
                ));
            }
        }
    }
    Ok(())
}

/// Is `id` the prefix itself, or below it? `org.example` is not for `org.examples.ocr`.
pub fn covers(prefix: &str, id: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A prefix as an operator writes it: `org.example` or `org.example.`.
///
/// # Errors
/// It is no beginning of an id.
pub fn prefix(text: &str) -> Result<String, String> {
    let prefix = text.strip_suffix(".*").or_else(|| text.strip_suffix('.')).unwrap_or(text);
    let fits =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match prefix.split('.').all(fits) {
        true => Ok(prefix.to_owned()),
        false => Err(format!("{text:?} is no beginning of an id: write org.example")),
    }
}

/// The base64 of a public key: what stands in `minisign.pub`, or its second line alone.
///
/// # Errors
/// It is no key.
pub fn public_key(text: &str) -> Result<String, String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("untrusted comment:"));
    let line = line.unwrap_or_default();
    match PublicKey::from_base64(line) {
        Ok(_) => Ok(line.to_owned()),
        Err(_) => Err("this is no public key of minisign's: a line of 56 letters that begins with RW".to_owned()),
    }
}

/// What minisign shows of a key: eight bytes, in hex.
pub fn key_id(public_key: &str) -> Option<String> {
    number(&STANDARD.decode(public_key).ok()?)
}

fn signer(signature: &str) -> Option<String> {
    number(&STANDARD.decode(signature.lines().nth(1)?.trim()).ok()?)
}

/// Two bytes name the algorithm, eight the key, little-endian.
fn number(bytes: &[u8]) -> Option<String> {
    let number: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(number)))
}
