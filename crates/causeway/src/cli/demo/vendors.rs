//! Vendors' accounts in memory, as destinations of the demo.

use std::{any::Any, sync::Arc};

use causeway_core::clock::Clock;
use causeway_fakes::vendors::{
    FakeVendor, Vendor, actionnetwork, activecampaign, brevo, civicrm, cleverreach, engagingnetworks, google,
    hubspot, listmonk, mailchimp, mailjet, mautic, meta, salesforce, supabase, vbout,
};
use jiff::tz::TimeZone;

/// An account that runs until it is dropped.
pub(super) struct Account {
    pub name: &'static str,
    /// Where to look at its content.
    pub url: String,
    /// The section of the configuration, without its title and kind.
    keys: String,
    _running: Box<dyn Any + Send>,
}

/// The kinds of destinations that can be tried this way.
pub(super) const NAMES: [&str; 16] = [
    "actionnetwork",
    "activecampaign",
    "brevo",
    "civicrm",
    "cleverreach",
    "engagingnetworks",
    "google",
    "hubspot",
    "listmonk",
    "mailchimp",
    "mailjet",
    "mautic",
    "meta",
    "salesforce",
    "supabase",
    "vbout",
];

impl Account {
    pub(super) fn section(&self) -> String {
        let Self { name, url, keys, .. } = self;
        format!(
            "\n[destination.{name}]           # {name}'s API in memory: {url}/\nkind = \"{name}\"\nconsent = \"opt_in\"\n\
             allow_private = true\n{keys}\n"
        )
    }
}

/// Starts an account. `None` if there is none of that name.
pub(super) async fn start(name: &str, clock: &Arc<dyn Clock>) -> Option<Account> {
    let clock = || Arc::clone(clock);
    let account = match name {
        "actionnetwork" => {
            let group = actionnetwork::ActionNetwork::new(clock());
            let keys = format!("api_key = \"{}\"", actionnetwork::TOKEN);
            run("actionnetwork", group, |url| {
                format!("base_url = \"{url}\"\n{keys}")
            })
            .await
        }
        "activecampaign" => {
            let mut fake = activecampaign::ActiveCampaign::new(clock());
            let list = fake.add_list("News");
            let keys = format!("list = {list}\ntoken = \"{}\"", activecampaign::TOKEN);
            run("activecampaign", fake, |url| {
                format!("base_url = \"{url}\"\n{keys}")
            })
            .await
        }
        "civicrm" => {
            let mut site = civicrm::CiviCrm::new(clock());
            site.zone = TimeZone::UTC;
            let (key, path) = (civicrm::API_KEY, civicrm::PATH);
            run("civicrm", site, |url| {
                format!("api_key = \"{key}\"\nbase_url = \"{url}{path}\"\ntime_zone = \"UTC\"")
            })
            .await
        }
        "google" => {
            let mut fake = google::Google::new(clock());
            let list = fake.add_list(google::ACCOUNT, "Supporters");
            let (token, account) = (google::TOKEN, google::ACCOUNT);
            run("google", fake, |url| {
                format!("token = \"{token}\"\naccount = \"{account}\"\nlist = {list}\naccept_terms = true\nbase_url = \"{url}\"")
            })
            .await
        }
        "hubspot" => {
            let mut fake = hubspot::HubSpot::default();
            fake.clock.set(clock().now());
            fake.clock.run();
            fake.add_subscription(7, "News");
            fake.account.has_data_privacy = true;
            let keys = format!("token = \"{}\"\nsubscription = 7", hubspot::TOKEN);
            run("hubspot", fake, |url| format!("{keys}\nbase_url = \"{url}\"")).await
        }
        "meta" => {
            let mut fake = meta::Meta::new(clock());
            let audience = fake.add_audience(meta::ACCOUNT, "Supporters");
            let keys = format!("token = \"{}\"\naudience = {audience}", meta::TOKEN);
            run("meta", fake, |url| format!("{keys}\nbase_url = \"{url}\"")).await
        }
        _ => return records(name, clock()).await,
    };
    Some(account)
}

/// Accounts of systems of record with tables of one's own.
async fn records(name: &str, clock: Arc<dyn Clock>) -> Option<Account> {
    let account = match name {
        "salesforce" => {
            let mut org = salesforce::Salesforce::new(clock);
            org.add_field("Contact", salesforce::Field::external_id("Causeway_Id__c"));
            let keys = format!("token = \"{}\"", salesforce::TOKEN);
            run("salesforce", org, |url| format!("{keys}\nbase_url = \"{url}\"")).await
        }
        "supabase" => {
            let project = supabase::Supabase::with_tables(clock);
            let key = supabase::SECRET_KEY;
            run("supabase", project, |url| {
                format!(
                    "api_key = \"{key}\"\nbase_url = \"{url}/rest/v1\"\ncontacts = {{ table = \"contacts\" }}\n\
                     actions = {{ table = \"actions\" }}"
                )
            })
            .await
        }
        _ => return newsletter(name, clock).await,
    };
    Some(account)
}

