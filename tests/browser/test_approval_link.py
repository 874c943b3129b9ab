"""The page behind a link of an approval, as a person meets it: in Chromium, by a click."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect
from pydantic import SecretStr

from brain.access.settings import AccessSettings
from brain.approvals.links import PATH, Links
from brain.approvals.settings import ApprovalsSettings, PersonSettings
from brain.policy import Effect, PolicyEngine, Rule
from brain.policy.asked import PolicyApprovals
from brain.settings import Settings
from brain.store import open_store
from browser.looks import LOOKS, Look, check_looks
from support.ports import free_port
from support.server import ServeThread

_KEY = "an-administrators-key-of-the-settings"
_LOOKS = (*LOOKS, Look("light", 390, 844), Look("dark", 1440, 900))
_ACTION = 'refund <img src=x onerror="document.title=1"> ' + "long" * 60


class Asking:
    """A server with a key, and links to requests on it."""

    def __init__(self, folder: Path) -> None:
        stream, port = f"sqlite:///{folder}/brain.db", free_port()
        access = AccessSettings(urls=(f"http://127.0.0.1:{port}",))
        approvals = ApprovalsSettings(people={"ada": PersonSettings(), "bob": PersonSettings()})
        key = SecretStr(_KEY)
        self._thread = ServeThread(
            Settings(stream=stream, port=port, api_key=key, consumers=(), access=access, approvals=approvals)
        ).start()
        self._store = open_store(stream)
        self.engine = PolicyEngine(store=self._store)
        metadata = {"requires_approval": True, "approvers": 2}
        self.engine.add_rule(Rule(id="pay", name="Pay", effect=Effect.AUDIT, conditions=[], metadata=metadata))

    def ask(self) -> str:
        context = {"agent_id": "a1", "action": _ACTION, "resource": "orders/7", "params": {"amount": 900}}
        return self.engine.approvals.request(self.engine.evaluate(context), context).id

    def link(self, approval_id: str, name: str) -> str:
        asked = PolicyApprovals(lambda: self.engine, lambda: None).look(approval_id)
        return f"{self.url}{PATH}{Links(self._store).token(asked, name)}"

    @property
    def url(self) -> str:
        return self._thread.url

    def close(self) -> None:
        self._thread.stop()
        self.engine.close()
        self._store.close()


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    made = Asking(tmp_path_factory.mktemp("asking"))
    yield made
    made.close()


def test_a_person_agrees_by_a_click(tab: Page, asking: Asking) -> None:
    approval = asking.ask()
    posted: list[Request] = []
    tab.on("request", lambda request: posted.append(request) if request.method == "POST" else None)
    tab.goto(asking.link(approval, "ada"))
    expect(tab.get_by_role("heading", level=1)).to_have_text("An agent asks for approval")
    expect(tab.locator("dl")).to_contain_text(_ACTION)
    check_looks(tab, "the question", _LOOKS)
    assert asking.engine.approvals.get(approval).grants == ()
    tab.get_by_label("Reason").fill("seen the order")
    tab.get_by_role("button", name="Agree").click()
    expect(tab.get_by_role("status")).to_have_text("You agreed. 1 more must agree.")
    check_looks(tab, "the answer")
    (grant,) = asking.engine.approvals.get(approval).grants
    assert (grant.by, grant.reason) == ("ada", "seen the order")
    assert posted[0].headers["origin"] == asking.link(approval, "ada").partition("/open")[0], (
        "an origin that is checked"
    )
    tab.goto(asking.link(approval, "ada"))
    expect(tab.get_by_role("alert")).to_contain_text("ada has agreed already")
    check_looks(tab, "a link that was used")


@pytest.mark.parametrize("tab", [{"java_script_enabled": False}], indirect=True)
def test_it_works_without_scripts(tab: Page, asking: Asking) -> None:
    approval = asking.ask()
    tab.goto(asking.link(approval, "bob"))
    tab.get_by_role("button", name="Refuse").click()
    expect(tab.get_by_role("status")).to_have_text("You refused.")
    found = asking.engine.approvals.get(approval)
    assert (found.status, found.answered_by) == ("REFUSED", "bob")


@pytest.mark.parametrize("tab", [{"java_script_enabled": False}], indirect=True)
def test_the_log_in_form_works_without_scripts(tab: Page, asking: Asking) -> None:
    tab.goto(f"{asking.url}/login")
    tab.get_by_label("API key").fill(_KEY)
    tab.get_by_role("button", name="Log in").click()
    expect(tab).to_have_url(f"{asking.url}/")
