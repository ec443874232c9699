//! What the service says in XML.

use quick_xml::{de, escape};
use serde::Deserialize;

/// Why it did not do it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Refusal {
    pub code: String,
    pub message: String,
    /// Where the bucket is, when it is not here.
    pub region: String,
    /// What its clock says, when ours is off.
    pub server_time: String,
}

/// A page of objects.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Objects {
    pub contents: Vec<Entry>,
    pub is_truncated: bool,
    pub next_continuation_token: Option<String>,
}

/// One of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    #[serde(rename = "Key")]
    pub key: String,
    #[serde(rename = "Size")]
    pub size: u64,
    #[serde(rename = "ETag")]
    pub etag: Option<String>,
    #[serde(rename = "LastModified")]
    pub last_modified: String,
}

/// Uploads in parts that have not ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Uploads {
    pub upload: Vec<Upload>,
}

/// One of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Upload {
    pub key: String,
    pub upload_id: String,
    pub initiated: String,
}

/// What a document is, if it is one of ours: the name of its outermost element.
fn root(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(after) = rest.strip_prefix("<?").or_else(|| rest.strip_prefix("<!")) {
        rest = after.split_once('>').map_or("", |(_, rest)| rest).trim_start();
    }
    let name = rest.strip_prefix('<').unwrap_or("");
    name.split(|c: char| c == '>' || c == '/' || c.is_whitespace()).next().unwrap_or("")
}

/// A refusal, if the text is one. Services also answer one with status 200, when what they had begun to answer did not work out.
pub fn refusal(text: &str) -> Option<Refusal> {
    if root(text) == "Error" { de::from_str(text).ok() } else { None }
}

/// A page of a list.
pub fn objects(text: &str) -> Result<Objects, String> {
    expect(text, "ListBucketResult")
}

/// Unfinished uploads.
pub fn uploads(text: &str) -> Result<Uploads, String> {
    expect(text, "ListMultipartUploadsResult")
}

/// The id of an upload that has begun.
pub fn upload_id(text: &str) -> Result<String, String> {
    let begun: Upload = expect(text, "InitiateMultipartUploadResult")?;
    if begun.upload_id.is_empty() { Err("it names no upload".into()) } else { Ok(begun.upload_id) }
}

/// The end of an upload in parts: their numbers and ETags.
pub fn complete(parts: &[(u32, String)]) -> String {
    let part = |(number, etag): &(u32, String)| {
        let etag = escape::escape(etag);
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

fn expect<T: for<'de> Deserialize<'de>>(text: &str, name: &str) -> Result<T, String> {
    match root(text) {
        found if found == name => de::from_str(text).map_err(|error| format!("its {name} cannot be read: {error}")),
        "" => Err(format!("it answers no XML, where {name} was expected: is it an S3 service?")),
        found => Err(format!("it answers {found}, where {name} was expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_anything_else() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The key &amp; all</Message>\
                    <Key>a</Key><Resource>/b/a</Resource></Error>";
        let found = refusal(text).unwrap();
        assert_eq!((&*found.code, &*found.message), ("NoSuchKey", "The key & all"));
        for text in ["", "ok", "<html><body>502</body></html>", "<CompleteMultipartUploadResult/>", "<Error", "{}"] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn lists_are_read_with_and_without_their_namespace() {
        let page = objects(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><IsTruncated>true</IsTruncated>\
             <Contents><Key>a/ä b</Key><Size>3</Size><ETag>&quot;x&quot;</ETag><LastModified>2024-02-29T00:00:00Z</LastModified>\
             <StorageClass>STANDARD</StorageClass></Contents><Contents><Key>b</Key><Size>0</Size></Contents>\
             <NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
        )
        .unwrap();
        assert!(page.is_truncated && page.next_continuation_token.as_deref() == Some("t"));
        let seen: Vec<(&str, u64)> = page.contents.iter().map(|entry| (&*entry.key, entry.size)).collect();
        assert_eq!(seen, [("a/ä b", 3), ("b", 0)]);
        assert!(objects("<ListBucketResult/>").unwrap().contents.is_empty());
        assert!(objects("<html>").unwrap_err().contains("html"));
        assert!(objects("nonsense").unwrap_err().contains("is it an S3 service?"));
    }

    #[test]
    fn an_upload_in_parts_is_begun_and_ended() {
        let begun =
            "<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>u/1</UploadId></InitiateMultipartUploadResult>";
        assert_eq!(upload_id(begun).unwrap(), "u/1");
        let text = complete(&[(1, "\"a\"".into()), (2, "b&c".into())]);
        assert!(text.contains("<PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag>"), "{text}");
        assert!(text.contains("<PartNumber>2</PartNumber><ETag>b&amp;c</ETag>"), "{text}");
    }
}
