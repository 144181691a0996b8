//! Keyed hashes over several pieces, which need not be copied together.

use hmac::{Hmac, KeyInit};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::scheme::Hash;

/// A hash that already contains its key; cloned for each request.
#[derive(Clone)]
pub(super) enum Key {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// `None` if the hash does not accept the key; it accepts every length.
    pub(super) fn new(hash: Hash, key: &[u8]) -> Option<Self> {
        match hash {
            Hash::Sha1 => Hmac::new_from_slice(key).ok().map(Self::Sha1),
            Hash::Sha256 => Hmac::new_from_slice(key).ok().map(Self::Sha256),
            Hash::Sha512 => Hmac::new_from_slice(key).ok().map(Self::Sha512),
        }
    }

    pub(super) fn sign<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        match self.clone() {
            Self::Sha1(mac) => finish(mac, pieces),
            Self::Sha256(mac) => finish(mac, pieces),
            Self::Sha512(mac) => finish(mac, pieces),
        }
    }
}

fn finish<'a, M: hmac::Mac>(mut mac: M, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}
