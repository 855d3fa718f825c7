import { useState } from "preact/hooks";
import { type Cluster, deleteCluster, protect, tag, untag } from "../account/api.ts";
import { ago, Copy, Dialog, Failure, Form } from "../parts/pieces.tsx";

interface Props {
  cluster: Cluster;
  onChange: () => Promise<void>;
}

export function Overview({ cluster, onChange }: Props) {
  return (
    <div class="columns">
      <Details cluster={cluster} />
      <Tags cluster={cluster} onChange={onChange} />
      <Deletion cluster={cluster} onChange={onChange} />
    </div>
  );
}

function Details({ cluster }: { cluster: Cluster }) {
  const made = new Date(cluster.creationTime * 1000);
  return (
    <div class="card">
      <h2>Details</h2>
      <dl>
        <dt>Identifier</dt>
        <dd class="mono">
          {cluster.identifier} <Copy text={cluster.identifier} />
        </dd>
        <dt>ARN</dt>
        <dd class="mono">
          {cluster.arn} <Copy text={cluster.arn} />
        </dd>
        <dt>Created</dt>
        <dd title={made.toISOString()}>
          {made.toLocaleString()} ({ago(cluster.creationTime)})
        </dd>
      </dl>
    </div>
  );
}

function Tags({ cluster, onChange }: Props) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const add = async () => {
    await tag(cluster.arn, { [key.trim()]: value.trim() });
    setKey("");
    setValue("");
    await onChange();
  };
  const remove = (name: string) => untag(cluster.arn, name).then(onChange).catch(setError);
  const tags = Object.entries(cluster.tags);
  return (
    <div class="card">
      <h2>Tags</h2>
      {!tags.length && <p class="faint">None. Policies may ask for tags, and “Name” is what lists show.</p>}
      <ul class="tags">
        {tags.map(([name, text]) => (
          <li key={name}>
            <span class="mono">
              {name} = {text}
            </span>
            <button type="button" class="small quiet" onClick={() => remove(name)} aria-label={`Remove the tag ${name}`}>
              ✕
            </button>
          </li>
        ))}
      </ul>
      {error && <Failure error={error} />}
      <Form action="Add tag" submit={add} disabled={!key.trim()}>
        <div class="pair">
          <label>
            Key
            <input name="tag-key" maxLength={128} value={key} onInput={(event) => setKey(event.currentTarget.value)} />
          </label>
          <label>
            Value
            <input
              name="tag-value"
              maxLength={256}
              value={value}
              onInput={(event) => setValue(event.currentTarget.value)}
            />
          </label>
        </div>
      </Form>
    </div>
  );
}

function Deletion({ cluster, onChange }: Props) {
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const toggle = (wanted: boolean) => {
    setError(null);
    protect(cluster.identifier, wanted).then(onChange).catch(setError);
  };
  const isProtected = cluster.deletionProtectionEnabled;
  return (
    <div class="card">
      <h2>Deletion</h2>
      <label class="check">
        <input type="checkbox" checked={isProtected} onChange={(event) => toggle(event.currentTarget.checked)} />
        <span>
          Protected from deletion
          <small>{isProtected ? "It cannot be deleted while this is on." : "Anyone who may delete it can."}</small>
        </span>
      </label>
      {error && <Failure error={error} />}
      <div class="actions">
        <button
          type="button"
          class="danger"
          disabled={isProtected || cluster.status === "DELETING"}
          onClick={() => setAsking(true)}
        >
          Delete cluster…
        </button>
      </div>
      {asking && <DeleteDialog cluster={cluster} onClose={() => setAsking(false)} onChange={onChange} />}
    </div>
  );
}

function DeleteDialog({ cluster, onClose, onChange }: Props & { onClose: () => void }) {
  const name = cluster.tags.Name || cluster.identifier;
  const [typed, setTyped] = useState("");
  const submit = async () => {
    await deleteCluster(cluster.identifier);
    onClose();
    await onChange();
  };
  return (
    <Dialog title={`Delete ${name}`} onClose={onClose}>
      <p>All of its data is removed, and its sessions end. This cannot be undone.</p>
      <Form action="Delete for good" tone="danger" submit={submit} onCancel={onClose} disabled={typed !== name}>
        <label>
          Type <strong class="mono">{name}</strong> to confirm
          <input
            name="confirm"
            autofocus
            autocomplete="off"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
      </Form>
    </Dialog>
  );
}
