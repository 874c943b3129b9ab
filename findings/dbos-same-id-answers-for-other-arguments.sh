#!/usr/bin/env bash
# Guess: a workflow of DBOS that is started again under the same id, but with other arguments, is refused as a conflict.
# Truth: it answers with the result of the first start and does nothing; only another function under the id raises. A workflow
# that failed under an id fails again with the same error, without being run.
# Why it matters: an id made of too little (order number without amount, ticket without its change) reports a payment or mission
# as done that never was. Put a hash of the arguments into the id.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q dbos==3.4.0
cat >ask.py <<'P'
import logging

from dbos import DBOS, SetWorkflowID

logging.disable(logging.CRITICAL)
DBOS(config={"name": "pay", "system_database_url": "sqlite:///dbos.db", "run_admin_server": False})
runs = []


@DBOS.workflow()
def pay(amount: int) -> str:
    runs.append(amount)
    return f"paid {amount}"


@DBOS.workflow()
def refund(amount: int) -> str:
    return f"refunded {amount}"


def start(workflow, amount):
    try:
        with SetWorkflowID("order-1"):
            return workflow(amount)
    except Exception as error:
        return type(error).__name__


DBOS.launch()
print(f"{start(pay, 5)}, {start(pay, 7)}, other function: {start(refund, 7)}; runs {runs}")
DBOS.destroy()
P
seen=$(v/bin/python ask.py)
echo "dbos 3.4.0: $seen"
[ "$seen" = "paid 5, paid 5, other function: DBOSConflictingWorkflowError; runs [5]" ]
