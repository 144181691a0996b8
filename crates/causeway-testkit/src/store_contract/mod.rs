//! What every store must do. A store's own crate runs all of it by [`store_contract!`](crate::store_contract!).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests: a panic is how they say that something is wrong"
)]

pub mod addresses;
mod bench;
pub mod books;
pub mod consent;
pub mod deliver;
pub mod erased_users;
pub mod follow;
pub mod inbox;
pub mod leaving;
pub mod mailboxes;
pub mod moving;
pub mod people;
pub mod repeats;
pub mod sent;
pub mod unlisted;
pub mod urls;
pub mod waited;
pub mod whose;

pub use bench::{Bench, Open, Stored, attempt, opener};

/// Makes one test per case. `$open` is a function from the name of a database to a future of
/// `Arc<dyn Stored>`; the same name opens the same database again.
#[macro_export]
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store_contract! { @ $open,
            inbox: [
                a_message_is_accepted_once_however_often_it_comes,
                a_repeat_within_one_batch_is_a_duplicate,
                a_window_that_has_passed_makes_the_same_message_new,
                what_waits_is_fetched_in_the_order_of_acceptance,
                what_arrived_lately_is_found_by_its_id,
                what_a_file_says_dates_from_the_begin_of_its_import,
                an_envelope_comes_back_as_it_came,
                a_dead_row_keeps_its_code_and_is_replayed,
                what_can_be_applied_of_a_dead_row_is_applied_once,
                a_dead_row_stays_until_it_is_discarded,
                a_skipped_row_keeps_its_reason,
                a_row_is_processed_once,
                accepted_rows_survive_a_reopening,
            ],
            repeats: [
                opt_out_opt_in_opt_out_are_three_messages,
                each_record_of_a_message_is_a_message_of_its_own,
                what_came_between_a_message_and_its_parts_counts_as_later,
                a_record_that_cannot_be_read_is_dead_alone,
                what_another_user_of_the_mailbox_said_came_in_between,
                a_late_retry_of_an_opt_in_does_not_undo_an_opt_out,
                what_came_in_between_may_be_of_any_source_and_kind,
                a_repeat_behind_other_messages_is_decided_when_it_is_processed,
                a_repeat_does_not_extend_its_window,
                an_id_with_other_content_is_another_message,
                a_message_that_comes_again_under_its_id_counts_only_as_an_opt_out,
                a_dead_message_that_comes_again_is_read_again,
                a_signed_request_is_remembered_when_its_row_is_gone,
                what_an_erased_person_sent_does_not_count_again,
            ],
            waited: [
                what_a_sender_waits_for_is_handed_out_first,
                a_withdrawal_goes_before_what_a_sender_waits_for,
                how_far_a_message_is_can_be_asked_at_any_time,
                a_late_message_that_is_replayed_is_late_no_more,
            ],
            deliver: [
                a_delivery_goes_out_with_what_is_known_when_it_is_claimed,
                a_lease_that_ran_out_is_claimed_again,
                a_leased_delivery_is_not_claimed_twice,
                leases_end_with_the_process,
                what_is_released_is_due_when_asked,
                an_idempotency_key_stays_over_retries_and_reopenings,
                deliveries_of_one_contact_go_out_one_after_the_other,
                contacts_do_not_wait_for_each_other,
                after_enough_failures_the_next_one_passes,
                two_of_one_contact_are_never_in_flight_together,
                a_merge_starts_nothing_beside_what_is_in_flight,
                of_several_that_wait_the_newest_is_sent,
                a_withdrawal_is_never_superseded,
                consent_is_asked_again_when_it_is_claimed,
                a_lane_that_stands_still_hands_out_nothing,
                a_dead_delivery_is_retried_with_a_fresh_schedule,
                what_is_discarded_lets_the_next_one_go,
                a_halted_attempt_costs_nothing,
                one_destination_does_not_hold_up_another,
            ],
            people: [
                the_order_of_arrival_does_not_matter,
                two_contacts_that_share_an_identity_become_one,
                a_merge_keeps_the_order_of_deliveries,
                workspaces_with_the_same_people_never_touch,
                test_actions_live_apart,
                a_confirmation_on_a_page_counts_once_the_page_is_ours,
                new_rules_may_make_a_page_ours,
                a_click_that_begins_to_count_reaches_who_was_sent_the_person_before,
                a_page_that_changes_its_owner_again_is_followed_each_time,
                a_click_on_a_page_that_becomes_ours_sends_the_actions_held_back,
                a_click_on_a_page_counts_for_everybody_who_uses_the_mailbox,
                a_page_that_turns_out_to_be_another_s_takes_its_clicks_back,
                a_withdrawal_shows_nobody_as_subscribed,
                who_is_sent_everybody_learns_that_a_consent_was_none,
                an_action_that_comes_again_is_joined,
                a_stage_that_delivers_nothing_does_not_make_the_action_known,
                engagements_keep_the_greater_figures,
                an_erased_person_leaves_nothing_and_does_not_come_back,
                an_id_is_found_with_its_namespace,
                a_withdrawal_follows_when_consent_ends,
            ],
            follow: [
                a_step_that_waits_comes_back_once_over_a_reopening,
                a_step_that_fails_when_its_time_comes_is_dead_and_can_be_replayed,
                consent_is_asked_when_a_step_that_waited_is_planned,
                timers_of_an_erased_person_are_gone,
                a_merge_takes_timers_and_points_along,
                what_is_beyond_the_hour_waits_for_the_next_one,
                an_answer_is_a_row_of_its_own_and_told_to_the_others_only,
                a_chain_of_answers_ends,
                a_trace_says_why_automations_ran_and_erasing_forgets_it,
                turns_and_pages_of_contacts_are_kept_by_workspace,
                what_was_sent_carries_the_hubs_it_came_through,
            ],
            consent: [
                a_visitor_becomes_whoever_gives_a_name,
                a_browser_that_two_people_use_does_not_make_them_one,
                a_visitor_without_a_name_is_told_to_nobody,
                each_no_reaches_a_destination_as_the_right_change,
                what_cannot_be_told_is_skipped_with_that_reason,
                a_purpose_has_a_consent_of_its_own,
                what_was_planned_before_a_no_is_not_sent_after_it,
                a_stale_retry_never_subscribes_again,
                a_no_does_not_overtake_what_is_on_its_way,
            ],
            sent: [
                what_was_never_confirmed_is_not_said_to_be_received,
                what_failed_before_its_request_was_not_sent,
                withdrawals_that_were_given_up_are_counted_and_name_their_address,
                a_trace_shows_the_keys_that_are_sent,
            ],
            addresses: [
                a_complaint_stays_with_its_address,
                an_opt_out_reaches_every_address_that_was_given,
                an_opt_out_reaches_who_was_given_the_person_under_earlier_rules,
                a_decline_reaches_who_was_given_the_person_under_an_earlier_policy,
                a_withdrawal_never_waits_behind_another_delivery,
                a_withdrawal_that_cannot_be_expressed_stands_as_skipped,
                a_click_sends_what_was_held_back,
                two_ids_of_one_platform_are_two_people_with_one_mailbox,
                placeholder_addresses_make_nobody_one,
                an_id_with_a_third_address_is_an_alarm_and_no_merge,
                a_record_carries_the_id_it_came_with,
            ],
            moving: [
                who_leaves_a_mailbox_takes_along_what_they_agreed_to,
                an_opt_out_elsewhere_takes_back_what_the_person_agreed_to_at_a_mailbox,
                what_an_id_says_is_of_the_mailbox_that_its_owner_uses,
                a_bounce_by_an_id_holds_for_a_mailbox_that_its_owner_left,
                what_was_known_before_a_mailbox_was_shared_holds_for_its_users,
                an_opt_out_by_an_id_counts_for_every_address_that_it_came_with,
                an_opt_out_by_an_id_that_everybody_has_counts_for_nobody_else,
                a_reference_that_comes_with_a_third_address_joins_nobody,
                a_withdrawal_is_handed_out_before_all_else,
                a_split_divides_what_destinations_were_given,
            ],
            whose: [
                who_is_recognised_by_an_office_address_hears_of_its_other_users,
                two_references_at_an_office_address_are_two_people,
                a_click_that_does_not_count_for_a_user_counts_for_no_other,
                a_longer_grace_for_clicks_withdraws_whom_it_concerns,
                a_split_ends_withdrawals_for_the_address_of_the_other,
                an_opt_out_at_a_former_address_brings_nobody_back_there,
            ],
            mailboxes: [
                a_bounce_that_names_no_address_ends_by_a_click_at_the_address,
                a_bounce_that_names_no_address_holds_for_everybody_who_uses_it,
                an_opt_out_for_a_mailbox_reaches_who_was_given_it_by_a_former_user,
                calls_belong_to_the_person_and_not_to_a_mailbox_that_they_left,
                a_bounce_does_not_bring_an_old_address_back,
                a_value_dated_in_the_future_counts_from_when_it_came,
                a_renamed_destination_is_the_same_destination,
                a_name_that_is_explained_too_late_still_brings_the_opt_outs,
                an_opt_out_that_was_said_meanwhile_reaches_a_destination_that_is_back,
                a_destination_without_a_word_for_it_is_not_sent_the_message_that_opts_out,
                a_split_leaves_nobody_with_the_address_of_the_other,
                a_split_that_would_leave_nobody_is_refused,
                people_of_a_workspace_that_a_destination_left_are_named,
                an_opt_out_by_an_id_alone_counts_for_the_mailbox,
                an_opt_out_for_a_mailbox_reaches_who_was_given_it_by_its_leaving_user,
                an_opt_out_reaches_a_mailbox_that_was_given_for_what_the_person_said,
                a_report_about_a_former_address_does_not_bring_it_back,
                what_an_id_says_of_its_address_counts_for_the_addresses_that_came_with_it,
                a_destination_that_left_with_people_is_named_until_it_is_forgotten,
            ],
            leaving: [
                destinations_are_told_before_a_person_is_erased,
                a_person_stays_while_a_destination_refuses_the_removal,
                who_cannot_be_told_in_time_is_erased_all_the_same,
                a_person_whom_nobody_was_given_is_erased_at_once,
                the_last_word_does_not_overtake_what_is_on_its_way,
                a_message_that_nobody_could_read_goes_with_its_person,
                what_is_dated_after_an_erasure_is_a_new_contact,
                the_same_form_after_an_erasure_is_no_repeat,
                an_opt_out_after_an_erasure_is_not_lost,
                whoever_is_to_stay_out_for_ever_does,
                each_part_is_kept_as_long_as_its_retention_says,
                what_is_past_its_retention_is_not_new_when_it_is_sent_again,
            ],
            erased_users: [
                what_an_erased_user_of_a_mailbox_agreed_to_counts_for_nobody,
                what_forbids_mail_to_a_mailbox_outlives_the_user_who_said_it,
                who_stays_in_a_mailbox_is_heard_while_another_is_being_erased,
                an_opt_out_of_the_address_counts_at_once_while_a_user_is_being_erased,
                who_stays_in_a_mailbox_is_sent_again_behind_the_removal,
                who_stays_in_a_mailbox_is_sent_again_where_a_removal_was_not_answered,
                nothing_is_left_to_do_by_hand_for_a_person_who_was_erased,
            ],
            unlisted: [
                actions_that_are_no_longer_listed_are_found,
                a_status_without_a_date_is_remembered_until_the_action_changes,
                contacts_that_are_gone_are_listed,
            ],
            urls: [
                an_address_is_minted_rotated_and_revoked,
                an_address_that_ended_long_ago_is_forgotten,
            ],
            books: [
                the_books_balance_after_everything,
                the_overview_counts_as_the_books_do,
                pruning_keeps_the_newest_delivered_and_the_books,
                a_trace_tells_the_whole_way,
                gaps_in_action_ids_are_told,
                a_backup_opens_as_a_store_and_replaces_nothing,
            ],
        }
    };
    (@ $open:expr, $($group:ident: [$($case:ident,)*],)*) => {$(
        mod $group {
            #[expect(unused_imports, reason = "whatever the opening expression needs")]
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let open = $crate::store_contract::opener($open);
                    $crate::store_contract::$group::$case(open).await;
                }
            )*
        }
    )*};
}
