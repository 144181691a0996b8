//! `causeway migrate proca-sync`: no key of the file is lost, no secret is copied, and the result is valid.

use std::path::Path;

use causeway::{cli::migrate::proca_sync::migrate, config};
use proptest::prelude::*;

use crate::running::Home;

/// Environment files like those of organisations; the names and values are invented.
const FILES: [(&str, &str); 8] = [
    (
        ".env.rivers",
        "# Rivers\nPROCA_QUEUE=cus.12.deliver\nPROCA_USERNAME=ann@example.org\nPROCA_PASSWORD='s3cr#t/pass'\nCRM=brevo\n\
         CRM_TYPE=DOUBLE_OPTIN\nCRM_API_TOKEN=xkeysib-hidden-1\nLIST=42\nOPTIN=OPT_IN\nDOUBLE_OPTIN=DOI\n\
         CONTACT_ATTRIBUTES='{\"FIRSTNAME\":\"firstName\",\"LANG\":\"locale\",\"SHOE\":\"shoe size\"}'\nconcurrency=4\nNODE_ENV=production\n",
    ),
    (
        ".env.bees",
        "export PROCA_URL=\"amqps://bees:hidden%2F2@queue.example.org/proca_live\"\nexport PROCA_QUEUE=\"cus.7.deliver\"\n\
         export CRM=civicrm\nCIVICRM_URL=https://crm.example.org/hidden-path\nCIVICRM_API_KEY=hidden-3 # rotate in May\n\
         CIVICRM_KEY=hidden-4\nCIVICRM_PATH=civicrm/ajax/api4\nGROUP=Newsletter\nCUSTOM_FIELDS=\n",
    ),
    (
        ".env.csv",
        "PROCA_QUEUE=cus.3.deliver\nPROCA_USERNAME=csv\nPROCA_PASSWORD=hidden-5\nPROCA_URL=queue.example.org/vhost\nCRM=csv\nCSV_PATH=data/all.csv\n",
    ),
    (
        ".env.lists",
        "PROCA_QUEUE=cus.9.deliver_second\nPROCA_USERNAME=u\nPROCA_PASSWORD=`hidden'\"6`\nCRM=mailchimp\nMERGE_FIELDS=FNAME=firstName, LNAME=lastName\n\
         MAILCHIMP_KEY=hidden-7-us1\nSENTRY_URL=https://hidden-8@sentry.example.org/1\nREACT_APP_API_URL=https://api.example.org\nORG=lists\n",
    ),
    (
        ".env.table",
        "PROCA_QUEUE=cus.5.deliver\nPROCA_USERNAME=u\nPROCA_PASSWORD=hidden-9\nCRM=supabase\nACTION_TYPE=Contact\nSUPABASE_URL=https://hidden-10.example.org\n\
         SUPABASE_SECRET=\"hidden-11\nover two lines\"\nTABLE=actions\nOPTIN=opt_in\nMERGE_FIELDS=first_name=firstName,odd-name=lastName\n",
    ),
    (
        ".env.hub",
        "PROCA_QUEUE=cus.6.deliver\nPROCA_USERNAME=u\nPROCA_PASSWORD=p-hidden-12\nCRM=gpdedatahub\nCRM_URL=https://hidden-13.example.org/in\npromocode=AB12\n",
    ),
    (
        ".env.odd",
        "CRM=mailchmp\nCRM_TYPE=Everybody\nthis is no line\nconcurrency=many\nPROCA_QUEUE=cus.12.deliver; rm\nPROCA_QUEUE=\n#PROCA_USERNAME=off\n",
    ),
    (".env.empty", ""),
];

fn parsed(what: &str, text: &str) -> config::Config {
    config::parse(Path::new("causeway.toml"), text).unwrap_or_else(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{what}: {}\n{text}", lines.join("\n"))
    })
}

#[test]
fn every_file_becomes_a_configuration_that_names_each_key_and_holds_no_secret() {
    for (name, file) in FILES {
        let migrated = migrate(name, file);
        parsed(name, &migrated.text);
        assert!(!migrated.text.contains("hidden"), "{name}: {}", migrated.text);
        assert!(!migrated.text.contains("s3cr"), "{name}: {}", migrated.text);
        for line in file.lines() {
            let line = line.trim_start_matches("export ").trim_start_matches('#');
            let Some((key, _)) = line.split_once('=') else {
                continue;
            };
            let is_named = migrated.text.contains(&format!("#   {key:<20} "));
            assert!(is_named, "{name}: {key} is lost:\n{}", migrated.text);
        }
    }
}

