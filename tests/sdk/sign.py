"""Requests that the senders' own libraries sign, as JSON on standard output: as sign.mjs, in Python."""

import base64
import datetime
import json
import secrets
import time

import google.auth.crypt
import google.auth.jwt
import standardwebhooks
import svix
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from paddle_billing.Notifications.PaddleSignature import PaddleSignature
from slack_sdk.signature import SignatureVerifier

KEY = secrets.token_hex(32)
WHSEC = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
NOW = datetime.datetime.now(tz=datetime.timezone.utc)
SECONDS = str(int(NOW.timestamp()))
BODY = json.dumps({"id": "evt_1", "type": "a.b", "note": "Grüße, 東京 \U0001F680 \"<&>\" \\ / \n"}, ensure_ascii=False)
JSON = {"content-type": "application/json"}


def slack():
    signature = SignatureVerifier(KEY).generate_signature(timestamp=SECONDS, body=BODY)
    return {"headers": {"x-slack-request-timestamp": SECONDS, "x-slack-signature": signature}}


def paddle():
    h1 = PaddleSignature.calculate_hmac(KEY, f"{SECONDS}:{BODY}".encode()).hexdigest()
    return {"headers": {"paddle-signature": f"ts={SECONDS};h1={h1}"}, "settings": {"tolerance": "5m"}}


def by_standard_webhooks():
    signature = standardwebhooks.Webhook(WHSEC).sign("msg_python", NOW, BODY)
    return {"secrets": [WHSEC], "headers": named("webhook", "msg_python", signature)}


def by_svix():
    return {"secrets": [WHSEC], "headers": named("svix", "msg_svix", svix.Webhook(WHSEC).sign("msg_svix", NOW, BODY))}


def named(family, identity, signature):
    return {f"{family}-id": identity, f"{family}-timestamp": SECONDS, f"{family}-signature": signature}


def pubsub():
    """Nothing of the body is bound to such a token."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    claims = {
        "iss": "https://accounts.google.com", "aud": "https://hooks.example.com/in", "email": "push@example.com",
        "email_verified": True, "iat": int(SECONDS), "exp": int(time.time()) + 3600,
    }
    token = google.auth.jwt.encode(google.auth.crypt.RSASigner.from_string(pem, "k1"), claims)
    public = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "alg": "RS256", "kid": "k1", "n": number(public.n), "e": number(public.e)}
    settings = {"audience": claims["aud"], "email": claims["email"]}
    headers = {"authorization": "Bearer " + token.decode()}
    return {"secrets": [json.dumps(jwk)], "settings": settings, "headers": headers, "bound": ""}


def number(value):
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def request(sdk, provider, parts):
    whole = {"sdk": sdk, "provider": provider, "source": f"{provider}-python", "secrets": [KEY], "body": BODY, **parts}
    return {**whole, "headers": {**JSON, **whole["headers"]}}


print(json.dumps([
    request("slack_sdk", "slack", slack()),
    request("paddle-python-sdk", "paddle-billing", paddle()),
    request("standardwebhooks for Python", "brex", by_standard_webhooks()),
    request("svix for Python", "resend", by_svix()),
    request("google-auth", "gcp-pubsub-push", pubsub()),
]))
