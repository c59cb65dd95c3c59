// What the application got, as the official libraries see it: a list of requests on standard input with the secret,
// each to be verified by both, and to be refused with another body. Says how many were.
import { readFileSync } from "node:fs";

import * as standard from "standardwebhooks";
import * as svix from "svix";

const { secret, requests } = JSON.parse(readFileSync(0, "utf8"));
let verified = 0;
for (const { Webhook } of [standard, svix]) {
    for (const { headers, body } of requests) {
        new Webhook(secret).verify(body, headers);
        let refused = false;
        try {
            new Webhook(secret).verify(`${body} `, headers);
        } catch {
            refused = true;
        }
        if (!refused) throw new Error(`another body was verified, too: ${headers["webhook-id"]}`);
        verified += 1;
    }
}
console.log(verified);
