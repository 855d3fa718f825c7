import { useEffect, useRef, useState } from "preact/hooks";
import { Form } from "../parts/pieces.tsx";
import { type Account, signIn } from "./api.ts";

const REGION = document.querySelector<HTMLMetaElement>("meta[name=region]")?.content ?? "us-east-1";

export function SignIn({ onSignedIn, ended }: { onSignedIn: (account: Account) => void; ended: boolean }) {
  const [accessKeyId, setAccessKeyId] = useState("");
  const [secretAccessKey, setSecret] = useState("");
  const [sessionToken, setSessionToken] = useState("");
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);
  const submit = async () => {
    const credentials = { accessKeyId: accessKeyId.trim(), secretAccessKey: secretAccessKey.trim(), sessionToken };
    onSignedIn(await signIn(credentials, REGION));
  };
  return (
    <main class="sign-in">
      <div class="card">
        <p class="brand">
          <img src="assets/icon.svg" alt="" width="36" height="36" /> dsql
        </p>
        <h1>Sign in</h1>
        {ended && (
          <p class="notice" role="status">
            Your session has ended. Sign in again to go on.
          </p>
        )}
        <Form action="Sign in" submit={submit} disabled={!accessKeyId || !secretAccessKey}>
          <label>
            Access key ID
            <input
              ref={first}
              name="access-key-id"
              autocomplete="username"
              autocapitalize="off"
              spellcheck={false}
              placeholder="AKIA…"
              value={accessKeyId}
              onInput={(event) => setAccessKeyId(event.currentTarget.value)}
            />
          </label>
          <label>
            Secret access key
            <input
              name="secret-access-key"
              type="password"
              autocomplete="current-password"
              value={secretAccessKey}
              onInput={(event) => setSecret(event.currentTarget.value)}
            />
          </label>
          {accessKeyId.startsWith("ASIA") && (
            <label>
              Session token
              <input
                name="session-token"
                type="password"
                autocomplete="off"
                value={sessionToken}
                onInput={(event) => setSessionToken(event.currentTarget.value.trim())}
              />
            </label>
          )}
        </Form>
        <p class="hint">
          The secret stays in this browser: it signs your request and is not sent. <code>dsql env</code> prints the
          installation’s first key, <code>dsql key create</code> makes another one.
        </p>
      </div>
      <p class="hint">Region {REGION}</p>
    </main>
  );
}