fn of(name: &str) -> (causeway::cli::migrate::proca_sync::Migrated, config::Config) {
    let file = FILES
        .iter()
        .find(|(known, _)| *known == name)
        .expect("the file")
        .1;
    let migrated = migrate(name, file);
    let config = parsed(name, &migrated.text);
    (migrated, config)
}

#[test]
fn queue_consent_and_destination_are_carried_over() {
    for (name, queue, source_consent, kind, consent) in [
        (
            ".env.rivers",
            "cus.12.deliver",
            "double_opt_in",
            "brevo",
            "double_opt_in",
        ),
        (".env.bees", "cus.7.deliver", "single", "civicrm", "opt_in"),
        (".env.csv", "cus.3.deliver", "single", "file", "with_consent"),
        (
            ".env.lists",
            "cus.9.deliver_second",
            "single",
            "mailchimp",
            "opt_in",
        ),
        (".env.table", "cus.5.deliver", "single", "sql", "with_consent"),
        (
            ".env.hub",
            "cus.6.deliver",
            "double_opt_in",
            "webhook",
            "double_opt_in",
        ),
    ] {
        let (_, config) = of(name);
        let (source, destination) = (&config.sources["proca"], &config.destinations["crm"]);
        assert_eq!(source.table["queue"].as_str(), Some(queue), "{name}");
        assert_eq!(source.table["consent"].as_str(), Some(source_consent), "{name}");
        assert_eq!(destination.kind.name, kind, "{name}");
        assert_eq!(destination.rule.policy.as_str(), consent, "{name}");
    }
}

#[test]
fn fields_settings_and_addresses_are_carried_over_and_the_rest_is_to_do() {
    let (migrated, rivers) = of(".env.rivers");
    let crm = &rivers.destinations["crm"];
    let fields = crm.table["fields"].as_table().expect("fields");
    for (name, path) in [
        ("FIRSTNAME", "contact.firstName"),
        ("LANG", "page.locale"),
        ("OPT_IN", "consent.email.subscribed"),
        ("DOI", "consent.email.state"),
    ] {
        assert_eq!(fields[name].as_str(), Some(path), "{name}");
    }
    assert_eq!(crm.table["lists"], toml::Value::from(vec![42]));
    assert_eq!(crm.pace.concurrency, 4);
    assert!(
        migrated.to_do.iter().any(|what| what.contains("SHOE")),
        "{:?}",
        migrated.to_do
    );
    let (migrated, _) = of(".env.bees");
    assert!(
        migrated.text.contains("url = { env = \"PROCA_URL\" }"),
        "{}",
        migrated.text
    );
    let (_, csv) = of(".env.csv");
    assert_eq!(
        csv.destinations["crm"].table["path"].as_str(),
        Some("data/all.csv")
    );
    let (migrated, table) = of(".env.table");
    let columns = &table.destinations["crm"].table["contacts"]["columns"];
    assert_eq!(columns["opt_in"].as_str(), Some("consent.email.subscribed"));
    assert_eq!(columns["email"].as_str(), Some("contact.email"));
    assert!(columns.get("odd-name").is_none(), "{columns}");
    assert!(
        migrated.to_do.iter().any(|what| what.contains("odd-name")),
        "{:?}",
        migrated.to_do
    );
    let (migrated, _) = of(".env.hub");
    assert!(
        migrated.text.contains("url = { env = \"CRM_URL\" }"),
        "{}",
        migrated.text
    );
    let (migrated, _) = of(".env.odd");
    for says in [
        "did you mean `mailchimp`?",
        "CRM_TYPE has an unknown value",
        "line 3 is neither",
        "PROCA_QUEUE is missing",
        "PROCA_QUEUE appears more than once",
        "PROCA_PASSWORD is missing",
    ] {
        assert!(
            migrated.to_do.iter().any(|what| what.contains(says)),
            "{says}: {:?}",
            migrated.to_do
        );
    }
}

