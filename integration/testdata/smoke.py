"""A client in another language: boto3 with nothing but the environment that trent dev writes."""
import os
import sys

import boto3
from botocore.exceptions import ClientError

kms = boto3.client("kms")
key = kms.create_key(Description="boto3", Tags=[{"TagKey": "by", "TagValue": "python"}])["KeyMetadata"]
assert key["KeyState"] == "Enabled" and key["KeySpec"] == "SYMMETRIC_DEFAULT", key
assert key["CreationDate"].tzinfo is not None

kms.create_alias(AliasName="alias/python", TargetKeyId=key["KeyId"])
context = {"tenant": "acme", "größe": "☃"}
sealed = kms.encrypt(KeyId="alias/python", Plaintext=b"hello", EncryptionContext=context)
assert sealed["KeyId"] == key["Arn"]
opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
assert opened["Plaintext"] == b"hello" and opened.get("KeyMaterialId") == key.get("CurrentKeyMaterialId"), opened

data = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
assert len(data["Plaintext"]) == 32
assert kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"] == data["Plaintext"]

try:
    kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    sys.exit("a wrong encryption context decrypts")
except kms.exceptions.InvalidCiphertextException as e:
    assert e.response["Error"]["Message"] == "", e.response
    assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400

try:
    kms.describe_key(KeyId="alias/none")
    sys.exit("an alias that does not exist is described")
except kms.exceptions.NotFoundException as e:
    assert "is not found." in str(e), e

try:
    kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", DryRun=True)
    sys.exit("a dry run succeeds")
except kms.exceptions.DryRunOperationException:
    pass

signer = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
signature = kms.sign(KeyId=signer, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
assert kms.verify(KeyId=signer, Message=b"m", Signature=signature, SigningAlgorithm="ECDSA_SHA_256")["SignatureValid"]
try:
    kms.verify(KeyId=signer, Message=b"n", Signature=signature, SigningAlgorithm="ECDSA_SHA_256")
    sys.exit("a wrong message verifies")
except kms.exceptions.KMSInvalidSignatureException:
    pass

for _ in range(5):
    kms.create_key()
ids = [k["KeyId"] for page in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2}) for k in page["Keys"]]
assert len(ids) == len(set(ids)) == 7 and signer in ids, ids

answer = kms.schedule_key_deletion(KeyId=signer, PendingWindowInDays=7)
assert answer["KeyState"] == "PendingDeletion" and answer["DeletionDate"].tzinfo is not None, answer
try:
    kms.sign(KeyId=signer, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
    sys.exit("a key pending deletion signs")
except ClientError as e:
    assert e.response["Error"]["Code"] == "KMSInvalidStateException", e.response
    assert e.response["Error"]["Message"].endswith(" is pending deletion."), e.response

print("boto3", boto3.__version__, "on", os.environ["AWS_ENDPOINT_URL_KMS"], "ok")
