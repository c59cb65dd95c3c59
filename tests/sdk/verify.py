"""What the application got, as the official libraries see it: as verify.mjs, in Python."""

import json
import sys

import standardwebhooks
import svix

given = json.load(sys.stdin)
verified = 0
for library in (standardwebhooks, svix):
    for request in given["requests"]:
        webhook = library.Webhook(given["secret"])
        webhook.verify(request["body"], request["headers"])
        try:
            webhook.verify(request["body"] + " ", request["headers"])
        except (standardwebhooks.webhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError):
            verified += 1
        else:
            sys.exit("another body was verified, too: " + request["headers"]["webhook-id"])
print(verified)
