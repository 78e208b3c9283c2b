//! The beginning of RFB (RFC 6143, 7.1), spoken by this device where the VNC server asks for a password:
//! the device answers the server's challenge, and the browser, which has proved itself to the Bramble
//! server and talks through an encrypted channel, is asked for nothing. So the password stays here.
//! Sans I/O: bytes in, bytes out.

use crate::state::SecretText;
use des::{
    Des,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use std::collections::VecDeque;
use zeroize::Zeroize;

/// What this device says to a browser: RFB 3.8 is what noVNC and all of today's viewers speak.
const VERSION: &[u8; 12] = b"RFB 003.008\n";
/// Security types.
const NONE: u8 = 1;
const VNC: u8 = 2;
/// The VNC server's challenge, in bytes.
const CHALLENGE: usize = 16;

pub(super) const STRANGE: &str =
    "What answers on the screen sharing socket of this device is not a VNC server.";
const REFUSED: &str = "The desktop's VNC server does not take the password that this device has for it. Set the right one on the device with: rpi-connect screen";
const TURNED_AWAY: &str = "The desktop's VNC server takes no connection at the moment.";
const OTHER_WAY: &str = "The desktop's VNC server asks for a kind of sign-in that this device does not know. A VNC password works.";
pub(super) const UNASKED: &str = "The desktop's VNC server does not ask for the password that this device has for it. Set it up anew on the device with: rpi-connect screen";
const STRANGE_VIEWER: &str = "This browser does not speak the screen's protocol.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Version,
    /// RFB 3.7 and later: the server offers some.
    Types,
    /// RFB 3.3: the server decides.
    Type,
    Challenge,
    Result,
    ViewerVersion,
    ViewerType,
    Done,
}

/// A handshake with both sides, first with the server.
#[derive(Debug)]
pub(super) struct Handshake {
    stage: Stage,
    password: SecretText,
    /// Version 3 point this.
    minor: u8,
    heard: Vec<u8>,
    /// For the browser.
    pub(super) to_viewer: VecDeque<u8>,
}

impl Handshake {
    pub(super) fn new(password: SecretText) -> Self {
        Self { stage: Stage::Version, password, minor: 8, heard: Vec::new(), to_viewer: VecDeque::new() }
    }

    /// The server waits for what the browser says after the handshake.
    pub(super) fn is_with_viewer(&self) -> bool {
        self.stage >= Stage::ViewerVersion
    }

    /// The server has said that it wants a password.
    pub(super) fn is_asked(&self) -> bool {
        self.stage >= Stage::Challenge
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done && self.to_viewer.is_empty()
    }

    /// Takes what the server said and returns the answer to it.
    pub(super) fn hear_server(&mut self, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        self.heard.extend(bytes);
        let mut answer = Vec::new();
        while !self.is_with_viewer() && self.step(&mut answer)? {}
        // It must not say more before it was spoken to.
        if self.is_with_viewer() && !self.heard.is_empty() {
            return Err(STRANGE);
        }
        Ok(answer)
    }

