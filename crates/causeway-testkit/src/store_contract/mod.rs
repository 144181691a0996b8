//! The contract of a store. A store's own crate runs all of it with
//! [`store_contract!`](crate::store_contract!).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests: a panic is how they fail"
)]

pub mod addresses;
mod bench;
pub mod books;
pub mod claims;
pub mod consent;
pub mod deliver;
pub mod erased_users;
pub mod follow;
pub mod given;
pub mod inbox;
pub mod leaving;
pub mod mailboxes;
pub mod memory;
pub mod moving;
pub mod newcomers;
pub mod people;
pub mod repeats;
pub mod sent;
pub mod syncs;
pub mod unclear;
pub mod unlisted;
pub mod urls;
pub mod users;
pub mod waited;
pub mod whose;

pub use bench::{Bench, Open, Stored, attempt, opener};

/// Makes one test per case. `$open` is a function from the name of a database to a future of `Arc<dyn
/// Stored>`; the same name opens the same database again.
#[macro_export]
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store_contract! { @ $open,
            inbox: [
                a_message_is_accepted_once_however_often_it_comes,
                a_message_twice_in_one_batch_is_a_duplicate,
                after_its_window_the_same_message_is_new,
                waiting_messages_are_fetched_in_the_order_of_acceptance,
                unprocessed_messages_are_found_by_number,
                imported_messages_are_dated_by_the_begin_of_their_import,
                an_envelope_is_read_back_unchanged,
                a_dead_row_keeps_its_code_and_is_replayed,
                the_readable_part_of_a_dead_row_is_applied_once,
                a_dead_row_stays_until_it_is_discarded,
                a_skipped_row_keeps_its_reason,
                a_row_is_processed_once,
                accepted_rows_survive_a_restart,
            ],
            repeats: [
                opt_out_opt_in_opt_out_are_three_messages,
                each_record_of_a_message_is_a_message_of_its_own,
                messages_between_a_message_and_its_parts_count_as_later,
                a_record_that_cannot_be_read_is_dead_alone,
                a_message_of_another_user_of_the_mailbox_counts_as_in_between,
                a_late_retry_of_an_opt_in_does_not_undo_an_opt_out,
                a_message_in_between_may_have_any_source_and_kind,
                a_possible_duplicate_is_decided_when_it_is_processed,
                a_duplicate_does_not_extend_the_window,
                an_id_with_other_content_is_another_message,
                a_message_repeated_under_its_id_counts_only_for_its_opt_out,
                a_dead_message_that_is_sent_again_is_read_again,
                a_signed_request_is_recognised_after_its_row_was_pruned,
                messages_of_an_erased_person_do_not_count_again,
            ],
            waited: [
                deliveries_that_a_sender_waits_for_are_claimed_first,
                a_withdrawal_goes_before_deliveries_that_a_sender_waits_for,
                a_delivery_that_cannot_start_does_not_hold_back_others,
                the_progress_of_a_message_can_be_read_at_any_time,
                a_replayed_late_message_is_no_longer_late,
            ],
            deliver: [
                a_delivery_is_built_from_what_is_known_when_it_is_claimed,
                a_delivery_whose_lease_expired_is_claimed_again,
                a_leased_delivery_is_not_claimed_twice,
                leases_end_with_the_process,
                a_released_delivery_is_due_at_the_given_time,
                an_idempotency_key_survives_retries_and_restarts,
                deliveries_of_one_contact_go_out_one_after_the_other,
                contacts_do_not_wait_for_each_other,
                after_enough_failures_the_next_delivery_passes,
                two_deliveries_of_one_contact_are_never_in_flight_together,
                after_a_merge_nothing_starts_beside_deliveries_in_flight,
                only_the_newest_of_several_waiting_deliveries_is_sent,
                a_withdrawal_is_never_superseded,
                consent_is_checked_again_when_a_delivery_is_claimed,
                nothing_is_claimed_from_a_paused_or_halted_lane,
                a_dead_delivery_is_retried_with_a_fresh_schedule,
                a_discarded_delivery_unblocks_the_next_one,
                withdrawals_can_be_left_out_when_deliveries_are_discarded,
                an_attempt_at_a_halted_or_busy_destination_does_not_count,
                one_destination_does_not_delay_another,
            ],
            claims: [
                a_claim_hands_out_no_more_than_its_limit,
                the_next_due_time_is_the_earliest_one,
                each_attempt_has_the_next_number,
                a_withdrawal_for_a_former_address_says_what_the_person_wants,
                an_action_skipped_when_it_was_claimed_is_sent_after_a_click,
                a_withdrawal_that_became_void_is_not_to_be_done_by_hand,
                a_withdrawal_that_cannot_be_received_any_more_is_to_be_done_by_hand,
                a_removal_that_cannot_be_received_any_more_is_to_be_done_by_hand,
            ],
            memory: [
                a_destination_gets_back_what_it_remembered_about_a_contact,
                what_is_remembered_belongs_to_an_address,
                a_memory_follows_a_merge_and_ends_with_an_erasure,
                a_result_that_comes_later_is_looked_up_after_a_restart,
                an_opt_out_does_not_wait_for_a_result,
                a_newer_delivery_does_not_replace_one_whose_result_is_awaited,
                a_retried_delivery_is_sent_anew,
            ],
            people: [
                the_order_of_arrival_does_not_matter,
                two_contacts_that_share_an_identity_become_one,
                a_merge_keeps_the_order_of_deliveries,
                workspaces_with_the_same_people_never_touch,
                test_actions_stay_in_the_sandbox,
                a_confirmation_on_a_page_counts_once_it_is_an_own_page,
                new_rules_may_make_a_page_an_own_page,
                a_click_that_begins_to_count_reaches_destinations_that_have_the_person,
                each_change_of_a_pages_owner_is_followed,
                a_page_that_becomes_an_own_page_releases_the_actions_held_back,
                a_click_on_a_page_counts_for_all_users_of_the_mailbox,
                clicks_on_a_page_of_another_organisation_stop_counting,
                a_withdrawal_never_says_subscribed,
                a_destination_without_a_policy_is_sent_the_withdrawal_of_a_void_click,
                an_action_that_is_sent_again_is_joined,
                a_stage_without_deliveries_does_not_make_the_action_known,
                engagements_keep_the_greater_figures,
                an_erased_person_leaves_nothing_and_does_not_come_back,
                an_id_is_found_with_its_namespace,
                a_withdrawal_follows_when_consent_ends,
            ],
            follow: [
                a_timer_fires_once_across_a_restart,
                a_timed_step_has_the_source_of_its_message,
                a_step_that_fails_when_its_timer_fires_is_dead_and_can_be_replayed,
                consent_is_checked_when_a_timed_step_is_planned,
                erasing_a_person_deletes_their_timers,
                a_merge_moves_timers_and_points,
                runs_above_the_hourly_limit_wait_for_the_next_hour,
                a_response_is_a_row_of_its_own_and_goes_to_other_destinations_only,
                a_chain_of_responses_ends,
                a_trace_explains_automations_until_the_person_is_erased,
                a_condition_reads_the_campaign_and_the_action,
                a_contact_is_created_once,
                schedules_and_pages_of_contacts_are_kept_by_workspace,
                a_record_carries_the_hubs_that_it_came_through,
            ],
            consent: [
                a_visitor_becomes_the_contact_that_gives_a_name,
                a_browser_of_two_people_does_not_merge_them,
                a_visitor_without_a_name_is_sent_nowhere,
                each_opt_out_reaches_a_destination_as_the_right_change,
                a_change_that_cannot_be_received_is_skipped_with_that_reason,
                each_purpose_has_a_consent_of_its_own,
                deliveries_planned_before_an_opt_out_are_not_sent_after_it,
                a_stale_retry_never_subscribes_again,
                an_opt_out_does_not_overtake_a_delivery_in_flight,
            ],
            syncs: [
                an_unchanged_contact_is_sent_ten_times_within_an_hour,
                a_known_engagement_is_no_news,
                engagements_are_sent_where_the_history_is_asked_for,
                an_action_that_is_processed_again_is_sent_to_a_new_destination,
            ],
            sent: [
                an_unconfirmed_delivery_is_not_shown_as_received,
                an_attempt_that_failed_before_its_request_was_not_sent,
                dead_withdrawals_are_counted_and_name_their_address,
                the_namespaces_of_all_ids_are_known,
                a_trace_shows_the_keys_that_are_sent,
            ],
            given: [
                an_address_that_comes_later_belongs_to_what_was_given_before,
                a_withdrawal_that_failed_was_not_received,
                an_opt_out_reaches_the_addresses_of_both_merged_contacts,
                a_withdrawal_for_one_of_two_merged_contacts_counts_only_once_sent,
                an_opt_in_of_one_of_two_merged_contacts_is_withdrawn,
                of_two_withdrawals_of_one_message_a_merge_leaves_one,
            ],
            addresses: [
                a_complaint_stays_with_its_address,
                an_opt_out_reaches_every_address_that_was_given,
                an_opt_out_reaches_destinations_given_the_person_by_earlier_rules,
                a_decline_reaches_destinations_given_the_person_by_an_earlier_policy,
                a_withdrawal_never_waits_behind_another_delivery,
                a_withdrawal_that_cannot_be_expressed_is_recorded_as_skipped,
                a_click_releases_deliveries_held_back,
                two_ids_of_one_platform_are_two_people_with_one_mailbox,
                placeholder_addresses_merge_nobody,
                an_id_with_a_third_address_raises_an_alarm_and_merges_nobody,
                a_record_carries_the_id_it_came_with,
            ],
            moving: [
                a_user_who_leaves_a_mailbox_takes_their_opt_ins_along,
                an_opt_out_elsewhere_takes_back_the_opt_in_at_a_mailbox,
                facts_by_an_id_are_about_the_mailbox_that_its_owner_uses,
                a_bounce_by_an_id_holds_for_a_mailbox_that_its_owner_left,
                facts_from_before_a_mailbox_was_shared_hold_for_its_users,
                an_opt_out_by_an_id_counts_for_every_address_that_it_came_with,
                an_opt_out_by_an_id_that_everybody_has_counts_for_nobody_else,
                a_reference_that_comes_with_a_third_address_merges_nobody,
                a_withdrawal_is_claimed_before_everything_else,
                a_split_divides_what_destinations_were_given,
            ],
            whose: [
                facts_of_other_users_count_for_a_person_found_by_an_office_address,
                two_references_at_an_office_address_are_two_people,
                a_click_that_does_not_count_for_a_user_counts_for_no_other,
                a_longer_click_grace_withdraws_the_affected_people,
                a_split_ends_withdrawals_for_the_address_of_the_other,
                a_split_leaves_no_delivery_behind,
                an_opt_out_after_a_split_does_not_overtake_a_delivery_in_flight,
                an_opt_out_at_a_former_address_brings_nobody_back_there,
            ],
            mailboxes: [
                a_bounce_without_an_address_ends_by_a_click_at_the_address,
                a_bounce_without_an_address_holds_for_all_users_of_the_mailbox,
                an_opt_out_reaches_destinations_given_the_mailbox_with_a_former_user,
                consent_to_calls_stays_with_the_person_and_not_with_a_former_mailbox,
                a_bounce_does_not_bring_an_old_address_back,
                a_value_dated_in_the_future_is_dated_by_its_arrival,
                a_renamed_destination_is_the_same_destination,
                a_rename_declared_too_late_still_brings_the_opt_outs,
                what_arrived_under_a_former_name_stays_confirmed,
                an_opt_out_reaches_a_destination_that_was_absent_meanwhile,
                a_destination_that_cannot_receive_opt_outs_is_not_sent_the_message,
                a_split_gives_nobody_the_address_of_the_other,
                a_split_that_would_leave_no_identity_is_refused,
                people_of_a_workspace_that_a_destination_left_are_reported,
                an_opt_out_by_an_id_alone_counts_for_the_mailbox,
                an_opt_out_reaches_destinations_given_the_mailbox_with_a_leaving_user,
                an_opt_out_at_a_former_address_reaches_both_mailboxes,
                a_report_about_a_former_address_does_not_bring_it_back,
                facts_by_an_id_count_for_the_addresses_that_came_with_it,
                a_removed_destination_with_people_is_reported_until_it_is_forgotten,
            ],
            newcomers: [
                a_message_at_a_mailbox_is_about_a_contact_who_uses_it_now,
                an_opt_in_elsewhere_does_not_end_the_opt_out_of_another_user,
                an_earlier_opt_in_at_a_mailbox_ends_an_opt_out_that_arrives_later,
                an_opt_out_elsewhere_comes_along_to_a_mailbox,
                a_withdrawal_of_a_former_address_survives_an_opt_in_with_another,
                a_destination_that_was_absent_is_sent_the_withdrawal_of_a_former_address,
                a_destination_that_was_absent_is_sent_no_withdrawal_of_the_address_in_use,
                a_withdrawal_of_a_former_address_that_cannot_be_received_is_planned_once,
                a_destination_that_was_absent_learns_that_a_consent_ended,
            ],
            unclear: [
                an_opt_out_that_names_only_a_mailbox_counts_as_each_users_own,
                an_unknown_reference_does_not_say_which_user_opted_out,
                an_opt_out_of_calls_that_names_only_a_mailbox_counts_for_each_user,
                an_opt_out_by_id_is_not_the_own_one_of_another_user,
                a_split_leaves_each_an_opt_out_that_either_may_have_given,
                an_unclear_opt_out_counts_for_each_user_in_any_order,
                an_opt_out_by_an_id_of_several_addresses_counts_in_any_order,
                a_split_after_an_unclear_opt_out_opts_out_both,
                an_unclear_opt_out_counts_for_those_who_share_with_an_erased_person,
                an_opt_out_by_an_id_reaches_the_others_after_its_owner_is_erased,
            ],
            leaving: [
                destinations_are_sent_removals_before_a_person_is_erased,
                a_person_stays_while_a_destination_refuses_the_removal,
                a_delivery_from_before_the_erasure_is_not_tried_again,
                a_destination_that_left_the_configuration_still_has_an_erased_person,
                a_person_is_erased_at_the_deadline_without_confirmation,
                an_erasure_names_the_destinations_that_cannot_receive_the_removal,
                an_erasure_names_the_destinations_that_an_opt_out_has_not_reached,
                a_person_that_no_destination_has_is_erased_at_once,
                a_removal_does_not_overtake_a_delivery_in_flight,
                an_unreadable_message_is_erased_with_its_person,
                a_message_dated_after_an_erasure_makes_a_new_contact,
                the_same_form_after_an_erasure_is_no_duplicate,
                an_opt_out_after_an_erasure_is_not_lost,
                refused_people_stay_out_after_their_erasure,
                each_part_is_kept_for_its_retention,
                deleted_engagements_are_recognised_when_they_are_sent_again,
            ],
            users: [
                a_change_by_another_user_is_sent_where_it_matters,
                what_a_user_said_is_no_news_for_this_user,
                an_opt_out_at_a_former_mailbox_counts_for_its_users,
                a_fact_by_an_id_counts_for_later_users_if_the_mailbox_had_come_with_it,
                news_for_the_other_users_counts_beside_what_is_old,
                consent_to_calls_says_nothing_about_a_mailbox,
                an_opt_in_of_the_moment_of_an_opt_out_counts_for_nobody,
                only_an_opt_out_by_an_id_alone_counts_for_its_other_addresses,
            ],
            erased_users: [
                opt_ins_of_an_erased_user_of_a_mailbox_count_for_nobody,
                facts_that_forbid_mail_to_a_mailbox_outlive_their_user,
                messages_of_other_users_count_while_a_user_is_being_erased,
                an_opt_out_of_the_address_counts_at_once_while_a_user_is_being_erased,
                other_users_of_a_mailbox_are_sent_again_after_the_removal,
                other_users_are_sent_again_after_an_unanswered_removal,
                nothing_is_left_to_do_by_hand_for_an_erased_person,
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
                a_trace_shows_everything_that_became_of_a_message,
                gaps_in_action_ids_are_reported,
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
