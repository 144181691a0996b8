//! placeholder
use crate::{Bench, report::Section};
pub async fn run(_bench: &Bench) -> anyhow::Result<Section> { anyhow::bail!("later") }