    /// Goes on as far as one message; `false` if it is not there yet.
    fn step(&mut self, answer: &mut Vec<u8>) -> Result<bool, &'static str> {
        match self.stage {
            Stage::Version => {
                let known = self.heard.len().min(4);
                if self.heard[..known] != VERSION[..known] {
                    return Err(STRANGE);
                }
                let Some(version) = self.take::<12>() else { return Ok(false) };
                self.minor = minor(version)?;
                answer.extend(format!("RFB 003.00{}\n", self.minor).bytes());
                self.stage = if self.minor == 3 { Stage::Type } else { Stage::Types };
            }
            Stage::Types => {
                let Some(count) = self.heard.first().copied().map(usize::from) else { return Ok(false) };
                if count == 0 {
                    return Err(TURNED_AWAY);
                }
                if self.heard.len() <= count {
                    return Ok(false);
                }
                let types: Vec<u8> = self.heard.drain(..=count).skip(1).collect();
                // The password is there to be asked for: whoever asks for none is not who it was meant for.
                if !types.contains(&VNC) {
                    return Err(if types.contains(&NONE) { UNASKED } else { OTHER_WAY });
                }
                answer.push(VNC);
                self.stage = Stage::Challenge;
            }
            Stage::Type => {
                let Some(chosen) = self.take::<4>() else { return Ok(false) };
                self.stage = match u32::from_be_bytes(chosen) {
                    0 => return Err(TURNED_AWAY),
                    1 => return Err(UNASKED),
                    2 => Stage::Challenge,
                    _ => return Err(OTHER_WAY),
                };
            }
            Stage::Challenge => {
                let Some(challenge) = self.take::<CHALLENGE>() else { return Ok(false) };
                answer.extend(response(self.password.expose(), challenge));
                self.stage = Stage::Result;
            }
            Stage::Result => {
                let Some(result) = self.take::<4>() else { return Ok(false) };
                if result != [0; 4] {
                    return Err(REFUSED);
                }
                self.to_viewer.extend(VERSION);
                self.stage = Stage::ViewerVersion;
            }
            Stage::ViewerVersion | Stage::ViewerType | Stage::Done => return Ok(false),
        }
        Ok(true)
    }

    /// Takes what the browser said, and returns how much of it belonged to the handshake.
    pub(super) fn hear_viewer(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut used = 0;
        while self.stage != Stage::Done {
            let wanted = match self.stage {
                Stage::ViewerVersion => VERSION.len(),
                Stage::ViewerType => 1,
                // It has not been spoken to.
                _ => return Err(STRANGE_VIEWER),
            };
            let part = bytes.len().min(used + wanted - self.heard.len());
            self.heard.extend(&bytes[used..part]);
            used = part;
            if self.heard.len() < wanted {
                break;
            }
            let said = std::mem::take(&mut self.heard);
            match self.stage {
                Stage::ViewerVersion if said == VERSION => {
                    self.to_viewer.extend([1, NONE]);
                    self.stage = Stage::ViewerType;
                }
                Stage::ViewerType if said == [NONE] => {
                    self.to_viewer.extend([0; 4]);
                    self.stage = Stage::Done;
                }
                _ => return Err(STRANGE_VIEWER),
            }
        }
        Ok(used)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.heard.first_chunk::<N>().copied()?;
        self.heard.drain(..N);
        Some(taken)
    }
}

/// The version to speak with a server that greets so.
fn minor(version: [u8; 12]) -> Result<u8, &'static str> {
    let [b'R', b'F', b'B', b' ', major @ .., b'\n'] = version else { return Err(STRANGE) };
    let text = std::str::from_utf8(&major).map_err(|_| STRANGE)?;
    let (major, minor) = text.split_once('.').ok_or(STRANGE)?;
    match (major.parse::<u16>(), minor.parse::<u16>()) {
        (Ok(3), Ok(8..)) | (Ok(4..), Ok(_)) => Ok(8),
        (Ok(3), Ok(7)) => Ok(7),
        // Everything older is treated as 3.3 (RFC 6143, 7.1.1).
        (Ok(3), Ok(_)) => Ok(3),
        _ => Err(STRANGE),
    }
}