/// Files in the format of proca-sync's connectors; the names and values are invented.
fn of_lines(more: &str) -> (causeway::cli::migrate::proca_sync::Migrated, config::Config) {
    let migrated = migrate(".env.any", &format!("{HEAD}{more}"));
    let config = parsed(more, &migrated.text);
    (migrated, config)
}

fn fields(config: &config::Config) -> Vec<(String, String)> {
    let fields = config.destinations["crm"]
        .table
        .get("fields")
        .and_then(|fields| fields.as_table());
    let fields = fields.into_iter().flatten();
    fields
        .map(|(name, path)| (name.clone(), path.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn pair(name: &str, path: &str) -> (String, String) {
    (name.to_owned(), path.to_owned())
}

#[test]
fn maps_of_fields_are_read_as_queries_of_urls() {
    let (migrated, brevo) = of_lines(
        "CRM=brevo\nBREVO_KEY=hidden\nCONTACT_ATTRIBUTES=\"firstName=PRENOM&lastName=NOM&postcode=CP&shoe=SHOE\"\nLIST=4\n",
    );
    for expected in [
        pair("PRENOM", "contact.firstName"),
        pair("NOM", "contact.lastName"),
        pair("CP", "contact.postcode"),
    ] {
        assert!(
            fields(&brevo).contains(&expected),
            "{expected:?}: {}",
            migrated.text
        );
    }
    assert!(
        migrated.to_do.iter().any(|what| what.contains("SHOE")),
        "{:?}",
        migrated.to_do
    );
    assert!(
        brevo.destinations["crm"].rule.filter.forms_only,
        "{}",
        migrated.text
    );
}

#[test]
fn connectors_that_causeway_has_keep_their_variables_and_lists() {
    let line = |config: &config::Config, key: &str| config.destinations["crm"].table[key].to_string();
    let (migrated, mailjet) = of_lines(
        "CRM=mailjet\nMJ_APIKEY_PUBLIC=hidden\nMJ_APIKEY_PRIVATE=hidden\nLIST=10412345\nCONTACT_PROPERTIES=postcode=zip\n",
    );
    assert_eq!(line(&mailjet, "secret_key"), "{ env = \"MJ_APIKEY_PRIVATE\" }");
    assert_eq!(line(&mailjet, "list"), "10412345");
    // A mapping of one's own replaces the default, which is written out.
    for expected in [
        pair("zip", "contact.postcode"),
        pair("firstname", "contact.firstName"),
    ] {
        assert!(fields(&mailjet).contains(&expected), "{}", migrated.text);
    }
    let (migrated, active) = of_lines(
        "CRM=activecampaign\nCRM_URL=https://rivers.api-us1.com/hidden\nCRM_API_TOKEN=hidden\nCRM_LIST_ID=2\nCRM_TAG_IDS=7, 9\n",
    );
    assert_eq!(line(&active, "base_url"), "\"https://rivers.api-us1.com\"");
    assert_eq!(
        (line(&active, "list"), line(&active, "tags")),
        ("2".to_owned(), "[7, 9]".to_owned())
    );
    assert!(!migrated.text.contains("hidden"), "{}", migrated.text);
    assert!(fields(&active).is_empty(), "the default mapping");
    let (migrated, salesforce) = of_lines(
        "CRM=salesforce\nSALESFORCE_URL=https://rivers.my.salesforce.com\nAUTH_USER=u\nAUTH_PASSWORD=hidden\nFIELD_OPTIN=Newsletter__c\n",
    );
    assert_eq!(line(&salesforce, "opt_in"), "{ field = \"Newsletter__c\" }");
    let says = "Salesforce ends logins by password";
    assert!(
        migrated.to_do.iter().any(|what| what.contains(says)),
        "{:?}",
        migrated.to_do
    );
    // A field that the kind refuses would make the file invalid.
    let (migrated, mailjet) = of_lines("CRM=mailjet\nCONTACT_PROPERTIES=postcode=ZIP&country=land\n");
    assert!(
        fields(&mailjet).contains(&pair("land", "contact.country")),
        "{}",
        migrated.text
    );
    let says = "ZIP is left out";
    assert!(
        migrated.to_do.iter().any(|what| what.contains(says)),
        "{:?}",
        migrated.to_do
    );
    let (migrated, _) = of_lines("CRM=magnews\nAUTH_TOKEN=hidden\n");
    let says = "samples/rest/magnews.toml";
    assert!(
        migrated.to_do.iter().any(|what| what.contains(says)),
        "{:?}",
        migrated.to_do
    );
}

#[test]
fn the_destination_is_sent_the_same_people_as_the_connector() {
    for (more, policy, forms_only) in [
        ("CRM=file\n", "all", false),
        ("CRM=debug\n", "all", false),
        ("CRM=stdout\n", "opt_in", true),
        ("CRM=csv\n", "with_consent", true),
        ("CRM=cleverreach\n", "double_opt_in", false),
        ("CRM=activecampaign\nCRM_TYPE=ActionContact\n", "all", false),
    ] {
        let (migrated, config) = of_lines(more);
        let rule = &config.destinations["crm"].rule;
        assert_eq!(
            (rule.policy.as_str(), rule.filter.forms_only),
            (policy, forms_only),
            "{more}"
        );
        assert!(
            !migrated.to_do.iter().any(|what| what.starts_with("CRM_TYPE")),
            "{:?}",
            migrated.to_do
        );
    }
}

#[test]
fn columns_and_names_of_fields_are_carried_over() {
    let (_, csv) = of_lines("CRM=csv\nMERGE_FIELDS=list=&source_code=\n");
    let columns = fields(&csv);
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "email",
            "firstname",
            "lastname",
            "country",
            "postcode",
            "locality",
            "phone",
            "id",
            "actiontype",
            "date",
            "gdpr",
            "provider",
            "campaign",
            "widget",
            "organisation",
            "lang",
            "utm_campaign",
            "utm_medium",
            "utm_source",
            "location",
            "list",
            "source_code"
        ]
    );
    assert_eq!(columns[21].1, "settings['source_code'] | default(none)");

    let (_, active) = of_lines(
        "CRM=activecampaign\nCRM_LIST_ID=3\nCRM_TAG_IDS=7,9\nCRM_DATA_SOURCE=11\nCRM_ACTION_ID_FIELD=12\nCRM_REF_FIELD=13\nCRM_ZIP_FIELD=14\n",
    );
    for expected in [
        pair("11", "=proca"),
        pair("12", "action.id"),
        pair("13", "contact.contactRef"),
        pair("14", "contact.postcode"),
    ] {
        assert!(
            fields(&active).contains(&expected),
            "{expected:?}: {:?}",
            fields(&active)
        );
    }
}

/// Every key has a line with its result, and none is unknown.
#[test]
fn every_key_that_a_connector_reads_is_known() {
    for keys in [
        "CRM=salesforce\nSALESFORCE_URL=x\nAUTH_TOKEN=x\nAUTH_USER=x\nAUTH_PASSWORD=x\nFIELD_OPTIN=In__c\nFIELD_LANGUAGE=La__c\nDOUBLE_OPT_IN=true\nSUPPORTER_TYPE=lead\nCAMPAIGN_RECORD_TYPE=012\n",
        "CRM=civicrm\nCIVICRM_URL=x\nCIVICRM_API_KEY=x\nCIVICRM_KEY=x\nCIVICRM_PATH=/civicrm/ajax/api4\nGROUP=g\nCUSTOM_FIELDS=a=b&c=d\n",
        "CRM=cleverreach\nCRM_TOKEN_URL=x\nCRM_ID=abc\nCRM_SECRET=x\nCRM_URL=x\n",
        "CRM=actionnetwork\nCRM_URL=x\nCRM_API_TOKEN=x\nCRM_FORM=f\nCRM_TEST_API_TOKEN=x\nCRM_TEST_FORM=t\n",
        "CRM=mailchimp\nAUTH_TOKEN=x-us1\nLIST=a1\nGROUP=g\nINTEREST=i\nMERGE_FIELDS=firstName=PRENOM&lastName=NOM\n",
        "CRM=mailjet\nMJ_APIKEY_PUBLIC=x\nMJ_APIKEY_PRIVATE=x\nLIST=5\n",
        "CRM=gpdedatahub\nCRM_URL=https://h.example.org\nCRM_USERNAME=x\nCRM_PASSWORD=x\nCRM_TEST_URL=x\nCRM_TEST_USERNAME=x\nCRM_TEST_PASSWORD=x\n",
        "CRM=trust-lc\nTRUST_KEY=x\nPOST_URL=x\nVERIFICATION_URL=x\nLOOKUP_URL=x\n",
        "CRM=publicComment\nCRM_URL=x\nAUTH_ANON_KEY=x\nAUTH_USER=x\nAUTH_PASS=x\n",
    ] {
        let (migrated, _) = of_lines(keys);
        assert!(!migrated.text.contains("unknown:"), "{}", migrated.text);
    }
}

/// Proca has no field for the full name, so a field that needs it would make every delivery dead.
#[test]
fn every_migrated_map_accepts_records() {
    let home = Home::new("").with("CRM_WEBHOOK_URL", "https://crm.example.org/in");
    let message = std::fs::read_to_string("../../samples/messages/petition-opt-in.json").expect("the sample");
    home.write("message.json", message);
    let all = "email=e&firstName=f&lastName=l&name=full&phone=p&country=c&area=a&postcode=z&locality=o&city=y&region=r&street=s\
               &streetNumber=n&birthDate=b&nationality=t&contactRef=i&language=g&campaign=m&campaignTitle=ct&actionType=at&actionId=ai\
               &page=pg&createdAt=ca&source=so&externalId=x";
    for (file, parts) in [
        (
            format!("{HEAD}CRM=magnews\nCONTACT_PROPERTIES='{all}'\n"),
            ["\"full\":\"Bruce Wayne\"", "\"e\":\"bruce@example.org\""],
        ),
        (
            format!("{HEAD}CRM=csv\nMERGE_FIELDS=list=\n"),
            [",optin,", "spring,email,newsletter"],
        ),
    ] {
        let migrated = migrate(".env.any", &file).text;
        home.write("new.toml", &migrated);
        let said = home.run(&[
            "--config",
            "new.toml",
            "send",
            "message.json",
            "--source",
            "proca",
            "--dry-run",
        ]);
        assert_eq!(said.code, 0, "{said:?}\n{migrated}");
        for part in parts {
            assert!(said.out.contains(part), "{part}: {}", said.out);
        }
    }
}

const HEAD: &str = "PROCA_QUEUE=cus.1.deliver\nPROCA_USERNAME=u\nPROCA_PASSWORD=p\n";

#[test]
fn every_listed_setting_is_sent_or_to_do() {
    let list_of = |more: &str| {
        let migrated = migrate(".env.any", &format!("{HEAD}{more}"));
        let config = parsed(more, &migrated.text);
        let table = config.destinations["crm"].table.clone();
        let sent = table
            .get("fields")
            .and_then(|fields| fields.get("list"))
            .and_then(|path| path.as_str())
            .map(str::to_owned);
        let to_do: Vec<String> = migrated
            .to_do
            .into_iter()
            .filter(|what| what.starts_with("LIST"))
            .collect();
        let written = format!("#   - {}", to_do.first().map_or("", String::as_str));
        assert!(migrated.text.contains(&written), "{}", migrated.text);
        (sent, to_do.join("; "))
    };
    let (sent, to_do) = list_of("CRM=magnews\nMERGE_FIELDS=FNAME=firstName\nLIST=7\n");
    assert_eq!((sent.as_deref(), to_do.as_str()), (Some("settings.list"), ""));
    for (more, says) in [
        (
            "CRM=magnews\nLIST=7\n",
            "the record that is sent does not contain it",
        ),
        (
            "CRM=magnews\nMERGE_FIELDS=FNAME=firstName\nLIST=7,9\n",
            "LIST: set settings.list",
        ),
        (
            "CRM=magnews\nOPTIN=in\nLIST=7\nLIST_ID=8\n",
            "LIST_ID: set settings.list",
        ),
        (
            "CRM=supabase\nLIST=7\n",
            "choose a column for settings.list by hand",
        ),
    ] {
        let (_, to_do) = list_of(more);
        assert!(to_do.contains(says), "{more}: {to_do}");
    }
}

#[test]
fn the_command_writes_a_valid_file_and_never_overwrites() {
    let home = Home::new("");
    home.write(".env.rivers", FILES[0].1);
    let out = home.ok(&["migrate", "proca-sync", ".env.rivers", "--out", "new.toml"]);
    assert!(
        out.contains("new.toml was written") && out.contains("to do: CONTACT_ATTRIBUTES"),
        "{out}"
    );
    home.ok(&["--config", "new.toml", "config", "check"]);
    let printed = home.ok(&["migrate", "proca-sync", ".env.rivers"]);
    assert_eq!(printed, home.read("new.toml"));
    let said = home.run(&["migrate", "proca-sync", ".env.rivers", "--out", "new.toml"]);
    assert_eq!(
        (said.code, said.err.contains("exists already")),
        (2, true),
        "{said:?}"
    );
    let said = home.run(&["migrate", "proca-sync", ".env.none"]);
    assert_eq!((said.code, said.err.contains(".env.none")), (1, true), "{said:?}");
}

/// Keys that proca-sync knows, and others.
fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "PROCA_QUEUE",
        "PROCA_URL",
        "PROCA_USERNAME",
        "PROCA_PASSWORD",
        "CRM",
        "CRM_TYPE",
        "ACTION_TYPE",
        "concurrency",
        "LIST",
        "GROUP",
        "CRM_FORM",
        "OPTIN",
        "DOUBLE_OPTIN",
        "FIELD_OPTIN",
        "MERGE_FIELDS",
        "CONTACT_ATTRIBUTES",
        "CONTACT_PROPERTIES",
        "CUSTOM_FIELDS",
        "CSV_PATH",
        "SENTRY_URL",
        "CRM_URL",
        "NODE_ENV",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "[A-Za-z][A-Za-z0-9_.-]{0,20}"]
}

