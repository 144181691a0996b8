//! Runs the clients that vendors publish against the fakes of these vendors. Each file or folder is one vendor. The clients
//! are in the folder that the environment variable `CAUSEWAY_VENDOR_CLIENTS` names; `clients/install FOLDER` installs them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these end a test that has failed, also in functions that several tests share"
)]

mod actionnetwork;
mod activecampaign;
mod brevo;
mod civicrm;
mod cleverreach;
mod engagingnetworks;
mod google;
mod hubspot;
mod listmonk;
mod mailchimp;
mod mailjet;
mod mautic;
mod meta;
mod python;
mod salesforce;
mod supabase;
mod vbout;
