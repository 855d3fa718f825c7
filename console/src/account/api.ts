// What the page asks of the control plane: its session, the operations of the API, and the console's own.

import { type Credentials, signed } from "./signature.ts";

const ROOT = "/console/api";
const PAGE = 50;

export interface Account {
  token: string;
  principal: string;
  accessKeyId: string;
  region: string;
  account: string;
  profile: string;
}

export interface Cluster {
  identifier: string;
  arn: string;
  status: string;
  creationTime: number;
  deletionProtectionEnabled: boolean;
  endpoint: string;
  tags: Record<string, string>;
  encryptionDetails?: { encryptionType: string; encryptionStatus: string };
}

export interface Place {
  endpoint: string;
  address: string;
  port: number;
  authority: string;
  region: string;
  profile: string;
}

/** A refusal: the exception's name in the API's model ("Offline" without an answer), and its message. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

let account: Account | null = null;
let onSignedOut: () => void = () => {};

/** Be told when the session has ended. */
export function whenSignedOut(call: () => void): void {
  onSignedOut = call;
}

/** Return who is signed in, null if nobody is. */
export async function resume(): Promise<Account | null> {
  const found = await ask<Partial<Account>>("GET", "/session");
  account = found.token ? (found as Account) : null;
  return account;
}

/** Sign in; the secret is used here to sign the request, and is not sent. */
export async function signIn(credentials: Credentials, region: string): Promise<Account> {
  // Two sign-ins of one second have to differ: each is good for once.
  const body = { nonce: crypto.randomUUID() };
  const request = { method: "POST", host: location.host, path: `${ROOT}/session`, body: JSON.stringify(body) };
  const headers = await signed(request, region, credentials, new Date());
  account = await ask<Account>("POST", "/session", body, headers);
  return account;
}

export async function signOut(): Promise<void> {
  await ask("DELETE", "/session");
  account = null;
}

export interface Listed {
  clusters: Cluster[];
  next: string;
}

/** Return a page of clusters, described, and where the next one begins ("" if there is none). */
export async function listClusters(next = ""): Promise<Listed> {
  const query = `?max-results=${PAGE}${next ? `&next-token=${encodeURIComponent(next)}` : ""}`;
  const page = await ask<{ clusters: { identifier: string }[]; nextToken?: string }>("GET", `/aws/cluster${query}`);
  const found = await Promise.allSettled(page.clusters.map((one) => getCluster(one.identifier)));
  // One that has gone meanwhile, or that may not be looked at, is left out.
  const clusters = found.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  return { clusters, next: page.nextToken ?? "" };
}

export const getCluster = (id: string) => ask<Cluster>("GET", `/aws/cluster/${id}`);
export const deleteCluster = (id: string) => ask<Cluster>("DELETE", `/aws/cluster/${id}`);
export const getPlace = (id: string) => ask<Place>("GET", `/clusters/${id}/place`);
export const getPicture = <T>(id: string) => ask<T>("GET", `/clusters/${id}/picture`);

export const createCluster = (name: string, isProtected: boolean) =>
  ask<Cluster>("POST", "/aws/cluster", {
    clientToken: crypto.randomUUID(),
    deletionProtectionEnabled: isProtected,
    tags: name ? { Name: name } : {},
  });

export const protect = (id: string, deletionProtectionEnabled: boolean) =>
  ask<Cluster>("POST", `/aws/cluster/${id}`, { clientToken: crypto.randomUUID(), deletionProtectionEnabled });

export const tag = (arn: string, tags: Record<string, string>) =>
  ask("POST", `/aws/tags/${encodeURIComponent(arn)}`, { tags });

export const untag = (arn: string, key: string) =>
  ask("DELETE", `/aws/tags/${encodeURIComponent(arn)}?tagKeys=${encodeURIComponent(key)}`);

export interface Policy {
  policy: string;
  policyVersion: string;
}

/** Return a cluster's policy, null if it has none. */
export async function getPolicy(id: string): Promise<Policy | null> {
  try {
    return await ask<Policy>("GET", `/aws/cluster/${id}/policy`);
  } catch (error) {
    if (error instanceof ApiError && error.code === "ResourceNotFoundException") return null;
    throw error;
  }
}

/** Replace a cluster's policy, if it still is the version that was read. */
export const putPolicy = (id: string, policy: string, expectedPolicyVersion?: string) =>
  ask<{ policyVersion: string }>("POST", `/aws/cluster/${id}/policy`, {
    clientToken: crypto.randomUUID(),
    policy,
    ...(expectedPolicyVersion && { expectedPolicyVersion }),
  });

export const deletePolicy = (id: string) => ask("DELETE", `/aws/cluster/${id}/policy`);

/** Return a token to connect with as a database user. */
export const getToken = async (id: string, user: string): Promise<string> =>
  (await ask<{ token: string }>("POST", `/clusters/${id}/token`, { user })).token;

/** Return the address of the way to a cluster's relay. */
export const tunnelAddress = (id: string) =>
  `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${ROOT}/clusters/${id}/connect`;

async function ask<T>(
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<T> {
  if (account) headers["x-dsql-console"] = account.token;
  if (body) headers["content-type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(ROOT + path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new ApiError("Offline", "The control plane does not answer.", 0);
  }
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found as T;
  const code = answer.headers.get("x-amzn-errortype") ?? `HTTP ${answer.status}`;
  if (answer.status === 401 && account) {
    account = null;
    onSignedOut();
  }
  throw new ApiError(code, found.message ?? answer.statusText, answer.status);
}
