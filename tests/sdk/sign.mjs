// Requests that the senders' own libraries sign, as JSON on standard output: what tests/sdk.rs sends to the gateway.
//
// A library is here where its own code makes the signature: a function that it exports for signing, for what to expect,
// or for tests. `jose` stands in for senders of JSON Web Signatures without such a function. `bound` is a part of the
// body that the signature protects; without it, all of the body is.
import { createHash, randomBytes } from "node:crypto";

import HmacValidator from "@adyen/api-library/lib/src/utils/hmacValidator.js";
import hubspot from "@hubspot/api-client";
import { signWebhookPayload } from "@notionhq/client";
import { sign as signGitHub } from "@octokit/webhooks-methods";
import { encodeSignatureHeader } from "@sanity/webhook";
import "@shopify/shopify-api/adapters/node";
import { HashFormat, createSHA256HMAC } from "@shopify/shopify-api/runtime";
import { WorkOS } from "@workos-inc/node";
import { computeWebhookSignature } from "box-node-sdk/lib/internal/utils";
import braintree from "braintree";
import cloudinary from "cloudinary";
import { CompactSign, SignJWT, exportJWK, generateKeyPair } from "jose";
import { AccessToken } from "livekit-server-sdk";
import Pusher from "pusher";
import * as standard from "standardwebhooks";
import Stripe from "stripe";
import * as svix from "svix";
import twilio from "twilio";

const base = process.argv[2];
const now = new Date();
const seconds = String(Math.floor(now.getTime() / 1000));
const milliseconds = String(now.getTime());
const hex = randomBytes(32).toString("hex");
const whsec = `whsec_${randomBytes(24).toString("base64")}`;
const sha256 = (text, encoding) => createHash("sha256").update(text).digest(encoding);

// Text that signers are known to disagree on: beyond ASCII, escapes, white space.
const body = JSON.stringify({ id: "evt_1", type: "a.b", note: "Grüße, 東京 \u{1F680} \"<&>\" \\ / \n", amount: 1.5 });
const json = { "content-type": "application/json" };

const requests = [];

async function add(sdk, provider, rest) {
    const source = `${provider}-${requests.length}`;
    const url = `${base}/in/${source}`;
    requests.push({ sdk, provider, source, secrets: [hex], body, ...(await rest(url)) });
}

await add("stripe", "stripe", () => {
    const header = new Stripe("sk_test_none").webhooks.generateTestHeaderString({ payload: body, secret: hex });
    return { headers: { ...json, "stripe-signature": header } };
});
await add("@octokit/webhooks-methods", "github", async () => {
    const headers = { ...json, "x-github-event": "ping", "x-github-delivery": "1" };
    return { headers: { ...headers, "x-hub-signature-256": await signGitHub(hex, body) } };
});
await add("@notionhq/client", "notion", async () => ({
    headers: { ...json, "x-notion-signature": await signWebhookPayload({ body, verificationToken: hex }) },
}));
await add("@sanity/webhook", "sanity", async () => ({
    headers: { ...json, "sanity-webhook-signature": await encodeSignatureHeader(body, now.getTime(), hex) },
}));
await add("@shopify/shopify-api", "shopify", async () => ({
    headers: { ...json, "x-shopify-hmac-sha256": await createSHA256HMAC(hex, body, HashFormat.Base64) },
}));
await add("@workos-inc/node", "workos", async () => {
    const { webhooks } = new WorkOS("sk_test_none", { clientId: "none" });
    const v1 = await webhooks.computeSignature(milliseconds, JSON.parse(body), hex);
    return { headers: { ...json, "workos-signature": `t=${milliseconds}, v1=${v1}` } };
});
await add("pusher", "pusher", () => {
    const body = JSON.stringify({ time_ms: now.getTime(), events: [{ name: "channel_occupied", channel: "c" }] });
    const signature = new Pusher.Token("key-1", hex).sign(body);
    const headers = { ...json, "x-pusher-key": "key-1", "x-pusher-signature": signature };
    return { body, settings: { app_key: "key-1" }, headers };
});

// The three versions of one sender, each a scheme.
for (const scheme of ["v1", "v2", "v3"]) {
    await add("@hubspot/api-client", "hubspot", (url) => {
        const event = { eventId: scheme, subscriptionId: 2, portalId: 3, objectId: 4, occurredAt: now.getTime() };
        const requestBody = JSON.stringify([event]);
        const options = { clientSecret: hex, requestBody, url, timestamp: now.getTime() };
        const signature = hubspot.Signature.getSignature("POST", scheme, options);
        const legacy = { "x-hubspot-signature": signature, "x-hubspot-signature-version": scheme };
        const latest = { "x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": milliseconds };
        return { scheme, body: requestBody, headers: { ...json, ...(scheme === "v3" ? latest : legacy) } };
    });
}

