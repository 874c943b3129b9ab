"""Lines of other versions of sshd, of other systems and in other languages of PAM: one attempt each, or none."""

from __future__ import annotations

import pytest

from brain.kit.sshd.attempts import SshdAttempts
from brain.kit.sshd.lines import read_line

A = "203.0.113.7"
DATE = "Mar  3 10:11:12 host "
EVIDENCE = (
    f"{DATE}sshd[11]: error: PAM: Fehler bei der Authentifizierung for root from {A}",
    f"{DATE}sshd[11]: error: PAM: Échec de l'authentification for illegal user admin from {A}",
    f"{DATE}sshd[11]: error: PAM: Error de autenticación for root from {A} via 10.0.0.2",
    f"{DATE}sshd[11]: error: PAM: Ошибка при проверке подлинности for root from {A} port 22",
    f"{DATE}sshd[11]: error: PAM: 認証失敗 for invalid user test from {A}",
    f"{DATE}sshd[11]: error: PAM: Autenticazione fallita for bob from host-7.example.org via 10.0.0.2",
    f"{DATE}sshd-session[11]: error: PAM: Authentication failure for root from {A}",
    f"{DATE}sshd[11]: error: PAM: User not known to the underlying authentication module for illegal user x from {A}",
    f"{DATE}sshd[11]: error: PAM: Have exhausted maximum number of retries for service for root from {A}",
    f"{DATE}sshd[11]: error: PAM: Maximum number of tries exceeded (10) for root from {A}",
    f"{DATE}sshd-auth[11]: Failed password for root from {A} port 51884 ssh2 [preauth]",
    f"{DATE}sshd-session[11]: Failed password for invalid user from from {A} port 51884 ssh2",
    f"{DATE}sshd[11]: Failed keyboard-interactive/pam for invalid user a b from {A} port 1 ssh2",
    f"{DATE}sshd[11]: Failed gssapi-with-mic for root from {A} port 1 ssh2",
    f"{DATE}sshd[11]: Failed hostbased for root from {A} port 1 ssh2: RSA SHA256:abc",
    f"{DATE}sshd[11]: Failed challenge-response for root from {A} port 1 ssh2",
    f"2026-03-03T10:11:12.123456+01:00 host sshd-session[11]: Failed password for root from {A} port 1 ssh2",
    f"2026-03-03T10:11:12Z host sshd[11]: Invalid user  from {A} port 51884",
    f"<38>1 2026-03-03T10:11:12.1Z host sshd 11 - - Failed password for root from {A} port 1 ssh2",
    f"Mar 03 10:11:12 host sshd[11]: Failed password for root from {A} port 1 ssh2",
    f"{DATE}sshd[11]: User root from {A} not allowed because not listed in AllowUsers",
    f"{DATE}sshd-session[11]: User bob from {A} not allowed because shell /bin/nope does not exist",
    f"{DATE}sshd[11]: User bob from {A} not allowed because none of user's groups are listed in AllowGroups",
    f"{DATE}sshd[11]: ROOT LOGIN REFUSED FROM {A} port 51884",
    f"{DATE}sshd-session[11]: error: maximum authentication attempts exceeded for invalid user x from {A} port 1 ssh2 "
    "[preauth]",
    f"{DATE}sshd[11]: Failed password for root from 2001:db8::7 port 1 ssh2",
    f"{DATE}sshd[11]: Failed password for root from ::ffff:{A} port 1 ssh2",
    f"{DATE}sshd[11]: Failed password for root from fe80::1%eth0 port 1 ssh2",
)  # fmt: skip
NONE = (
    f"{DATE}sshd[11]: error: PAM: User account has expired for bob from {A}",
    f"{DATE}sshd[11]: error: PAM: Module is unknown for bob from {A}",
    f"{DATE}sshd[11]: error: PAM: Permission denied for bob from {A}",
    f"{DATE}sshd-session[11]: error: PAM: Authentication service cannot retrieve authentication info for root from {A}",
    f"{DATE}sshd[11]: error: PAM: Authentication token is no longer valid; new one required for bob from {A}",
    f"{DATE}sshd[11]: error: PAM: pam_open_session(): Cannot make/remove an entry for the specified session",
    f"{DATE}sshd-session[11]: Connection closed by authenticating user root {A} port 1 [preauth]",
    f"{DATE}sshd-session[11]: Connection closed by invalid user  {A} port 1 [preauth]",
    f"{DATE}sshd[11]: Timeout before authentication for connection from {A} to 10.0.0.1, pid = 12",
    f"{DATE}sshd[11]: drop connection #0 from [{A}]:48416 on [10.0.0.1]:22 penalty: failed authentication",
    f"{DATE}sshd[11]: srclimit_penalise: ipv4: new {A}/32 deferred penalty of 5 seconds for penalty: failed password",
    f"{DATE}sshd[11]: banner exchange: Connection from {A} port 1: invalid format",
    f"{DATE}sshd[11]: kex_exchange_identification: read: Connection reset by peer",
    f"{DATE}sshd[11]: Unable to negotiate with {A} port 1: no matching host key type found. Their offer: ssh-rsa",
    f"{DATE}sshd[11]: Postponed publickey for root from {A} port 1 ssh2 [preauth]",
    f"{DATE}sshd[11]: Failed none for root from {A} port 1 ssh2",
    f"{DATE}sshd[11]: Failed publickey for root from {A} port 1 ssh2: RSA SHA256:abc",
    f"{DATE}sshd[11]: pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
    f"{DATE}sshd[11]: pam_unix(sshd:account): account bob has expired (account expired)",
    f"{DATE}sshd[11]: Address {A} maps to example.org, but this does not map back to the address.",
    f"{DATE}sshd[11]: Received disconnect from {A} port 1:11: Bye Bye [preauth]",
    f"{DATE}dropbear[11]: Bad password attempt for 'root' from {A}:1",
    f"{DATE}sshd[11]: Could not get shadow information for NOUSER",
)


def attempts(line: str) -> list[tuple[str, str]]:
    read = read_line(line)
    return [] if read is None else [(one.outcome, one.address) for one in SshdAttempts().take(read).attempts]


@pytest.mark.parametrize("line", EVIDENCE)
def test_one_attempt_from_the_right_address(line: str) -> None:
    [(outcome, address)] = attempts(line)
    assert outcome in ("failed", "invalid_user", "refused", "too_many")
    assert address in line
    assert address.lower() not in ("host", "10.0.0.2")


@pytest.mark.parametrize("line", NONE)
def test_no_attempt(line: str) -> None:
    assert attempts(line) == []
