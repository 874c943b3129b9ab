"""Slack messages: escaped, within Slack's lengths, and taken by its stand-in whatever comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from brain.connectors.slack import SlackMessage, content
from brain.demo.stand_ins.slack import judge
from brain.neutral import slack_text


@given(
    title=st.text(max_size=400),
    text=st.one_of(st.text(max_size=200), st.sampled_from(["&" * 4000, "<x>" * 2000, "a" * 5000, " \n "])),
    fields=st.dictionaries(st.text(max_size=200), st.sampled_from(["", "v", "&" * 3000, "<" * 100]), max_size=15),
    footer=st.text(max_size=800),
)
def test_whatever_comes_is_acceptable(title: str, text: str, fields: dict[str, str], footer: str) -> None:
    message = SlackMessage(title=title, text=text, severity="HIGH", fields=fields, footer=footer)
    assert judge("T0", content(message)) == ("ok", 200)


def test_markup_in_texts_is_not_markup() -> None:
    assert slack_text("<!channel> & <@U1>") == "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    message = SlackMessage(
        title="<!channel>",
        text="see <http://evil|here>",
        fields={"<b>": "<!here>"},
        links=[("https://brain.example/?a=1&b=2|x", "<the page>")],
        footer="<!everyone>",
    )
    made = content(message)
    assert made["text"].startswith("&lt;!channel&gt;")
    rest = str(made["blocks"][1:])
    for markup in ("<!", "<http:", "<b>"):
        assert markup not in rest
    assert "<https://brain.example/?a=1&amp;b=2%7Cx|&lt;the page&gt;>" in rest


def test_it_says_how_bad_it_is_in_words() -> None:
    made = content(SlackMessage(title="brute force", severity="CRITICAL", text="details"))
    assert made["blocks"][0]["text"]["text"] == "🔴 CRITICAL: brute force"
    assert made["text"] == "🔴 CRITICAL: brute force\ndetails"
