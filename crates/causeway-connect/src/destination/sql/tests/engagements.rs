//! The table of engagements.

use super::on_each;

on_each!(each_engagement_is_one_row_however_often_it_is_sent);

mod check {
    use causeway_core::{
        consent::Change,
        delivery::{Delivery, Kind},
        event::{Engagement, EngagementKind},
    };
    use serde_json::json;

    use crate::destination::sql::tests::{
        all_delivered, at, bounced, connect, create, database::Database, erased, is_rejected, reason, signed,
    };

    const CONFIG: &str = "contacts = { table = 'contacts' }\nengagements = { table = 'engagements' }";

    fn opened(key: &str, time: Option<&str>, count: i64) -> Engagement {
        Engagement {
            kind: EngagementKind::EmailOpen,
            key: key.to_owned(),
            name: Some("May letter".to_owned()),
            at: time.map(at),
            raw_at: time.is_none().then(|| "in spring".to_owned()),
            count: Some(count),
            score: Some(2.5),
        }
    }

    fn with(number: usize, engagements: &[Engagement]) -> Delivery {
        let mut delivery = signed(number, &json!({}));
        delivery.record.engagements = engagements.to_vec();
        delivery
    }

    pub(super) async fn each_engagement_is_one_row_however_often_it_is_sent(database: Database) {
        create(&database, CONFIG).await;
        let sql = connect(&database, CONFIG);
        sql.check().await.unwrap();
        let click = Engagement {
            kind: EngagementKind::LinkClick,
            score: None,
            ..opened("m1", Some("2026-03-01T10:00:00Z"), 1)
        };
        let first = opened("m1", Some("2026-03-01T10:00:00Z"), 1);
        let undated = opened("m2", None, 1);
        // The second person has the same engagement. Then the first comes again, with all that happened since.
        let batch = [
            with(1, &[first.clone(), click.clone()]),
            with(2, std::slice::from_ref(&first)),
            with(
                1,
                &[
                    opened("m1", Some("2026-03-01T10:00:00Z"), 3),
                    click.clone(),
                    undated,
                    opened("m1", Some("2026-03-01T10:00:01Z"), 1),
                ],
            ),
            signed(3, &json!({})),
        ];
        for _ in 0..2 {
            all_delivered(&sql.deliver(&batch).await);
            assert_eq!(
                (database.count("contacts"), database.count("engagements")),
                (3, 5)
            );
        }
        assert_eq!(
            database.run(
                "SELECT email, kind, item, name, times FROM engagements WHERE happened_at < '2026-03-01 10:00:01' \
                 ORDER BY email, kind"
            ),
            "robin1@example.org|email_open|m1|May letter|3\nrobin1@example.org|link_click|m1|May letter|1\n\
             robin2@example.org|email_open|m1|May letter|1"
        );
        assert_eq!(
            database.run("SELECT item, score FROM engagements WHERE happened_at IS NULL"),
            "m2|2.5"
        );
        // A withdrawal brings no engagement, and an erasure takes them all.
        let mut withdrawal = bounced(2);
        withdrawal.record.engagements = vec![opened("m9", None, 1)];
        all_delivered(&sql.deliver(&[withdrawal, erased(1)]).await);
        assert_eq!(
            database.run("SELECT email FROM engagements"),
            "robin2@example.org"
        );
        assert_eq!(database.count("contacts"), 2);
        // An engagement that cannot be stored does not stop an opt-out.
        database.run("DELETE FROM engagements");
        database.run("ALTER TABLE engagements ADD COLUMN must integer CHECK (must IS NOT NULL)");
        let mut opt_out = with(2, &[first]);
        opt_out.record.kind = Kind::Contact;
        opt_out.record.change = Change::Unsubscribe;
        let results = sql.deliver(&[opt_out]).await;
        assert!(is_rejected(&results[0]), "{results:?}");
        assert!(!reason(&results[0]).contains('@'), "{results:?}");
        assert_eq!(database.count("engagements"), 0);
    }
}

#[test]
fn the_history_is_asked_for_and_erased() {
    use super::{KIND, table};
    use causeway_core::mapping::Tables;
    let config = table("url = 'sqlite:a.db'\nengagements = { table = 'e' }");
    let needs = (KIND.parse)(&Tables::default(), &config).unwrap();
    assert!(needs.history && needs.deletes_on_erasure && needs.warnings.is_empty());
    assert!(!needs.consent_shown.has("email"));
    let kept = table("url = 'sqlite:a.db'\nengagements = { table = 'e', on_remove = 'keep' }");
    assert!(
        !(KIND.parse)(&Tables::default(), &kept)
            .unwrap()
            .deletes_on_erasure
    );
}
