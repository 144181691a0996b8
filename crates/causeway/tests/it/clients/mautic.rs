//! Mautic's two ways of sending: webhooks, and the campaign action "Send a webhook".

use std::{fmt::Write as _, process::Command};

use causeway_testkit::rig::process::{program, run};
use serde_json::{Value, json};

use super::meant::TOKEN;
use crate::{
    running::{Home, blocking},
    sync::known,
};

const EMAIL: &str = "zoe+rivers@example.org";

/// The ways of a campaign, with common names of fields as keys.
const CAMPAIGN: [&str; 5] = ["form", "nested", "json", "get", "get-behind-a-query"];

/// One listener for each event of its webhooks. A change of the subscription has its state beside the contact.
const WEBHOOKS: &str = r#"
[source.webhook]
kind = "listener"
preset = "generic"
workspace = "webhook"
namespace = "mautic"
token = "receiver-of-the-way-webhook"
signature = { scheme = "mautic", secrets = ["the-secret-of-the-webhook"] }
[source.webhook.generic]
each = '"mautic.lead_post_save_update"'
email = "contact.fields.core.email.value"
id = "contact.id"
fields = "contact.fields.core"
time = "timestamp"

[source.subscription]
kind = "listener"
preset = "generic"
workspace = "webhook"
namespace = "mautic"
token = "receiver-of-the-way-subscription"
signature = { scheme = "mautic", secrets = ["the-secret-of-the-webhook"] }
[source.subscription.generic]
each = '"mautic.lead_channel_subscription_changed"'
email = "contact.fields.core.email.value"
id = "contact.id"
fields = "contact.fields.core"
time = "timestamp"
[[source.subscription.generic.consent_from]]
field = "new_status"
opt_in = ["contactable"]
unsubscribed = ["unsubscribed", "manual"]
bounced = ["bounced"]
"#;

fn config() -> String {
    let mut config = WEBHOOKS.to_owned();
    for way in CAMPAIGN {
        write!(
            config,
            "[source.{way}]\nkind = 'listener'\npreset = 'generic'\nworkspace = '{way}'\nnamespace = 'mautic'\ntoken = '{TOKEN}{way}'\n"
        )
        .expect("a text grows");
    }
    config
}

/// The fields of the contact in a webhook.
fn fields_of_the_webhook() -> Value {
    json!({
        "email": EMAIL, "firstName": "Zoë \"Zo\" O'Brien", "lastName": "Ünal & Söhne 🌻", "phone": "+49 30 555 01", "points": 7,
        "locality": "Köln", "postcode": "04103", "country": "Germany", "topics": "bees|rivers & lakes", "motto": null,
    })
}

/// The fields of a campaign, which its user named.
fn fields_of(way: &str) -> Value {
    let mut fields = json!({
        "email": EMAIL, "firstName": "Zoë \"Zo\" O'Brien", "lastName": "Ünal & Söhne 🌻", "phone": "+49 30 555 01",
        "motto": "100% a=b;c",
    });
    match way {
        "nested" => {
            fields["contact"] = json!({
                "id": "11", "email": EMAIL, "firstname": "Zoë \"Zo\" O'Brien", "lastname": "Ünal & Söhne 🌻",
                "mobile": "+49 30 555 01", "motto": "100% a=b;c", "phone": "",
            });
        }
        "get-behind-a-query" => fields["from"] = "mautic".into(),
        _ => {}
    }
    if way != "nested" {
        fields["contact_id"] = "11".into();
    }
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn mautic_s_webhooks_and_campaigns_say_what_they_mean() {
    let home = Home::new(&config());
    let hub = home.serve();
    home.write("mautic.php", include_str!("scripts/mautic.php"));
    let mut php = Command::new(program("php", &["/usr/bin"]));
    php.arg("mautic.php")
        .arg(format!("http://{}/in/", hub.listener))
        .current_dir(home.path(""));
    let printed = blocking(move || run(php)).await;
    let ways = ["webhook", "subscription"].into_iter().chain(CAMPAIGN);
    let expected: Vec<String> = ways.map(|way| format!("{way} 200")).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{}", hub.log());
    // The two contacts of the first request are separate messages.
    home.settled(9).await;
    let ids = json!([
        { "kind": "email", "address": EMAIL },
        { "kind": "foreign_id", "namespace": "mautic", "id": "11" },
    ]);
    for way in CAMPAIGN {
        let known = known(&home, way, EMAIL);
        assert_eq!(known["fields"], fields_of(way), "{way}");
        assert_eq!(known["identities"], ids, "{way}");
    }
    let zoe = known(&home, "webhook", EMAIL);
    assert_eq!(zoe["fields"], fields_of_the_webhook());
    assert_eq!(zoe["identities"], ids);
    let ann = home.ok(&["contact", "show", "ann@example.org", "--workspace", "webhook"]);
    assert!(ann.contains("unsubscribed"), "{ann}");
    hub.stop();
}
