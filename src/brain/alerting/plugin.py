"""The alerting plug-in, declared.

Its events keep the source `soc_service`, and ids `evt_soc_...`: other systems know them by these names.
"""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="alerting",
    purpose="Turns threats, denials and critical health events into alerts, and pages the people on call.",
    events="brain.alerting.events",
    settings="brain.alerting.settings:AlertingSettings",
    listens=("threat.*", "policy.action_denied", "immune.critical_event", "ticket.*"),
    open="brain.alerting.component:open_component",
    commands={
        "alerts": Command(
            "brain.alerting.commands.alerts:app",
            "Alerts: list, acknowledge and close them; check notifiers.",
        ),
        "silences": Command("brain.alerting.commands.silences:app", "Silences: mute alerts for a while."),
    },
    provides={"Notifiers": "brain.alerting.sending:notifiers"},
    formerly=("soc",),
)
