//! How a device identity proves itself: an ECDSA signature over the request that carries it.

use crate::auth::device::urls;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bramble_wire::signature::{IDENTITY_HEADER, IDENTITY_SIGNED_HEADERS, TIMESTAMP_HEADER, identity_message};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::pkcs8::DecodePublicKey;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use url::Url;

/// Longest value of the signature's header, in bytes.
const MAX_SIGNATURE: usize = 256;
/// Longest PEM, in bytes: a key of this curve has 178.
const MAX_PEM: usize = 1024;
/// How far a request's time may be from ours, in seconds.
const CLOCKS_DIFFER: u64 = 5 * 60;
/// What stands before the point of a P-256 key in DER: `id-ecPublicKey`, `prime256v1`, a bit string.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public key on P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads PEM `SubjectPublicKeyInfo`, as `openssl ec -pubout` writes it; the point may be compressed.
    /// `None` for everything else, other curves and private keys among it.
    pub fn parse(pem: &str) -> Option<Self> {
        let pem = pem.trim();
        let one = pem.len() <= MAX_PEM
            && pem.starts_with("-----BEGIN PUBLIC KEY-----")
            && pem.matches("-----BEGIN").count() == 1;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok().filter(|_| one)?;
        // Only points on the curve are keys.
        let key = p256::PublicKey::from_public_key_der(&der).ok()?;
        Some(Self { der: [&SPKI_PREFIX, key.to_sec1_point(false).as_bytes()].concat() })
    }

    /// In the one form in which it is kept and shown.
    pub fn to_pem(&self) -> String {
        let text = BASE64_STANDARD.encode(&self.der);
        let (first, second) = text.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    /// By which it is found.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    fn point(&self) -> &[u8] {
        &self.der[SPKI_PREFIX.len()..]
    }
}

/// What is signed, and the signature.
#[derive(Debug)]
pub struct Proof {
    messages: Vec<String>,
    signatures: Vec<Vec<u8>>,
    /// When the client says it sent the request, in Unix seconds.
    pub timestamp: Option<i64>,
}

/// The time of a request is none, or not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{TIMESTAMP_HEADER} is more than 5 minutes off")]
pub struct NotNow;

impl Proof {
    /// Gathers it from a request. `authorized` says whether the path takes a credential in a header, which
    /// is signed then.
    pub fn of(
        public_url: &Url,
        parts: &Parts,
        body: &[u8],
        authorized: bool,
        now: i64,
    ) -> Result<Self, NotNow> {
        let timestamp = timestamp(&parts.headers, now)?;
        let value = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let signed = IDENTITY_SIGNED_HEADERS.into_iter().skip(usize::from(!authorized));
        let headers: Vec<_> = signed.filter_map(|name| Some((name, value(name)?))).collect();
        let digest = hex::encode(Sha256::digest(body));
        let message = |url: &String| identity_message(parts.method.as_str(), url, &headers, &digest);
        let messages = urls(public_url, parts).iter().map(message).collect();
        let signatures = value(IDENTITY_HEADER).map(decoded).unwrap_or_default();
        Ok(Self { messages, signatures, timestamp })
    }

    /// Whether the holder of the key signed the request, for one of the URLs that the client may have
    /// used. A text file that is signed often ends with a line feed.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.point());
        let fits = |message: &str| self.signatures.iter().any(|s| key.verify(message.as_bytes(), s).is_ok());
        self.messages.iter().any(|message| fits(message) || fits(&format!("{message}\n")))
    }
}

fn timestamp(headers: &HeaderMap, now: i64) -> Result<Option<i64>, NotNow> {
    let name = HeaderName::from_static("x-connect-timestamp");
    let Some(value) = headers.get(name) else { return Ok(None) };
    let sent: i64 = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or(NotNow)?;
    if sent.abs_diff(now) > CLOCKS_DIFFER { Err(NotNow) } else { Ok(Some(sent)) }
}

