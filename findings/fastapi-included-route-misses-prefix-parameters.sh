#!/usr/bin/env bash
# Guess: request.scope["route"] describes the route as it is served, with all the path parameters that its URL has.
# Truth: for an included router with a prefix, FastAPI puts the inner route there: its path lacks the prefix, and its dependant
# lists a parameter of the prefix as a query parameter, though it was read from the path.
# Why it matters: a guard or a metric that takes the route's path or parameters from the scope knows neither the prefix nor the
# tenant in it. scope["path_params"] has them all.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q fastapi==0.165.0 httpx==0.28.1
cat >ask.py <<'P'
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient

router = APIRouter()


@router.get("/items/{item}")
def read(item: str, tenant: str, request: Request):
    route = request.scope["route"]
    named = [[p.name for p in found] for found in (route.dependant.path_params, route.dependant.query_params)]
    return [route.path, named, request.scope["path_params"]]


app = FastAPI()
app.include_router(router, prefix="/tenants/{tenant}")
print(TestClient(app).get("/tenants/acme/items/7").json())
P
seen=$(v/bin/python -W ignore ask.py)
echo "fastapi 0.165.0: $seen"
[ "$seen" = "['/items/{item}', [['item'], ['tenant']], {'tenant': 'acme', 'item': '7'}]" ]
