import { useState } from "preact/hooks";
import { getPlace, getToken } from "../account/api.ts";
import { useLoaded } from "../parts/loading.ts";
import { Copy, Failure, Spinner } from "../parts/pieces.tsx";
import { snippets } from "./snippets.ts";

export function ConnectPage({ cluster }: { cluster: string }) {
  const { value: place, error } = useLoaded(() => getPlace(cluster), cluster);
  const [token, setToken] = useState("");
  const [refused, setRefused] = useState<Error | null>(null);
  const [name, setName] = useState("psql");
  if (error) return <Failure error={error} />;
  if (!place) return <Spinner />;
  const all = snippets(place, token);
  const shown = all.find((one) => one.name === name)!;
  const toggle = async (wanted: boolean) => {
    setRefused(null);
    if (!wanted) setToken("");
    else await getToken(cluster, "admin").then(setToken, setRefused);
  };
  return (
    <div class="card">
      <h2>Connect from a program</h2>
      <div class="choices" role="group" aria-label="Driver">
        {all.map((one) => (
          <button key={one.name} type="button" aria-pressed={one.name === name} onClick={() => setName(one.name)}>
            {one.name}
          </button>
        ))}
      </div>
      <div class="snippet">
        <pre tabIndex={0} aria-label={`How to connect with ${shown.name}`}>
          <code>{shown.text}</code>
        </pre>
        <Copy text={shown.text} />
      </div>
      <p class="faint">
        Needs: <code>{shown.needs}</code>
      </p>
      <label class="check">
        <input type="checkbox" checked={token !== ""} onChange={(event) => toggle(event.currentTarget.checked)} />
        <span>
          Put a token in
          <small>
            It lets whoever has it in as admin, for 15 minutes. Without it the text takes AWS credentials from the
            environment: <code>eval "$(dsql env)"</code> sets them.
          </small>
        </span>
      </label>
      {refused && <Failure error={refused} />}
    </div>
  );
}
