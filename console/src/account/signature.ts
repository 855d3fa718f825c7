// AWS Signature Version 4 for one request: how the sign-in shows that the user has the secret, which stays here.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

const ALGORITHM = "AWS4-HMAC-SHA256";
const SERVICE = "dsql";

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

export interface Signable {
  method: string;
  host: string;
  path: string; // percent-encoded, without a query
  body: string;
}

/** Return the headers to send with a request besides `host`. */
export async function signed(
  request: Signable,
  region: string,
  credentials: Credentials,
  now: Date,
): Promise<Record<string, string>> {
  const stamp = now.toISOString().replace(/[-:]|\.\d+/g, "");
  const headers: Record<string, string> = { host: request.host, "x-amz-date": stamp };
  if (credentials.sessionToken) headers["x-amz-security-token"] = credentials.sessionToken;
  const names = Object.keys(headers).sort();
  const canonical = [
    request.method,
    request.path,
    "",
    ...names.map((name) => `${name}:${headers[name]}`),
    "",
    names.join(";"),
    await digest(request.body),
  ].join("\n");
  const scope = [stamp.slice(0, 8), region, SERVICE, "aws4_request"];
  const text = [ALGORITHM, stamp, scope.join("/"), await digest(canonical)].join("\n");
  let key: BufferSource = encode(`AWS4${credentials.secretAccessKey}`);
  for (const part of scope) key = await mac(key, part);
  const signature = hex(await mac(key, text));
  delete headers.host; // the browser sends it
  const credential = `Credential=${credentials.accessKeyId}/${scope.join("/")}`;
  headers.authorization = `${ALGORITHM} ${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  return headers;
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}

async function mac(key: BufferSource, text: string): Promise<ArrayBuffer> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return crypto.subtle.sign("HMAC", imported, encode(text));
}

async function digest(text: string): Promise<string> {
  return hex(await crypto.subtle.digest("SHA-256", encode(text)));
}

function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
