//! The calls that a delivery may need.

use super::bulk::{JobId, Operation};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::destination) enum Step {
    /// Reads whether a job that may write the same person runs still.
    Before(JobId),
    /// Ends a job that nobody will close.
    Abort(JobId),
    /// Reads who has one of the person's keys, or the address.
    Find,
    /// Reads the next page of records with one address.
    FindMore,
    /// Writes an opt-out, a bounce or an erasure to one record that was found.
    Mark,
    /// Writes them to many records of one person.
    MarkMany,
    Delete,
    /// Starts a job whose file is uploaded.
    Close(JobId),
    /// Reads the state of a job.
    Look(JobId),
    Successes(JobId),
    Failures(JobId),
    /// Changes the record that was found.
    Update,
    /// Creates a record under the key.
    Upsert,
    CreateJob(Operation),
    /// Uploads the file of a job.
    Load(Operation, JobId),
    AddCampaign,
    AddMember,
    AddAction,
}

impl Step {
    pub fn order(self) -> u8 {
        match self {
            Self::Before(_) | Self::Abort(_) => 0,
            Self::Find | Self::FindMore => 1,
            // Opt-outs come before anything that may take longer.
            Self::Mark | Self::MarkMany | Self::Delete => 2,
            Self::Close(_) => 3,
            Self::Look(_) | Self::Successes(_) | Self::Failures(_) => 4,
            Self::Update | Self::Upsert => 5,
            Self::CreateJob(_) => 6,
            Self::Load(..) => 7,
            Self::AddCampaign => 8,
            Self::AddMember => 9,
            Self::AddAction => 10,
        }
    }

    pub fn is_of_job(self) -> bool {
        matches!(
            self,
            Self::Before(_)
                | Self::Abort(_)
                | Self::Close(_)
                | Self::Look(_)
                | Self::Successes(_)
                | Self::Failures(_)
                | Self::CreateJob(_)
                | Self::Load(..)
        )
    }
}