await add("@adyen/api-library", "adyen", () => {
    const item = {
        pspReference: "7914073381342284", originalReference: "", merchantAccountCode: "TestMerchant",
        merchantReference: "TestPayment-1407325143704", amount: { currency: "EUR", value: 1130 },
        eventCode: "AUTHORISATION", eventDate: now.toISOString(), success: "true", additionalData: {},
    };
    item.additionalData.hmacSignature = new HmacValidator.default().calculateHmac(item, hex);
    const notification = { live: "false", notificationItems: [{ NotificationRequestItem: item }] };
    return { body: JSON.stringify(notification), bound: item.pspReference, headers: json };
});
await add("@adyen/api-library", "adyen-platforms", () => ({
    headers: { ...json, hmacsignature: new HmacValidator.default().calculateHmac(body, hex) },
}));
await add("braintree", "braintree", () => {
    const environment = braintree.Environment.Sandbox;
    const keys = { environment, merchantId: "merchant", publicKey: "public-key-1", privateKey: hex };
    const kind = braintree.WebhookNotification.Kind.SubscriptionWentPastDue;
    const sample = new braintree.BraintreeGateway(keys).webhookTesting.sampleNotification(kind, "sub_1");
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const bound = encodeURIComponent(sample.bt_payload).slice(0, 40);
    return { body: String(new URLSearchParams(sample)), bound, settings: { public_key: "public-key-1" }, headers };
});
for (const [provider, signature_algorithm] of [["cloudinary", "sha1"], ["cloudinary-sha256", "sha256"]]) {
    await add("cloudinary", provider, () => {
        const options = { api_secret: hex, signature_algorithm };
        const signature = cloudinary.v2.utils.webhook_signature(body, seconds, options);
        return { headers: { ...json, "x-cld-timestamp": seconds, "x-cld-signature": signature } };
    });
}

await add("twilio", "twilio", (url) => {
    const query = `?bodySHA256=${twilio.getExpectedBodyHash(body)}`;
    const signature = twilio.getExpectedTwilioSignature(hex, url + query, {});
    return { scheme: "json-body", query, headers: { ...json, "x-twilio-signature": signature } };
});
await add("twilio", "twilio", (url) => {
    const fields = { MessageSid: "SM1", Body: "Grüße & more, 東京", From: "+15551234", AccountSid: "AC1" };
    const signature = twilio.getExpectedTwilioSignature(hex, url, fields);
    const headers = { "content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature };
    return { scheme: "form-or-get", body: String(new URLSearchParams(fields)), bound: "SM1", headers };
});
await add("box-node-sdk", "box", async () => {
    const time = now.toISOString();
    const headers = { "box-delivery-timestamp": time, "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256" };
    const signature = await computeWebhookSignature(body, headers, hex, false);
    return { headers: { ...json, ...headers, "box-signature-primary": signature } };
});
await add("livekit-server-sdk", "livekit", async () => {
    const token = new AccessToken("api-key-1", hex);
    token.sha256 = sha256(body, "base64");
    const headers = { "content-type": "application/webhook+json", authorization: await token.toJwt() };
    return { settings: { api_key: "api-key-1" }, headers };
});

// Senders that sign with these two libraries; their headers differ in their first word.
for (const [provider, secret] of [["standard-webhooks", whsec], ["openai", whsec], ["supabase-auth-hooks", `v1,${whsec}`]]) {
    await add("standardwebhooks", provider, () => {
        const signature = new standard.Webhook(whsec).sign(`msg_${provider}`, now, body);
        const names = { "webhook-id": `msg_${provider}`, "webhook-timestamp": seconds, "webhook-signature": signature };
        return { secrets: [secret], headers: { ...json, ...names } };
    });
}
for (const provider of ["clerk", "resend", "standard-webhooks"]) {
    await add("svix", provider, () => {
        const signature = new svix.Webhook(whsec).sign(`msg_${provider}`, now, body);
        const names = { "svix-id": `msg_${provider}`, "svix-timestamp": seconds, "svix-signature": signature };
        return { secrets: [whsec], headers: { ...json, ...names } };
    });
}

await add("jose", "plaid", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    const claims = { iat: Number(seconds), request_body_sha256: sha256(body, "hex") };
    const token = await new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "k1", typ: "JWT" }).sign(privateKey);
    const jwk = JSON.stringify({ ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256" });
    return { secrets: [jwk], headers: { ...json, "plaid-verification": token } };
});
await add("jose", "neon-auth", async () => {
    const { publicKey, privateKey } = await generateKeyPair("EdDSA", { extractable: true });
    const payload = Buffer.from(`${milliseconds}.${Buffer.from(body).toString("base64url")}`);
    const [header, , signature] = (await new CompactSign(payload).setProtectedHeader({ alg: "EdDSA", kid: "k1" }).sign(privateKey)).split(".");
    const jwk = JSON.stringify({ ...(await exportJWK(publicKey)), kid: "k1", alg: "EdDSA" });
    const headers = { "x-neon-timestamp": milliseconds, "x-neon-signature": `${header}..${signature}` };
    return { secrets: [jwk], headers: { ...json, ...headers } };
});

console.log(JSON.stringify(requests));
