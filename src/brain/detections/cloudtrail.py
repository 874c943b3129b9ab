"""What a record of AWS CloudTrail says between the lines: who really acted, and with whom something was shared.

Fields that are added: `principal`, the role behind a session or the user, by ARN; and `shared_with`, the accounts other
than the record's own that the call lets in, or `all` for everybody. They are read from the parameters of each API, as
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

ALL = "all"
_ACCOUNT = re.compile(r"(?:arn:aws[a-z-]*:(?:iam|sts|organizations)::)?(\d{12})(?::.*)?").fullmatch
_POLICIES = ("bucketPolicy", "policy", "policyDocument", "assumeRolePolicyDocument", "resourcePolicy", "Policy",
             "policyText", "repositoryPolicyText")  # fmt: skip
_PERMISSIONS = ("createVolumePermission", "launchPermission", "loadPermission")
_ACCOUNT_NAMES = ("accountWithRestoreAccess", "aWSAccountIds", "aWSAccountId", "AWSAccountIds", "granteePrincipal",
                  "principals", "consumerIdentifier", "AddAllowedPrincipals", "addAllowedPrincipals")  # fmt: skip
"""Parameters that hold accounts, or ARNs of those who are let in."""
_GRANTEES = "http://acs.amazonaws.com/groups/global/"


def enriched(data: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the fields that are added."""
    found = dict(data)
    if (principal := principal_of(data)) is not None:
        found["principal"] = principal
    own = {str(account) for account in (data.get("recipientAccountId"), _identity(data).get("accountId")) if account}
    shared = sorted(set(_shared(data.get("requestParameters"))) - own)
    if shared:
        found["shared_with"] = shared
    return found


def principal_of(data: Mapping[str, Any]) -> str | None:
    """The ARN of the role behind a session, else of the user, else the service."""
    identity = _identity(data)
    session = identity.get("sessionContext")
    issuer = session.get("sessionIssuer") if isinstance(session, Mapping) else None
    for value in (
        issuer.get("arn") if isinstance(issuer, Mapping) else None,
        identity.get("arn"),
        identity.get("principalId"),
        identity.get("invokedBy"),
    ):
        if isinstance(value, str) and value:
            return value
    return None


def _identity(data: Mapping[str, Any]) -> Mapping[str, Any]:
    identity = data.get("userIdentity")
    return identity if isinstance(identity, Mapping) else {}


def _shared(parameters: Any) -> Iterator[str]:
    if not isinstance(parameters, Mapping):
        return
    for name, inner in parameters.items():
        if name.endswith("Request"):  # some APIs wrap what they were asked
            yield from _shared(inner)
    for name in _PERMISSIONS:
        yield from _permitted(parameters.get(name))
    for name in _ACCOUNT_NAMES:
        value = parameters.get(name)
        yield from _accounts(_texts(value.get("content") if isinstance(value, Mapping) else value))
    if parameters.get("attributeName") == "restore" or parameters.get("attributeType") in (
        "CREATE_VOLUME_PERMISSION",
        "restore",
    ):
        yield from _accounts(_texts(parameters.get("valuesToAdd")))
    if "statementId" in parameters and "principal" in parameters:  # Lambda's AddPermission
        yield from _accounts(_texts(parameters["principal"]))
    for name in _POLICIES:
        yield from _let_in(parameters.get(name))
    attributes = parameters.get("attributes")
    if isinstance(attributes, Mapping):
        yield from _let_in(attributes.get("Policy"))
    if _GRANTEES in msgspec.json.encode(parameters.get("AccessControlPolicy")).decode():
        yield ALL


def _permitted(permission: Any) -> Iterator[str]:
    """The accounts and groups that a permission of EC2 adds."""
    added = permission.get("add") if isinstance(permission, Mapping) else None
    items = added.get("items") if isinstance(added, Mapping) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping):
            yield from _accounts(_texts(item.get("userId")))
            yield from _accounts(_texts(item.get("organizationArn")))
            if item.get("group") == ALL:
                yield ALL


def _let_in(policy: Any) -> Iterator[str]:
    """Those whom a policy's statements allow something without a condition."""
    if isinstance(policy, str):
        try:
            policy = msgspec.json.decode(policy)
        except (msgspec.DecodeError, RecursionError):
            return
    statements = policy.get("Statement") if isinstance(policy, Mapping) else None
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
            continue
        principal = statement.get("Principal")
        named = principal.get("AWS") if isinstance(principal, Mapping) else principal
        for account in _accounts(_texts(named)):
            if account != ALL or not statement.get("Condition"):
                yield account


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else ()


def _accounts(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        if value in ("*", ALL):
            yield ALL
        elif (found := _ACCOUNT(value)) is not None:
            yield found[1]
