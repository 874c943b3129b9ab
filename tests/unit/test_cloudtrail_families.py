"""Rules on CloudTrail hold for a family of calls, not for the one name that somebody saw: hits and near misses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from brain.detections import loading
from brain.detections.engine import Engine, MemoryStates
from brain.detections.ruleset import Record
from brain.detections.sources import cloudtrail

OWN, OTHER = "111122223333", "999988887777"


class Call(NamedTuple):
    """A call of one API, and what is found in it; "" for nothing."""

    api: str
    parameters: Mapping[str, Any]
    found: str
    more: Mapping[str, Any] = {}
    times: int = 1


def allowing(principal: str) -> str:
    """A policy as text."""
    return json.dumps({"Statement": {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "*"}})


OFF, SHARED, TRUST, RIGHTS = "aws_logging_off", "aws_shared_outside", "aws_backdoor_trust", "aws_admin_attached"
LEAVES, KEYS, EXPIRY = "aws_leave_organization", "aws_access_key_for_another", "aws_bucket_expiry"
CALLS = (
    # what is recorded, and what looks at it, is switched off
    Call("logs DeleteLogGroup", {"logGroupName": "/aws/cloudtrail/all"}, OFF),
    Call("logs DeleteLogStream", {"logGroupName": "vpc-flow-logs", "logStreamName": "s"}, OFF),
    Call("logs DeleteLogGroup", {"logGroupName": "/aws/lambda/thumbnails"}, ""),
    Call("guardduty UpdateDetector", {"detectorId": "d", "enable": False}, OFF),
    Call("guardduty UpdateDetector", {"detectorId": "d", "enable": True}, ""),
    Call("guardduty StopMonitoringMembers", {"accountIds": [OTHER]}, OFF),
    Call("guardduty DisassociateFromAdministratorAccount", {}, OFF),
    Call("guardduty DeletePublishingDestination", {}, OFF),
    Call("guardduty CreateDetector", {"enable": True}, ""),
    Call("securityhub BatchDisableStandards", {}, OFF),
    Call("securityhub DisableSecurityHub", {}, OFF),
    Call("macie2 DisableMacie", {}, OFF),
    Call("inspector2 Disable", {"resourceTypes": ["EC2"]}, OFF),
    Call("access-analyzer DeleteAnalyzer", {"analyzerName": "a"}, OFF),
    Call("config StopConfigurationRecorder", {}, OFF),
    Call("config DeleteConfigRule", {"configRuleName": "r"}, ""),
    Call("cloudtrail StopEventDataStoreIngestion", {}, OFF),
    Call("cloudtrail DeleteTrail", {}, OFF, {"errorCode": "TrailNotFoundException"}),
    Call("cloudtrail CreateTrail", {"name": "t"}, ""),
    Call("cloudtrail StartLogging", {"name": "t"}, ""),
    Call("cloudtrail DescribeTrails", {}, ""),
    Call("s3 PutBucketLogging", {"bucketName": "b", "BucketLoggingStatus": {"xmlns": "x"}}, OFF),
    Call("s3 PutBucketLogging", {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": "t"}}}, ""),
    Call("wafv2 DeleteLoggingConfiguration", {"resourceArn": "a"}, OFF),
    Call("route53 DeleteQueryLoggingConfig", {"id": "i"}, OFF),
    Call("ec2 DeleteFlowLogs", {}, OFF, {"errorCode": "Client.UnauthorizedOperation"}),
    Call("ec2 CreateFlowLogs", {}, ""),
    # what is stored of it is deleted
    Call("s3 PutBucketLifecycleConfiguration", {"LifecycleConfiguration": {"Rule": [{"Expiration": {"Days": 2}}]}},
         EXPIRY),
    Call("s3 PutBucketLifecycle", {"LifecycleConfiguration": {"Rule": {"Expiration": {"Days": 365}}}}, ""),
    # an account leaves what binds it
    Call("organizations LeaveOrganization", {}, LEAVES, {"errorCode": "AccessDeniedException"}),
    Call("organizations RemoveAccountFromOrganization", {"accountId": OTHER}, LEAVES),
    Call("organizations DetachPolicy", {"policyId": "p-1", "targetId": OTHER}, LEAVES),
    Call("organizations DisablePolicyType", {"policyType": "SERVICE_CONTROL_POLICY"}, LEAVES),
    Call("organizations DescribeOrganization", {}, ""),
    # something is shared with other accounts, or with everybody
    Call("ec2 ModifySnapshotAttribute", {"createVolumePermission": {"add": {"items": [{"userId": OTHER}]}}}, SHARED),
    Call("ec2 ModifySnapshotAttribute", {"createVolumePermission": {"add": {"items": [{"userId": OWN}]}}}, ""),
    Call("ec2 ModifySnapshotAttribute", {"createVolumePermission": {"remove": {"items": [{"userId": OTHER}]}}}, ""),
    Call("ec2 ModifyFpgaImageAttribute", {"loadPermission": {"add": {"items": [{"userId": OTHER}]}}}, SHARED),
    Call("ec2 ModifyImageAttribute", {"launchPermission": {"add": {"items": [
        {"organizationArn": f"arn:aws:organizations::{OTHER}:organization/o-1"}]}}}, SHARED),
    Call("ec2 ModifyVpcEndpointServicePermissions", {"ModifyVpcEndpointServicePermissionsRequest": {
        "AddAllowedPrincipals": {"content": f"arn:aws:iam::{OTHER}:root"}}}, SHARED),
    Call("rds ModifyDBClusterSnapshotAttribute", {"attributeName": "restore", "valuesToAdd": ["all"]}, SHARED),
    Call("rds ModifyDBSnapshotAttribute", {"attributeName": "restore", "valuesToRemove": [OTHER]}, ""),
    Call("redshift AuthorizeSnapshotAccess", {"accountWithRestoreAccess": OTHER}, SHARED),
    Call("s3 PutBucketPolicy", {"bucketPolicy": {"Statement": [
        {"Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam::{OWN}:root", OTHER]}}]}}, SHARED),
    Call("s3 PutBucketPolicy", {"bucketPolicy": {"Statement": [
        {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}]}}, ""),
    Call("s3 PutBucketPolicy", {"bucketPolicy": {"Statement": [{"Effect": "Deny", "Principal": "*"}]}}, ""),
    Call("s3 PutBucketPublicAccessBlock", {"PublicAccessBlockConfiguration": {"BlockPublicPolicy": False}}, SHARED),
    Call("s3 PutBucketPublicAccessBlock", {"PublicAccessBlockConfiguration": {"BlockPublicPolicy": True}}, ""),
    Call("s3 PutBucketAcl", {"x-amz-acl": ["public-read"]}, SHARED),
    Call("s3 PutBucketAcl", {"x-amz-acl": ["private"]}, ""),
    Call("s3 PutAccessPointPolicy", {"PutAccessPointPolicyRequest": {"Policy":
        allowing(OTHER)}}, SHARED),
    Call("kms CreateGrant", {"granteePrincipal": f"arn:aws:iam::{OTHER}:role/r", "keyId": "k"}, SHARED),
    Call("kms CreateGrant", {"granteePrincipal": f"arn:aws:iam::{OWN}:role/r", "keyId": "k"}, ""),
    Call("kms CreateGrant", {"granteePrincipal": "dynamodb.eu-west-1.amazonaws.com", "keyId": "k"}, ""),
    Call("sqs AddPermission", {"aWSAccountIds": [OTHER], "actions": ["*"]}, SHARED),
    Call("sns AddPermission", {"aWSAccountId": [OTHER], "actionName": ["Publish"]}, SHARED),
    Call("ecr SetRepositoryPolicy", {"policyText": '{"Statement":[{"Effect":"Allow","Principal":"*"}]}'}, SHARED),
    Call("elasticfilesystem PutFileSystemPolicy", {"policy":
         '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"}}]}'},
         SHARED),
    Call("backup PutBackupVaultAccessPolicy", {"policy": allowing(OTHER)}, SHARED),
    Call("ram CreateResourceShare", {"principals": [OTHER], "allowExternalPrincipals": True}, SHARED),
    Call("ram AssociateResourceShare", {"principals": [OWN]}, ""),
    Call("events PutPermission", {"action": "events:PutEvents", "principal": OTHER, "statementId": "s"}, SHARED),
    Call("lambda AddPermission20150331v2", {"principal": OTHER, "statementId": "s"}, TRUST),
    Call("lambda AddPermission20150331v2", {"principal": "s3.amazonaws.com", "statementId": "s"}, ""),
    Call("lambda CreateFunctionUrlConfig", {"authType": "NONE"}, TRUST),
    Call("lambda CreateFunctionUrlConfig", {"authType": "AWS_IAM"}, ""),
    # roles and users that come back
    Call("iam UpdateAssumeRolePolicy", {"policyDocument": allowing(f"arn:aws:iam::{OTHER}:root")}, TRUST),
    Call("iam CreateRole", {"assumeRolePolicyDocument":
        '{"Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"}}]}'}, ""),
    Call("iam CreateSAMLProvider", {"name": "n"}, TRUST),
    Call("iam CreateOpenIDConnectProvider", {"url": "https://idp.example"}, TRUST),
    Call("iam AttachRolePolicy", {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess", "roleName": "r"}, ""),
    Call("iam AttachUserPolicy", {"policyArn": "arn:aws-cn:iam::aws:policy/AdministratorAccess"}, RIGHTS),
    Call("iam PutGroupPolicy", {"policyDocument": '{"Statement":[{"Effect":"Allow","Action":["*"],"Resource":"*"}]}'},
         RIGHTS),
    Call("iam PutUserPolicy", {"policyDocument": '{"Statement":{"Effect":"Allow","Action":"*:*","Resource":"*"}}'},
         RIGHTS),
    Call("iam PutUserPolicy", {"policyDocument": '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'},
         ""),
    Call("iam CreatePolicyVersion", {"setAsDefault": True, "policyDocument":
        '{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'}, RIGHTS),
    Call("iam CreateAccessKey", {"userName": "bob"}, KEYS),
    Call("iam CreateAccessKey", {"userName": "ann"}, ""),
    Call("iam CreateAccessKey", {}, ""),
    Call("iam UpdateLoginProfile", {"userName": "bob"}, "aws_login_profile"),
    Call("iam DeactivateMFADevice", {"userName": "bob"}, "aws_second_factor_removed"),
    Call("iam EnableMFADevice", {"userName": "bob"}, ""),
    Call("sts GetFederationToken", {"name": "x", "policy": '{"Statement":[{"Action":"*"}]}'}, "aws_federation_token"),
    # secrets, scripts and commands
    Call("ssm GetParameter", {"name": "/db/{n}", "withDecryption": True}, "", times=12),  # as Terraform refreshes them
    Call("secretsmanager GetSecretValue", {"secretId": "arn:aws:secretsmanager:eu-west-1:1:secret:s{n}"},
         "aws_secrets_burst", times=12),
    Call("secretsmanager GetSecretValue", {"secretId": "same"}, "", times=12),
    Call("secretsmanager BatchGetSecretValue", {"secretIdList": ["a", "b"]}, ""),
    Call("ec2 GetPasswordData", {"instanceId": "i-{n}"}, "aws_password_data_burst", {"errorCode": "AccessDenied"}, 5),
    Call("ec2 GetPasswordData", {"instanceId": "i-{n}"}, "", {"errorCode": "AccessDenied"}, 4),
    Call("ec2 GetLaunchTemplateData", {"instanceId": "i-{n}"}, "aws_user_data_burst", times=6),
    Call("ssm ResumeSession", {"sessionId": "s"}, "aws_remote_command"),
    Call("ssm CreateAssociation", {"name": "AWS-RunShellScript"}, "aws_remote_command"),
    Call("ssm DescribeInstanceInformation", {}, ""),
    Call("s3 DeleteObjects", {"bucketName": "b{n}"}, "aws_objects_deleted", times=60),
    Call("s3 DeleteObject", {"bucketName": "b", "key": "{n}"}, "aws_objects_deleted", times=60),
    Call("s3 DeleteObject", {"bucketName": "b", "key": "{n}"}, "", times=8),
    Call("ec2 AuthorizeSecurityGroupIngress", {"ipPermissions": {"items": [
        {"fromPort": 22, "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]}}, "aws_port_open_to_all"),
    Call("ec2 AuthorizeSecurityGroupIngress", {"ipPermissions": {"items": [
        {"fromPort": 20, "toPort": 80, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]}}, "aws_port_open_to_all"),
    Call("ec2 AuthorizeSecurityGroupIngress", {"ipPermissions": {"items": [
        {"fromPort": 443, "toPort": 443, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]}}, ""),
)  # fmt: skip


@pytest.fixture(scope="module")
def rules() -> loading.Loaded:
    found, problems = loading.read_files([Path(loading.__file__).parent / "rules" / "cloudtrail.yaml"])
    return loading.link(found, problems)


@pytest.mark.parametrize("call", CALLS, ids=[f"{one.api}-{number}" for number, one in enumerate(CALLS)])
def test_what_is_found_in_a_call(call: Call, rules: loading.Loaded) -> None:
    source, _, name = call.api.partition(" ")
    engine = Engine(rules, MemoryStates())
    for number in range(call.times):
        record = {
            "eventID": f"e{number}", "eventTime": f"2026-08-01T10:00:{number // 2:02}Z", "eventName": name,
            "eventSource": f"{source}.amazonaws.com", "recipientAccountId": OWN,
            "userIdentity": {
                "type": "IAMUser", "accountId": OWN, "arn": f"arn:aws:iam::{OWN}:user/ann", "userName": "ann"
            },
            "requestParameters": _numbered(call.parameters, number), **call.more,
        }  # fmt: skip
        read = cloudtrail(record)
        engine.feed(Record(read.data, read.kind, read.time or 0.0, read.id))
    by_key = {one.about.key: one.about.name for one in rules.detections}
    assert {by_key[hit.detection] for hit in engine.drain()} == ({call.found} if call.found else set())


def _numbered(value: Any, number: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _numbered(one, number) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbered(one, number) for one in value]
    return value.replace("{n}", str(number)) if isinstance(value, str) else value
