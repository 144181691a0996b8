//! What must hold for every body that a queue may bring.

use std::sync::{Arc, LazyLock};

use causeway_core::{
    clock::Timestamp,
    decode::{
        placeholders::Placeholders,
        proca::{OptInMode, ProcaDecoder, Testing},
    },
    envelope::{Dedup, Envelope, Meta},
    event::Decode,
    keystore::{Keystore, SharedKeystore},
};

static DECODER: LazyLock<ProcaDecoder> = LazyLock::new(|| ProcaDecoder {
    placeholders: Placeholders::default(),
    namespace: "proca".into(),
    own_orgs: ["123".to_owned()].into(),
    keystore: Arc::new(SharedKeystore::new(
        Keystore::parse(include_str!("../../samples/keystore.json")).unwrap_or_default(),
    )),
    testing: Testing::Sandbox,
    opt_in: OptInMode::Single,
    purpose: "email".into(),
    consent_from: Vec::new(),
});

pub fn hold(body: &[u8]) {
    let envelope = Envelope {
        source: "queue".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: Timestamp::UNIX_EPOCH,
        meta: Meta::default(),
        body: body.to_vec().into(),
    };
    let first = DECODER.decode(&envelope);
    assert_eq!(
        first,
        DECODER.decode(&envelope),
        "decoding is a function of the bytes"
    );
}
