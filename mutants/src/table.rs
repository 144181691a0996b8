//! Which files are changed, and which tests have to notice.

/// A crate whose files are changed.
pub struct Part {
    /// Its folder in `crates`, which is also its name.
    pub package: &'static str,
    /// Files and folders below its `src`.
    pub files: &'static [&'static str],
    /// From the quickest to the slowest: a mutant goes through them until one notices it.
    pub stages: &'static [Stage],
}

/// Tests of one binary.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stage {
    pub name: &'static str,
    pub package: &'static str,
    /// `lib`, or the name of a file or folder in `tests`.
    pub binary: &'static str,
    /// Only tests whose names begin like this.
    pub prefix: &'static str,
    /// Not these.
    pub without: &'static [&'static str],
    pub env: &'static [(&'static str, &'static str)],
    /// Left out with `--quick`.
    pub is_slow: bool,
}

const CORE: &str = "causeway-core";
const STORE: &str = "causeway-store";

const fn stage(name: &'static str, package: &'static str, binary: &'static str) -> Stage {
    Stage {
        name,
        package,
        binary,
        prefix: "",
        without: &[],
        env: &[],
        is_slow: false,
    }
}

const CONTRACT: Stage = Stage {
    prefix: "contract::",
    ..stage("store contract", STORE, "it")
};

const fn model(name: &'static str, env: &'static [(&'static str, &'static str)]) -> Stage {
    Stage {
        env,
        ..stage(name, CORE, "model")
    }
}

pub const PARTS: [Part; 2] = [
    Part {
        package: CORE,
        files: &[
            "consent",
            "plan",
            "contact",
            "rules",
            "shared_address.rs",
            "after_erasure.rs",
            "permission",
        ],
        stages: &[
            stage("unit tests", CORE, "lib"),
            model("model, 300 histories", &[("MODEL_CASES", "300")]),
            stage("proca", CORE, "proca"),
            stage("mapping", CORE, "mapping"),
            stage("shortcode", CORE, "shortcode"),
            stage("corpora", CORE, "corpora"),
            stage("unit tests of the store", STORE, "lib"),
            CONTRACT,
            Stage {
                is_slow: true,
                ..model("model, 6000 histories", &[("MODEL_CASES", "6000")])
            },
        ],
    },
    Part {
        package: STORE,
        files: &[
            "sqlite/outbox/build.rs",
            "sqlite/outbox/claim.rs",
            "sqlite/outbox/given.rs",
            "sqlite/people/shared.rs",
            "sqlite/people/unclear.rs",
            "sqlite/outbox/replan.rs",
            "sqlite/inbox/decide.rs",
        ],
        stages: &[
            stage("unit tests of the store", STORE, "lib"),
            CONTRACT,
            Stage {
                prefix: "own::",
                without: &["no_byte_of_an_erased_person_stays_in_the_files"],
                ..stage("tests of the file", STORE, "it")
            },
        ],
    },
];
