//! Whatever bytes come: the Proca decoder ends in an event, a skip or a reason, and never panics.
#![no_main]

use std::sync::{Arc, LazyLock};

use causeway_core::{
    clock::Timestamp,
    decode::proca::{OptInMode, ProcaDecoder, Testing},
    envelope::{Envelope, Meta},
    event::Decode,
    keystore::{Keystore, SharedKeystore},
};
use libfuzzer_sys::fuzz_target;

static DECODER: LazyLock<ProcaDecoder> = LazyLock::new(|| ProcaDecoder {
    namespace: "proca".into(),
    own_orgs: ["123".to_owned()].into(),
    keystore: Arc::new(SharedKeystore::new(
        Keystore::parse(include_str!("../../samples/keystore.json")).expect("the sample keystore is sound"),
    )),
    testing: Testing::Sandbox,
    opt_in: OptInMode::Single,
    purpose: "email".into(),
});

fuzz_target!(|body: &[u8]| {
    let envelope = Envelope {
        source: "queue".into(),
        dedup: [0; 16],
        dedup_window_ms: None,
        received_at: Timestamp::UNIX_EPOCH,
        meta: Meta::default(),
        body: body.to_vec().into(),
    };
    let first = DECODER.decode(&envelope);
    assert_eq!(first, DECODER.decode(&envelope), "decoding is a function of the bytes");
});
