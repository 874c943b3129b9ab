#!/usr/bin/env bash
# Guess: a signed token whose `iat` is 20 seconds ahead is accepted, and four libraries agree on one that expired 20 seconds
# ago.
# Truth: PyJWT, joserfc and authlib refuse iat in the future unless leeway is given; jwcrypto accepts it, and accepts the
# expired one as well: its default leeway is 60 s, that of the others 0.
# Why it matters: agents and robots whose clocks run a second ahead are refused at random, and one token is dead in one service
# and alive in another. Set the same leeway everywhere, and issue iat some seconds back.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pyjwt==2.15.1 joserfc==1.8.0 authlib==1.9.6 jwcrypto==1.6.1 cryptography==50.0.2
cat >ask.py <<'P'
import base64
import time

import jwt
from authlib.jose import jwt as authlib_jwt
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OctKey
from jwcrypto.jwk import JWK
from jwcrypto.jwt import JWT

SECRET = b"k" * 32


def by_pyjwt(token):
    jwt.decode(token, SECRET, algorithms=["HS256"])


def by_joserfc(token):
    joserfc_jwt.JWTClaimsRegistry().validate(joserfc_jwt.decode(token, OctKey.import_key(SECRET)).claims)


def by_authlib(token):
    authlib_jwt.decode(token, SECRET).validate()


def by_jwcrypto(token):
    JWT(jwt=token, key=JWK(kty="oct", k=base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()))


def answers(**claims):
    token = jwt.encode(claims, SECRET, "HS256")
    for check in (by_pyjwt, by_joserfc, by_authlib, by_jwcrypto):
        try:
            check(token)
            yield "accepted"
        except Exception:
            yield "refused"


now = int(time.time())
print("iat ahead:", " ".join(answers(iat=now + 20)), end="; ")
print("expired:", " ".join(answers(exp=now - 20)))
P
seen=$(v/bin/python -W ignore ask.py)
echo "pyjwt 2.15.1, joserfc 1.8.0, authlib 1.9.6, jwcrypto 1.6.1: $seen"
[ "$seen" = "iat ahead: refused refused refused accepted; expired: refused refused refused accepted" ]
