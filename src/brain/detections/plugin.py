"""The detections plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="detections",
    purpose="Finds attacks in the stream and in logs, by Sigma rules, correlations and learned baselines.",
    events="brain.detections.events",
    settings="brain.detections.settings:DetectionSettings",
    listens=("policy.*", "threat.*", "immune.*"),  # and what the operator's own rules are about
    open="brain.detections.component:open_component",
    commands={
        "detections": Command("brain.detections.commands:app", "Detections: check, test, list, try on the past."),
        "ingest access-log": Command("brain.detections.ingest_commands:access_log", "Attacks in a web server's log."),
        "ingest auth-log": Command("brain.detections.ingest_commands:auth_log", "Guessed passwords in an sshd log."),
        "ingest cloudtrail": Command("brain.detections.ingest_commands:cloudtrail", "Attacks in AWS CloudTrail."),
        "ingest falco": Command("brain.detections.ingest_commands:falco", "Falco's alerts."),
        "ingest json": Command("brain.detections.ingest_commands:json", "JSON records of any logsource."),
        "ingest k8s-audit": Command("brain.detections.ingest_commands:k8s_audit", "Attacks on Kubernetes."),
    },
    view=View("Detections", "brain.detections:page", section="Respond"),
)
