import { useState } from "preact/hooks";
import { type Cluster, createCluster, listClusters } from "../account/api.ts";
import { useLoaded } from "../parts/loading.ts";
import { ago, Copy, Dialog, Empty, Failure, Form, Spinner, StatusBadge } from "../parts/pieces.tsx";
import { goTo, linkTo } from "../parts/route.ts";

const REFRESH_SECONDS = 3;

export function ClusterList() {
  const [more, setMore] = useState<Cluster[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [creating, setCreating] = useState(false);
  const first = useLoaded(() => listClusters(), "", REFRESH_SECONDS);
  const place = next ?? first.value?.next ?? "";
  const loadMore = async () => {
    const page = await listClusters(place);
    setMore([...more, ...page.clusters]);
    setNext(page.next);
  };
  const clusters = [...(first.value?.clusters ?? []), ...more];
  return (
    <section class="page">
      <div class="title">
        <h1>Clusters</h1>
        <button type="button" class="primary" onClick={() => setCreating(true)}>
          Create cluster
        </button>
      </div>
      {first.error && <Failure error={first.error} />}
      {!first.value && !first.error && <Spinner />}
      {first.value && !clusters.length && (
        <Empty title="No clusters yet">
          <p>A cluster is a database of its own, in three zones, with an endpoint of its own. It is there in a moment.</p>
          <button type="button" class="primary" onClick={() => setCreating(true)}>
            Create the first one
          </button>
        </Empty>
      )}
      {clusters.length > 0 && <Table clusters={clusters} />}
      {place && (
        <button type="button" class="quiet" onClick={loadMore}>
          Show more
        </button>
      )}
      {creating && <CreateDialog onClose={() => setCreating(false)} />}
    </section>
  );
}

function Table({ clusters }: { clusters: Cluster[] }) {
  return (
    <div class="card flush">
      <table class="clusters">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Status</th>
            <th scope="col">Endpoint</th>
            <th scope="col">Created</th>
          </tr>
        </thead>
        <tbody>
          {clusters.map((one) => (
            <tr key={one.identifier}>
              <td>
                <a href={linkTo(one.identifier)}>{one.tags.Name || one.identifier}</a>
                {one.tags.Name && <div class="faint mono">{one.identifier}</div>}
              </td>
              <td>
                <StatusBadge status={one.status} />
              </td>
              <td class="endpoint">
                <span class="mono">{one.endpoint}</span> <Copy text={one.endpoint} />
              </td>
              <td class="faint">{ago(one.creationTime)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function CreateDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [isProtected, setProtected] = useState(true);
  const submit = async () => {
    const made = await createCluster(name.trim(), isProtected);
    onClose();
    goTo(made.identifier);
  };
  return (
    <Dialog title="Create a cluster" onClose={onClose}>
      <Form action="Create" submit={submit} onCancel={onClose}>
        <label>
          Name
          <input
            name="name"
            autofocus
            maxLength={256}
            placeholder="orders"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <small>Kept as the tag “Name”; the identifier is drawn by lot.</small>
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={isProtected}
            onChange={(event) => setProtected(event.currentTarget.checked)}
          />
          <span>
            Protect it from deletion
            <small>Whoever wants to delete it has to take the protection away first.</small>
          </span>
        </label>
      </Form>
    </Dialog>
  );
}
