"""Keys and documents of tickets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.connectors import jira, servicenow
from brain.connectors.adf import adf_to_text, text_to_adf
from brain.connectors.tickets import NewTicket, comment_mark
from brain.demo.stand_ins.jira import is_document
from brain.errors import InvalidInput
from brain.neutral import plain_text
from brain.text import clip_text, one_line, plain_key, short_key
from support.vendors import jira_settings, servicenow_settings

ids = st.text(min_size=1, max_size=400).filter(lambda text: bool(text.strip()))


@given(text=st.text(max_size=500), link=st.sampled_from(["", "https://brain.example/incidents/1"]))
def test_every_text_becomes_a_document_with_its_words(text: str, link: str) -> None:
    made = text_to_adf(text, link)
    assert is_document(made)
    words = "".join(plain_text(text).split())
    assert words in "".join((adf_to_text(made) + "").split()).removesuffix(link) or not text.strip()


def test_paragraphs_lines_and_a_link() -> None:
    made = text_to_adf("one\ntwo\n\n\n\nthree", "https://x.example")
    kinds = [[node["type"] for node in part["content"]] for part in made["content"]]
    assert kinds == [["text", "hardBreak", "text"], ["text"], ["text"]]
    assert made["content"][2]["content"][0]["marks"] == [{"type": "link", "attrs": {"href": "https://x.example"}}]


def test_what_is_no_document_has_no_text() -> None:
    assert [adf_to_text(node) for node in (None, 7, "text", {}, {"content": 7}, {"content": [None]})] == [""] * 6


@given(one=ids, other=ids)
def test_keys_of_tickets_fit_and_stay_apart(one: str, other: str) -> None:
    for made, longest in ((jira.label, 255), (servicenow.correlation_id, 100)):
        assert len(made(one)) <= longest
        assert not set(made(one)) & set(' "\\^=\n')
        assert (made(one) == made(other)) == (one == other)


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_id_finds_nobodys_ticket(empty: str) -> None:
    with pytest.raises(InvalidInput, match="incident_id"):
        jira.search_request(jira_settings("http://x"), empty)
    with pytest.raises(InvalidInput, match="incident_id"):
        servicenow.find_request(servicenow_settings("http://x"), empty)
    with pytest.raises(InvalidInput, match="id"):
        servicenow.change_request(servicenow_settings("http://x"), empty, {"state": "7"})


def test_ids_in_paths_are_escaped() -> None:
    assert jira.read_request(jira_settings("http://x"), "../../admin?x").url.endswith("/issue/..%2F..%2Fadmin%3Fx")
    url = servicenow.read_request(servicenow_settings("http://x"), "a/b").url
    assert url == "http://x/servicenow/api/now/table/incident/a%2Fb"


def test_texts_that_are_too_long() -> None:
    assert clip_text("abcdef", 4) == "abc…"
    assert one_line(" a\n b\t c ", 10) == "a b c"
    assert short_key("a b", 10) == "a b"
    assert plain_key("a b", 60).startswith("a-b-")
    assert len(comment_mark("x" * 500)) <= 62


def test_a_ticket_of_any_length_is_cut() -> None:
    ticket = NewTicket(incident_id="i", title="t\n" * 500, description="d" * 100_000, labels=["a b", "a b", ""])
    body = jira.create_request(jira_settings("http://x"), ticket).body
    assert len(body) < 40_000
    assert b'"labels":["brain-i","brain","a-b"]' in body
    assert len(servicenow.create_request(servicenow_settings("http://x"), ticket).body) < 6_000


@pytest.mark.parametrize("login", [{}, {"user": "u"}, {"user": "u", "password": "p", "token": "t"}])
def test_one_way_to_log_in_to_servicenow(login: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="either token, or user and password"):
        servicenow.ServiceNowSettings.model_validate({"url": "http://x", **login})
