//! Signatures against AWS's published examples.

use std::convert::Infallible;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use storage_s3::sigv4::*;
use storage_s3::uri;

// The examples of AWS's own documents: "Signature Calculations for the Authorization Header" and "Authenticating Requests:
// Using Query Parameters" of Amazon S3, and the suite of test vectors for Signature Version 4.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SCOPE: Scope = Scope { access_key_id: "AKIAIOSFODNN7EXAMPLE", region: "us-east-1", service: "s3" };
const STAMP: &str = "20130524T000000Z";

/// What the host does for a plugin.
fn chain_of(secret: &str) -> impl Fn(&[Vec<u8>]) -> Result<Vec<u8>, Infallible> {
    let first = format!("AWS4{secret}").into_bytes();
    move |messages| {
        Ok(messages.iter().fold(first.clone(), |key, message| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }))
    }
}

fn signature_of(request: &Request, headers: &[(&str, &str)]) -> String {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = Request { headers: &headers, ..request.clone() };
    let text = authorization(&SCOPE, &request, STAMP, &chain_of(SECRET)).unwrap();
    text.rsplit_once("Signature=").unwrap().1.to_owned()
}

const HOST: (&str, &str) = ("Host", "examplebucket.s3.amazonaws.com");
const DATE: (&str, &str) = ("x-amz-date", STAMP);

#[test]
fn amazons_example_of_a_get_with_a_range() {
    let request = Request { method: "GET", path: "/test.txt", query: "", headers: &[], payload: EMPTY };
    let headers = [HOST, ("Range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY), DATE];
    assert_eq!(signature_of(&request, &headers), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

#[test]
fn amazons_example_of_a_put() {
    let payload = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let path = uri::encode_path("/test$file.text");
    let request = Request { method: "PUT", path: &path, query: "", headers: &[], payload };
    let headers = [
        ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
        HOST,
        ("x-amz-content-sha256", payload),
        DATE,
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    assert_eq!(signature_of(&request, &headers), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

#[test]
fn amazons_examples_of_queries() {
    let headers = [HOST, ("x-amz-content-sha256", EMPTY), DATE];
    for (query, expected) in [
        ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ] {
        let request = Request { method: "GET", path: "/", query, headers: &[], payload: EMPTY };
        assert_eq!(signature_of(&request, &headers), expected);
    }
}

#[test]
fn amazons_example_of_a_presigned_link() {
    let place = ("examplebucket.s3.amazonaws.com", "/test.txt");
    let query = presigned(&SCOPE, place, 86_400, STAMP, &chain_of(SECRET)).unwrap();
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(query.ends_with(&format!("&X-Amz-Signature={signature}")), "{query}");
    assert!(query.contains("X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&"));
}

#[test]
fn the_suites_vanilla_get() {
    let scope = Scope { access_key_id: "AKIDEXAMPLE", region: "us-east-1", service: "service" };
    let stamp = "20150830T123600Z";
    let headers = [("Host", "example.amazonaws.com"), ("X-Amz-Date", stamp)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = Request { method: "GET", path: "/", query: "", headers: &headers, payload: EMPTY };
    let chain = chain_of("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    assert_eq!(
        authorization(&scope, &request, stamp, &chain).unwrap(),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,\
         SignedHeaders=host;x-amz-date,Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
}
