"""What an operator would say of AgentDojo's tools, and the rules that go with it."""

from __future__ import annotations

from brain import Condition, Rule
from brain.policy.provenance import ToolFacts

_READ = """search_emails get_unread_emails get_received_emails read_file list_files search_files
search_files_by_filename get_file_by_id
get_day_calendar_events search_calendar_events read_channel_messages read_inbox get_webpage
get_most_recent_transactions get_scheduled_transactions get_rating_reviews_for_hotels get_rating_reviews_for_restaurants
get_rating_reviews_for_car_rental"""
_TO = {
    "send_email": ("recipients", "cc", "bcc"),
    "create_calendar_event": ("participants",),
    "add_calendar_event_participants": ("participants",),
    "share_file": ("email",),
    "send_money": ("recipient",),
    "schedule_transaction": ("recipient",),
    "update_scheduled_transaction": ("recipient",),
    "send_direct_message": ("recipient",),
    "send_channel_message": ("channel",),
    "post_webpage": ("url",),
    "invite_user_to_slack": ("user_email",),
}
_ACTS = {
    "update_password": (("update", "change", "set"), ("password",)),
    "update_user_info": (("update", "change"), ("street",)),
    "delete_file": (("delete", "remove"), ()),
    "delete_email": (("delete", "remove"), ()),
    "reserve_hotel": (("reserve", "reservation", "book"), ("hotel",)),
    "reserve_restaurant": (("reserve", "reservation", "book"), ("restaurant",)),
    "reserve_car_rental": (("reserve", "reservation", "book", "rent"), ("company",)),
    "remove_user_from_slack": (("remove",), ("user",)),
    "cancel_calendar_event": (("cancel",), ()),
    "create_calendar_event": (("create", "add", "book", "schedule"), ("title",)),
}
TOOLS = {name: ToolFacts(returns=("untrusted",)) for name in _READ.split()}
for _name in {*_TO, *_ACTS}:
    _verbs, _subject = _ACTS.get(_name, ((), ()))
    TOOLS[_name] = ToolFacts(destinations=_TO.get(_name, ()), asked_by=_verbs, subject=_subject)

RULES = [
    Rule(id="tools", name="Tools", effect="ALLOW", conditions=[]),
    Rule(
        id="new-destination",
        name="A destination that nobody named",
        effect="DENY",
        priority=100,
        conditions=[Condition(field="destination_new", operator="==", value=True)],
    ),
]
SENSITIVE = [
    Rule(
        id="not-asked",
        name="After untrusted text, only what the user asked for",
        effect="DENY",
        priority=100,
        conditions=[
            Condition(field="labels", operator="contains", value="untrusted"),
            Condition(field="asked", operator="==", value=False),
        ],
    ),
]
