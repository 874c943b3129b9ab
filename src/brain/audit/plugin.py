"""The audit plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="audit",
    purpose="Keeps every event in a log that proves that none was changed, at least 90 days.",
    events="brain.audit.events",
    settings="brain.audit.settings:AuditSettings",
    listens=("*",),
    open="brain.audit.tasks:open_component",
    files="brain.audit.open:state_files",
    commands={
        "audit": Command(
            "brain.audit.commands:app", "The audit log: verify, prove, search, export, hold, prune, rotate keys."
        ),
        "privacy": Command(
            "brain.audit.commands.privacy:app", "Erase what names a person or agent, with a certificate."
        ),
    },
    provides={
        "AuditEvents": "brain.audit.repository:AuditEventReader",
        "AuditProofs": "brain.audit.lookup:audit_proofs",
    },
)
