"""The view of genomes: what runs, agents and studies, and one agent's versions; live, in both looks, at 390 px."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from browser.looks import check_looks
from browser.page import open_page
from browser.site import Site

CONSUMERS = ("dna",)
GENES = {"temperature": {"kind": "float", "low": 0.0, "high": 1.0}}


def fill(site: Site) -> None:
    """Two versions of a genome, the first of which runs, and a study."""
    condition = {"field": "action", "operator": "==", "value": "dna.apply"}
    rule = {"id": "promote", "name": "Promote", "effect": "ALLOW", "conditions": [condition]}
    new = {"agent_id": "agent-7", "dna": {"temperature": 0.7}, "genes": GENES, "by": "<b>ann</b>"}
    study = {"agent_id": "agent-7", "genes": GENES, "owner": "ann"}
    posts = (
        ("policy/rules", rule),
        ("dna/snapshot", new),
        ("dna/agents/agent-7/mutate", {"mutation": {"temperature": 0.4}}),
        ("dna/agents/agent-7/promote", {"snapshot_id": 1, "by": "ann"}),
        ("dna/studies", study),
    )
    for path, body in posts:
        answer = site.client.post(path, json=body)
        assert answer.is_success, answer.text


def test_genomes_are_shown_and_followed(tab: Page, site: Site) -> None:
    fill(site)
    open_page(tab, site, "#/dna")
    running = tab.get_by_role("region", name="Running").locator("tbody tr")
    expect(running).to_contain_text("agent-71100 %no baseline")
    expect(tab.get_by_role("region", name="Studies").locator("tbody tr")).to_contain_text("maximize score")
    agents = tab.get_by_role("region", name="Agents").locator("tbody tr")
    versions = len(site.get("dna/agents/agent-7/history"))
    expect(agents).to_contain_text(f"agent-7{versions}snapshot 1")
    assert site.client.post("dna/agents/agent-7/mutate", json={"mutation": {"temperature": 0.1}}).is_success
    expect(agents).to_contain_text(f"agent-7{versions + 1}snapshot 1")
    check_looks(tab)
    agents.get_by_role("link", name="agent-7").click()
    rows = tab.get_by_role("region", name="Versions").locator("tbody tr")
    expect(rows).to_have_count(versions + 1)
    expect(rows.last).to_contain_text("manual, <b>ann</b>")
    expect(tab.get_by_role("region", name="Rollouts").locator("tbody tr")).to_contain_text("active")
    check_looks(tab)
    tab.get_by_role("link", name="All agents").click()
    expect(agents).to_be_visible()
