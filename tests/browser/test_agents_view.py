"""The view of agents: who proves who they are, and what each was denied; live, in both themes."""

from __future__ import annotations

from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, expect

from browser.looks import check_looks
from browser.page import open_page
from browser.site import Site

CONSUMERS = ("metrics",)
NAME = "<b>agent-7</b>"


def test_each_agent_with_its_identity_denials_threats_and_containment(tab: Page, site: Site) -> None:
    site.threat(NAME, "HIGH")
    for number in range(200):  # the newer ones of others hide none
        site.threat(f"192.0.2.{number}", "LOW")
    open_page(tab, site, "#/access")
    panel = tab.get_by_role("region", name="Agents in the last 24 hours")
    expect(panel).to_contain_text("none is registered")
    key = b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    site.post("/access/agents", {"agent_id": "billing-7", "public_key": key})
    site.post(
        "/access/agents",
        {"agent_id": "spiffe-1", "issuer": "spiffe://example.org", "subject": "spiffe://example.org/a"},
    )
    site.rule("no", "DENY", ("action", "==", "delete"), priority=5)
    site.rule("yes", "ALLOW", ("action", "==", "read"))
    for action in ("read", "delete", "delete"):
        site.ask(NAME, action)
    site.ask("billing-7", "read")
    site.post("/policy/containments", {"agent_id": "agent-9", "ttl": 600, "reason": "asks too much", "by": "ann"})

    rogue = panel.locator("tbody tr", has_text=NAME)  # the view follows
    expect(rogue).to_contain_text(f"{NAME}asserted321")
    expect(panel.locator("tbody tr", has_text="billing-7")).to_contain_text("registered by its key, not yet10")
    expect(panel.locator("tbody tr", has_text="spiffe-1")).to_contain_text(
        "registered by tokens of spiffe://example.org"
    )
    expect(panel.locator("tbody tr", has_text="agent-9")).to_contain_text(": asks too much")
    expect(panel).to_contain_text("4 agents")
    expect(panel.locator("tbody tr").first).to_contain_text(NAME)
    check_looks(tab)
    site.client.delete("/access/agents/billing-7").raise_for_status()
    expect(panel.locator("tbody tr", has_text="billing-7")).to_contain_text("retired")