/// Accounts of newsletter tools.
async fn newsletter(name: &str, clock: Arc<dyn Clock>) -> Option<Account> {
    let account = match name {
        "brevo" => {
            let mut fake = brevo::Brevo::default();
            fake.clock.set(clock.now());
            fake.clock.run();
            let list = fake.add_list("News");
            let keys = format!("token = \"{}\"\nlists = [{list}]", brevo::KEY);
            run("brevo", fake, |url| format!("{keys}\nbase_url = \"{url}\"")).await
        }
        "cleverreach" => {
            let mut fake = cleverreach::CleverReach::new(clock);
            let group = fake.add_group("News");
            let keys = format!("group = {group}\ntoken = \"{}\"", cleverreach::TOKEN);
            run("cleverreach", fake, |url| format!("{keys}\nbase_url = \"{url}\"")).await
        }
        "listmonk" => {
            let keys = format!(
                "user = \"{}\"\ntoken = \"{}\"\nlists = [1]",
                listmonk::USER,
                listmonk::TOKEN
            );
            let fake = listmonk::Listmonk::new(clock);
            run("listmonk", fake, |url| format!("{keys}\nbase_url = \"{url}\"")).await
        }
        "mailchimp" => {
            let keys = format!("token = \"{}\"\nlist = \"{}\"", mailchimp::KEY, mailchimp::LIST);
            let mut fake = mailchimp::Mailchimp::default();
            fake.clock.set(clock.now());
            fake.clock.run();
            run("mailchimp", fake, |url| format!("{keys}\nbase_url = \"{url}\"")).await
        }
        "mailjet" => {
            let mut fake = mailjet::Mailjet::new(clock);
            let list = fake.add_list("News");
            let (key, secret) = (mailjet::API_KEY, mailjet::SECRET_KEY);
            run("mailjet", fake, |url| {
                format!("list = {list}\napi_key = \"{key}\"\nsecret_key = \"{secret}\"\nbase_url = \"{url}\"")
            })
            .await
        }
        _ => return automation(name, clock).await,
    };
    Some(account)
}

/// Accounts of tools with automations or pages of their own.
async fn automation(name: &str, clock: Arc<dyn Clock>) -> Option<Account> {
    let account = match name {
        "engagingnetworks" => {
            let mut fake = engagingnetworks::EngagingNetworks::new(clock);
            let page = fake.add_page("Save the river", "pet");
            (fake.limit, fake.page_limit) = (None, None);
            let keys = format!(
                "token = \"{}\"\nopt_ins = [\"{}\"]\naction = {{ page = \"={page}\" }}\ncalls_per_hour = 3600000\n\
                 page_calls_per_5_min = 300000",
                engagingnetworks::TOKEN,
                engagingnetworks::OPT_IN
            );
            run("engagingnetworks", fake, |url| {
                format!("{keys}\nbase_url = \"{url}{}\"", engagingnetworks::PATH)
            })
            .await
        }
        "mautic" => {
            let mut site = mautic::Mautic::new(clock);
            let segment = site.add_segment("News");
            let (user, password) = (mautic::USER, mautic::PASSWORD);
            run("mautic", site, |url| {
                format!(
                    "segments = [{segment}]\nuser = \"{user}\"\npassword = \"{password}\"\nbase_url = \"{url}\""
                )
            })
            .await
        }
        "vbout" => {
            let mut fake = vbout::Vbout::new(clock);
            let news = fake.add_list("News", &["First Name", "Last Name"]);
            let (key, first, last) = (vbout::KEY, news + 1, news + 2);
            run("vbout", fake, |url| {
                format!(
                    "list = {news}\napi_key = \"{key}\"\nbase_url = \"{url}\"\n\
                     fields = {{ {first} = \"contact.firstName\", {last} = \"contact.lastName\" }}"
                )
            })
            .await
        }
        _ => return None,
    };
    Some(account)
}

/// `keys` makes the section's keys from the address of the account.
async fn run<V: Vendor>(name: &'static str, vendor: V, keys: impl FnOnce(&str) -> String) -> Account {
    let running = FakeVendor::start(vendor).await;
    let url = running.url();
    Account {
        name,
        keys: keys(&url),
        url,
        _running: Box::new(running),
    }
}
