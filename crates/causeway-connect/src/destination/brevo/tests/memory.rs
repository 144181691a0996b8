use super::*;

#[tokio::test]
async fn a_block_that_causeway_made_itself_is_lifted_by_any_later_decision() {
    let none = json!([]);
    let (at, later) = ("2026-03-05T00:00:00.000Z", "2026-03-05T00:00:01.000Z");
    let on = contact(false, &json!([12]), &none, at);
    let blocked = contact(true, &json!([12]), &none, at);
    let api = FakeApi::start().await;
    accept(&api);
    let brevo = connect(&api.url(""), "");
    let block = async |after: &Value, change: Delivery, more: Option<&Value>| {
        let answers = [Reply::json(200, &on), Reply::status(204), Reply::json(200, after)];
        api.script(
            PERSON,
            answers.into_iter().chain(more.map(|more| Reply::json(200, more))),
        );
        one(&*brevo, change).await.memory
    };
    let memory = block(&blocked, withdrawal(Change::Unsubscribe), None).await;
    // With an action the contact is written once more, and read after that.
    let mut with_data = withdrawal(Change::Unsubscribe);
    with_data.record.kind = DeliveryKind::Record;
    let written_later = contact(true, &json!([12]), &none, later);
    let both = block(&blocked, with_data, Some(&written_later)).await;
    // The person unsubscribed while the block was written.
    let mut by_person = blocked.clone();
    by_person["statistics"] = json!({ "unsubscriptions": { "userUnsubscription": [{ "eventTime": at }] } });
    let theirs = block(&by_person, withdrawal(Change::Unsubscribe), None).await;
    for (there, memory, is_lifted) in [
        (&blocked, memory.clone(), true),
        (&written_later, both, true),
        (&by_person, theirs, false),
        (&blocked, None, false),
        (&written_later, memory.clone(), false),
        (&blocked, Some(json!("of an older version")), false),
    ] {
        api.reset();
        with_contact(&api, there.clone());
        let delivery = Delivery {
            memory,
            ..subscriber(1, SINCE)
        };
        one(&*brevo, delivery).await;
        assert_eq!(written(&api).is_some(), is_lifted, "{there}");
    }
}

#[tokio::test]
async fn the_contact_is_found_by_its_number_if_its_address_was_changed_there() {
    let api = FakeApi::start().await;
    accept(&api);
    let brevo = connect(&api.url(""), "renew_days = 0");
    let memory = one(&*brevo, subscriber(1, SINCE)).await.memory;
    let there = contact(false, &json!([12]), &json!([]), SINCE);
    let found = move |request: &Request| match &*request.method {
        "GET" => Reply::json(200, &there),
        _ => Reply::status(204),
    };
    let with = |delivery: Delivery| Delivery {
        memory: memory.clone(),
        ..delivery
    };
    for (delivery, expected) in [
        (
            subscriber(1, SINCE),
            vec!["GET P", "GET /contacts/7", "PUT /contacts/7"],
        ),
        (delivery(1), vec!["PUT /contacts/7"]),
        (withdrawal(Change::Remove), vec!["DELETE P", "DELETE /contacts/7"]),
    ] {
        api.reset();
        api.compute(|request| match &*request.method {
            "GET" | "DELETE" | "PUT" => error(404, "document_not_found", "Contact does not exist"),
            _ => Reply::json(201, &json!({ "id": 8 })),
        });
        api.compute_at(BY_ID, found.clone());
        let result = one(&*brevo, with(delivery)).await;
        assert_eq!(
            (result.outcome.as_str(), calls(&api)),
            (
                "delivered",
                expected.iter().map(|call| (*call).to_owned()).collect()
            )
        );
    }
    // Nobody has the number any more.
    api.reset();
    accept(&api);
    api.reply_at(BY_ID, error(404, "document_not_found", "Contact does not exist"));
    one(&*brevo, with(delivery(1))).await;
    assert_eq!(calls(&api), ["PUT /contacts/7", "POST /contacts"]);
}

#[tokio::test]
async fn an_unchanged_contact_costs_no_call() {
    let api = FakeApi::start().await;
    accept(&api);
    let brevo = connect(&api.url(""), "");
    let memory = one(&*brevo, subscriber(1, SINCE)).await.memory;
    let clock = context().clock.now();
    let with = |mut delivery: Delivery, after: Duration| {
        delivery.memory.clone_from(&memory);
        delivery.planned_at = clock + after;
        delivery
    };
    let day = Duration::from_hours(24);
    api.reset();
    let result = one(&*brevo, with(delivery(1), day)).await;
    assert_eq!((result.outcome.as_str(), calls(&api).len()), ("skip", 0));
    with_contact(&api, contact(false, &json!([12, 31]), &json!([]), SINCE));
    one(&*brevo, with(subscriber(1, SINCE), day)).await;
    assert_eq!(calls(&api), ["GET P"]);
    // After a month, and with another value, it is written.
    let mut renamed = with(delivery(1), day);
    let name = renamed.record.contact.fields.get_mut("firstName").unwrap();
    name.value = json!("Adele");
    for delivery in [with(delivery(1), day * 31), renamed] {
        api.reset();
        accept(&api);
        assert_eq!(one(&*brevo, delivery).await.outcome.as_str(), "delivered");
        assert_eq!(calls(&api).len(), 1);
    }
}

#[tokio::test]
async fn a_contact_about_whom_nothing_is_known_is_not_written_again() {
    let api = FakeApi::start().await;
    accept(&api);
    let brevo = connect(
        &api.url(""),
        "fields = { NICKNAME = 'contact.nickname | default(none)' }\nopt_out = 'unlink'",
    );
    let memory = one(&*brevo, delivery(1)).await.memory;
    let with = |mut delivery: Delivery| {
        delivery.memory.clone_from(&memory);
        delivery.record.kind = DeliveryKind::Record;
        delivery
    };
    let there = contact(false, &json!([12, 31]), &json!([]), SINCE);
    for (delivery, outcome, expected) in [
        (delivery(1), "skip", vec![]),
        (subscriber(1, SINCE), "delivered", vec!["GET P"]),
        (
            withdrawal(Change::Unsubscribe),
            "delivered",
            vec!["GET P", "PUT P", "GET P"],
        ),
    ] {
        api.reset();
        with_contact(&api, there.clone());
        if expected.len() > 1 {
            let gone = contact(false, &json!([]), &json!([]), SINCE);
            let answers = [
                Reply::json(200, &there),
                Reply::status(204),
                Reply::json(200, &gone),
            ];
            api.script(PERSON, answers);
        }
        let result = one(&*brevo, with(delivery)).await;
        assert_eq!(result.outcome.as_str(), outcome, "{result:?}");
        assert_eq!(calls(&api), expected);
    }
}
