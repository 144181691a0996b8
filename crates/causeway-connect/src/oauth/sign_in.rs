//! A person signs in at the vendor (authorization code with PKCE), for `causeway connect`.

use causeway_core::{clock::Timestamp, secret::Secret};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use url::Url;

use super::{App, Failure, Sealed, USUAL_LIFE, grant, response};
use crate::{http::Client, vault::Vault};

pub struct SignIn {
    pub(super) authorize_url: Url,
    pub(super) token_url: Url,
    pub(super) app: App,
    pub(super) scope: Option<String>,
    pub(super) more: Vec<(&'static str, &'static str)>,
}

/// A sign-in that waits for the person.
pub struct Started {
    /// Where the person signs in.
    pub url: Url,
    /// What the vendor must send back, which proves that the answer belongs to this sign-in.
    pub state: String,
    verifier: String,
    redirect: String,
}

impl SignIn {
    /// `redirect` is where the vendor sends the person's browser afterwards.
    pub fn start(&self, redirect: &str) -> Result<Started, Failure> {
        let (state, verifier) = (random()?, random()?);
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
        let mut url = self.authorize_url.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.app.id)
            .append_pair("redirect_uri", redirect)
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(scope) = &self.scope {
            query.append_pair("scope", scope);
        }
        for (name, value) in &self.more {
            query.append_pair(name, value);
        }
        drop(query);
        Ok(Started {
            url,
            state,
            verifier,
            redirect: redirect.to_owned(),
        })
    }

    /// Exchanges the code for tokens and keeps them.
    pub async fn finish(
        &self,
        started: &Started,
        code: &str,
        (client, vault): (&Client, &dyn Vault),
        name: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let pair = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        let form = [
            pair("grant_type", "authorization_code"),
            pair("code", code),
            pair("redirect_uri", &started.redirect),
            pair("code_verifier", &started.verifier),
        ];
        let request = grant::request(&self.token_url, &form, Some(&self.app))?;
        let granted = response::read(&client.send(&request).await?, now, name)?;
        let Some(refresh_token) = granted.refresh_token else {
            return Err(Failure::Refused(
                "the vendor gave no refresh token, so the sign-in would end within hours: allow offline access for the app, \
                 or withdraw its access at the vendor and sign in again"
                    .to_owned(),
            ));
        };
        let sealed = Sealed {
            refresh_token,
            access_token: Some(granted.access_token.reveal().to_owned()),
            ends_at: now.saturating_add(granted.life.unwrap_or(USUAL_LIFE)).ok(),
            renewing_until: None,
        };
        // A running hub may renew the old token at this moment; a sign-in replaces whatever is there.
        loop {
            let version = vault.version(name).await?;
            if vault.replace(name, version, &sealed.secret()?).await? {
                return Ok(());
            }
        }
    }
}

fn random() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Later(format!("no random numbers: {error}"), None))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}
