import { useEffect, useState } from "preact/hooks";
import { ApiError, type Cluster, getCluster } from "../account/api.ts";
import { useLoaded } from "../parts/loading.ts";
import { Copy, Empty, Failure, Spinner, StatusBadge } from "../parts/pieces.tsx";
import { linkTo, TABS, type Tab } from "../parts/route.ts";
import { Workspace } from "../query/workspace.tsx";
import { MetricsPage, TopologyPage } from "../watch/pages.tsx";
import { ConnectPage } from "./connect.tsx";
import { Overview } from "./overview.tsx";
import { PolicyPage } from "./policy.tsx";

const CHANGING_SECONDS = 0.5;
const CALM_SECONDS = 10;

export function ClusterPage({ id, tab }: { id: string; tab: Tab }) {
  const [seconds, setSeconds] = useState(CHANGING_SECONDS);
  const { value: cluster, error, reload } = useLoaded(() => getCluster(id), id, seconds);
  const [last, setLast] = useState<Cluster | null>(null);
  const [visited, setVisited] = useState(false); // the editor keeps its session while one looks elsewhere
  useEffect(() => {
    if (cluster) setLast(cluster);
    if (cluster) setSeconds(/ING$/.test(cluster.status) ? CHANGING_SECONDS : CALM_SECONDS);
  }, [cluster]);
  useEffect(() => setVisited(visited || tab === "query"), [tab]);
  const shown = cluster ?? last;
  useEffect(() => {
    document.title = `${shown?.tags.Name || id} · dsql console`;
    return () => {
      document.title = "dsql console";
    };
  }, [shown?.tags.Name]);
  if (error instanceof ApiError && error.code === "ResourceNotFoundException") return <Gone known={last !== null} />;
  if (!shown) return error ? <Failure error={error} /> : <Spinner />;
  const active = shown.status === "ACTIVE";
  return (
    <section class="page">
      <div class="title">
        <div>
          <nav class="crumbs" aria-label="Breadcrumb">
            <a href={linkTo()}>Clusters</a> <span aria-hidden="true">/</span>
          </nav>
          <h1>
            {shown.tags.Name || shown.identifier} <StatusBadge status={shown.status} />
          </h1>
          <p class="faint mono endpoint">
            {shown.endpoint} <Copy text={shown.endpoint} />
          </p>
        </div>
      </div>
      <nav class="tabs" aria-label="Of this cluster">
        {TABS.map((one) => (
          <a key={one} href={linkTo(id, one)} aria-current={one === tab ? "page" : undefined}>
            {one[0]!.toUpperCase() + one.slice(1)}
          </a>
        ))}
      </nav>
      {error && <Failure error={error} />}
      {tab === "overview" && <Overview cluster={shown} onChange={reload} />}
      {(visited || tab === "query") && active && (
        <div hidden={tab !== "query"}>
          <Workspace cluster={id} />
        </div>
      )}
      {tab === "query" && !active && <Waiting status={shown.status} />}
      {tab === "metrics" && <MetricsPage cluster={id} />}
      {tab === "topology" && <TopologyPage cluster={id} />}
      {tab === "connect" && <ConnectPage cluster={id} />}
      {tab === "policy" && <PolicyPage cluster={shown} />}
    </section>
  );
}

function Waiting({ status }: { status: string }) {
  return (
    <Empty title="Not yet">
      <p>The cluster is {status.toLowerCase()}: queries can be sent once it is active.</p>
    </Empty>
  );
}

function Gone({ known }: { known: boolean }) {
  return (
    <Empty title={known ? "The cluster is gone" : "There is no such cluster"}>
      <p>{known && "Everything of it was removed. "}</p>
      <a class="button primary" href={linkTo()}>
        All clusters
      </a>
    </Empty>
  );
}