/// DES of the challenge, with the password's first eight bytes as key, each with its bits turned round
/// (RFC 6143, 7.2.2).
fn response(password: &str, challenge: [u8; CHALLENGE]) -> [u8; CHALLENGE] {
    let mut key = [0; 8];
    for (to, from) in key.iter_mut().zip(password.bytes()) {
        *to = from.reverse_bits();
    }
    let cipher = Des::new(&key.into());
    key.zeroize();
    let mut response = challenge;
    for block in response.as_chunks_mut::<8>().0 {
        let mut it = (*block).into();
        cipher.encrypt_block(&mut it);
        *block = it.into();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fresh() -> Handshake {
        Handshake::new(SecretText::new("secret99-and-more".into()))
    }

    #[test]
    fn the_response_is_des_with_the_bits_turned_round() {
        // openssl enc -des-ecb -nopad -provider legacy -K ce46… over sixteen zero bytes.
        assert_eq!(hex::encode(response("password", [0; 16])), EXPECTED);
        assert_eq!(response("password-beyond", [7; 16]), response("password", [7; 16]));
    }

    const EXPECTED: &str = "ff97502e9422f089ff97502e9422f089";

    #[test]
    fn both_sides_get_through_byte_by_byte_in_each_version() {
        for (version, types, minor) in [
            (b"RFB 003.008\n", &[2, 1, 2][..], b'8'),
            (b"RFB 003.889\n", &[1, 2], b'8'),
            (b"RFB 004.001\n", &[1, 2], b'8'),
            (b"RFB 003.007\n", &[1, 2], b'7'),
            (b"RFB 003.003\n", &[0, 0, 0, 2], b'3'),
            (b"RFB 003.005\n", &[0, 0, 0, 2], b'3'),
        ] {
            let mut it = fresh();
            let mut said = Vec::new();
            for byte in [&version[..], types, &[9; 16], &[0; 4]].concat() {
                assert!(!it.is_with_viewer());
                said.extend(it.hear_server(&[byte]).expect("goes on"));
            }
            assert_eq!(said[10], minor);
            assert_eq!(said.len(), 12 + usize::from(minor > b'3') + 16);
            assert_eq!(said[said.len() - 16..], response("secret99", [9; 16]));
            let mut shown = Vec::new();
            for byte in [&VERSION[..], &[NONE]].concat() {
                shown.extend(it.to_viewer.drain(..));
                assert_eq!(it.hear_viewer(&[byte]), Ok(1));
            }
            shown.extend(it.to_viewer.drain(..));
            assert!(it.is_done());
            assert_eq!(shown, [&VERSION[..], &[1, NONE], &[0; 4]].concat());
        }
    }

    #[test]
    fn what_the_browser_says_next_is_left_for_the_server() {
        let mut it = fresh();
        it.hear_server(b"RFB 003.008\n\x01\x02").expect("goes on");
        it.hear_server(&[9; 16]).expect("goes on");
        assert_eq!(it.hear_viewer(VERSION), Err(STRANGE_VIEWER));
        it.hear_server(&[0; 4]).expect("goes on");
        assert_eq!(it.hear_viewer(b"RFB 003.008\n\x01\x01more"), Ok(13));
    }

    #[test]
    fn a_server_without_the_password_is_left() {
        for (said, why) in [
            (&b"HTTP/1.1 200 OK"[..], STRANGE),
            (b"RFB abc.def\n", STRANGE),
            (b"RFB 002.000\n", STRANGE),
            (b"RFB 003.008\n\x00\x00\x00\x00\x04busy", TURNED_AWAY),
            (b"RFB 003.008\n\x01\x01", UNASKED),
            (b"RFB 003.008\n\x02\x13\x05", OTHER_WAY),
            (b"RFB 003.003\n\x00\x00\x00\x00", TURNED_AWAY),
            (b"RFB 003.003\n\x00\x00\x00\x01", UNASKED),
        ] {
            assert_eq!(fresh().hear_server(said), Err(why));
        }
        let mut it = fresh();
        let wrong = [&b"RFB 003.008\n\x01\x02"[..], &[9; 16], &[0, 0, 0, 1]].concat();
        assert_eq!(it.hear_server(&wrong), Err(REFUSED));
        let mut it = fresh();
        let chatty = [&b"RFB 003.008\n\x01\x02"[..], &[9; 16], &[0; 4], b"x"].concat();
        assert_eq!(it.hear_server(&chatty), Err(STRANGE));
    }

    proptest! {
        #[test]
        fn garbage_ends_it_or_waits_and_is_not_kept(said in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let mut it = fresh();
            for part in said {
                if it.hear_server(&part).is_err() {
                    break;
                }
                prop_assert!(it.heard.len() <= 256);
            }
        }
    }
}