fn value() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "cus.12.deliver",
        "brevo",
        "csv",
        "supabase",
        "gpdedatahub",
        "Contact",
        "OptIn",
        "DOUBLE_OPTIN",
        "4",
        "",
        "amqps://u:p@h.example.org/v",
        "{\"A\":\"email\",\"B\":\"nothing\"}",
        "{\"email\":\"phone\",\"subscribed\":\"country\"}",
        "A=email,A=phone",
        "a b",
        "{date}",
        "x/",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "[^\\n\\r]{0,30}", any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_key_is_lost_and_the_result_is_always_valid(
        pairs in prop::collection::vec((key(), value(), 0_u8..4), 0..12),
    ) {
        let mut file = String::new();
        for (key, value, style) in &pairs {
            let line = match style {
                0 => format!("{key}={value}\n"),
                1 => format!("export {key}='{}'\n", value.replace(['\'', '\\'], "")),
                2 => format!("{key} = \"{}\"  # why\n", value.replace(['"', '\\'], "")),
                _ => format!("{key}=`{}`\n", value.replace(['`', '\\'], "")),
            };
            file.push_str(&line);
        }
        let entries = causeway::cli::migrate::env_file::read(&file).entries;
        let migrated = migrate(".env.any", &file);
        parsed("any", &migrated.text);
        for (key, _) in &entries {
            prop_assert!(migrated.text.contains(&format!("#   {key:<20} ")), "{key} is lost");
            let fate = migrated.text.lines().find(|line| line.starts_with(&format!("#   {key:<20} ")));
            let is_to_do = migrated.to_do.iter().any(|what| what.starts_with(key.as_str()));
            prop_assert!(is_to_do || !fate.is_some_and(|fate| fate.contains("by hand")), "{key} is not to do");
        }
    }

    #[test]
    fn the_value_of_a_possibly_secret_key_is_never_copied(
        secrets in prop::collection::vec(("[A-Z]{2,8}_(TOKEN|KEY|URL|SECRET|THING)", "[a-z0-9/+]{12,40}"), 1..8),
        password in "[a-z0-9/+#]{12,40}",
    ) {
        let mut file = format!("CRM=mailjet\nPROCA_QUEUE=cus.1.deliver\nPROCA_USERNAME=user\nPROCA_PASSWORD='{password}'\n");
        for (key, value) in &secrets {
            file.extend([key.as_str(), "=", value, "\n"]);
        }
        let text = migrate(".env.any", &file).text;
        prop_assert!(!text.contains(&password));
        for (_, value) in &secrets {
            prop_assert!(!text.contains(value.as_str()));
        }
    }
}
