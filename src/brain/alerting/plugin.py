"""The alerting plug-in, declared.

Its events keep the source `soc_service`, and ids `evt_soc_...`: other systems know them by these names.
"""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="alerting",
    purpose="Turns threats, denials and critical health events into alerts, and pages the people on call.",
    events="brain.alerting.events",
    settings="brain.alerting.settings:AlertingSettings",
    listens=("threat.*", "policy.action_denied", "immune.critical_event"),
    open="brain.alerting.http:open_component",
    commands={"alerts": "brain.alerting.commands.alerts:app", "silences": "brain.alerting.commands.silences:app"},
    formerly=("soc",),
)