/// What a signature's text may stand for: hexadecimal digits, or Base64, or both.
fn decoded(text: &str) -> Vec<Vec<u8>> {
    let text = text.trim();
    if text.len() > MAX_SIGNATURE {
        return Vec::new();
    }
    [hex::decode(text).ok(), BASE64_STANDARD.decode(text).ok()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    struct Device {
        pair: EcdsaKeyPair,
        random: SystemRandom,
    }

    impl Device {
        fn new() -> Self {
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a pair");
            Self { pair, random }
        }

        fn pem(&self) -> String {
            let der = [SPKI_PREFIX.as_slice(), self.pair.public_key().as_ref()].concat();
            PublicKey { der }.to_pem()
        }

        fn sign(&self, text: &str) -> Vec<u8> {
            self.pair.sign(&self.random, text.as_bytes()).expect("signs").as_ref().to_vec()
        }
    }

    fn proof(signature: &str, headers: &[(&str, &str)], body: &[u8], authorized: bool) -> Proof {
        let mut request = Request::post("/x?a=1").header("host", "lan:1").header(IDENTITY_HEADER, signature);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let public = Url::parse("https://pi.example/").expect("a URL");
        Proof::of(&public, &parts, body, authorized, 1_000_000).expect("in time")
    }

    #[test]
    fn base64_and_hex_every_url_and_a_line_feed() {
        let device = Device::new();
        let key = PublicKey::parse(&device.pem()).expect("a key");
        let headers = [("authorization", "Bearer t"), ("content-type", "application/json")];
        let digest = hex::encode(Sha256::digest(b"{}"));
        for url in ["https://pi.example/x?a=1", "https://lan:1/x?a=1", "http://lan:1/x?a=1"] {
            for end in ["", "\n"] {
                for authorization in ["Authorization: Bearer t\n", ""] {
                    let text =
                        format!("POST\n{url}\n{authorization}Content-Type: application/json\n{digest}{end}");
                    let signature = device.sign(&text);
                    for written in [BASE64_STANDARD.encode(&signature), hex::encode(&signature)] {
                        let fits =
                            |body: &[u8], authorized| proof(&written, &headers, body, authorized).is_by(&key);
                        assert!(fits(b"{}", !authorization.is_empty()), "{text}");
                        assert!(!fits(b"{}", authorization.is_empty()), "the credential is signed or not");
                        assert!(!fits(b"{ }", !authorization.is_empty()), "another body");
                    }
                    let more = [headers.as_slice(), &[("accept", "*/*")]].concat();
                    let written = BASE64_STANDARD.encode(&signature);
                    assert!(
                        !proof(&written, &more, b"{}", !authorization.is_empty()).is_by(&key),
                        "Accept counts"
                    );
                }
            }
        }
        let elsewhere = device.sign(&format!("POST\nhttps://evil.example/x?a=1\nAuthorization: Bearer t\nContent-Type: application/json\n{digest}"));
        assert!(!proof(&hex::encode(elsewhere), &headers, b"{}", true).is_by(&key));
        for garbage in ["", "00", "zz", &"A".repeat(256), &"0".repeat(4096)] {
            assert!(!proof(garbage, &headers, b"{}", true).is_by(&key), "{garbage}");
        }
    }

    #[test]
    fn only_keys_of_this_curve_are_keys() {
        let pem = Device::new().pem();
        let key = PublicKey::parse(&pem).expect("a key");
        assert_eq!(key.to_pem(), pem);
        for same in [pem.replace('\n', "\r\n"), pem.trim_end().to_owned(), format!("\n{pem}\n")] {
            assert_eq!(PublicKey::parse(&same).as_ref(), Some(&key), "{same}");
        }
        // As `openssl ec -pubout -conv_form compressed` writes it: the same key, kept in the same words.
        let x = &key.point()[1..33];
        let head = [&SPKI_PREFIX[..], &[2 + (key.point()[64] & 1)], x].concat();
        let compressed = |mut der: Vec<u8>| {
            (der[1], der[24]) = (0x39, 0x22);
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
        };
        assert_eq!(PublicKey::parse(&compressed(head.clone())).as_ref(), Some(&key));
        let mut negated = head.clone();
        negated[26] ^= 1;
        assert_ne!(PublicKey::parse(&compressed(negated)).expect("another key"), key);
        // A point at infinity, one in the hybrid form, and one byte more than there should be.
        let tag = 6 + (key.point()[64] & 1);
        let hybrid = PublicKey { der: [&SPKI_PREFIX[..], &[tag], &key.point()[1..]].concat() }.to_pem();
        let infinity =
            "-----BEGIN PUBLIC KEY-----\nMBkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDAgAA\n-----END PUBLIC KEY-----\n";
        let longer = PublicKey { der: [&key.der[..], &[0]].concat() }.to_pem();
        let off_the_curve = {
            let mut der = key.der.clone();
            der[90] ^= 1;
            PublicKey { der }.to_pem()
        };
        let private = pem.replace("PUBLIC", "PRIVATE");
        // Ed25519, and P-384 as openssl writes them.
        let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA4z9Vff4AfwtYt9d3ub6buDMl/Dgd5N6DnrxyOZaSnzI=\n-----END PUBLIC KEY-----\n";
        let p384 = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEp1UktqwBWb+p6WfL4HOLRIISIv7ibTA1\nwNVJTe+OBBQqen1pHASp+66u6ZtuusfBBn7w0POwWrsLY1gI+rI6nnoxC90zdkG4\naxTWk1gU3BsYJE6IhuGxMs6DX/vfxWJr\n-----END PUBLIC KEY-----\n";
        for bad in [
            "",
            "x",
            &off_the_curve,
            &hybrid,
            infinity,
            &longer,
            &private,
            ed25519,
            p384,
            &format!("{pem}{pem}"),
            &format!("{private}{pem}"),
        ] {
            assert_eq!(PublicKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_now_or_refused() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-connect-timestamp", value.parse().expect("a value"));
            timestamp(&headers, 1_000_000)
        };
        assert_eq!((of("1000300"), of("999700")), (Ok(Some(1_000_300)), Ok(Some(999_700))));
        for bad in ["1000301", "999699", "", "now", "-1", "99999999999999999999", "1000000.5"] {
            assert_eq!(of(bad), Err(NotNow), "{bad}");
        }
        assert_eq!(timestamp(&HeaderMap::new(), 0), Ok(None));
    }
}
