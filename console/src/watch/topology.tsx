// The parts that serve a cluster, as they are: who answers, who leads, how far each replica is.

import { figure, isRelay, isUp, type Picture, type Role, roleOf } from "./picture.ts";

export function Topology({ picture }: { picture: Picture }) {
  const relays = picture.roles.filter(isRelay);
  const single = (name: string) => roleOf(picture, name);
  return (
    <div class="topology">
      <div class="tier">
        <h2 class="label">Front door</h2>
        <div class="boxes">
          {relays.map((role) => (
            <Box key={role.role} role={role} title={role.role.replace("-", " ")}>
              {figure(role.values, "logins").toLocaleString()} logins
            </Box>
          ))}
          <Box role={single("control")} title="control">
            API and console
          </Box>
        </div>
      </div>
      <Flow text="sessions" />
      <div class="tier">
        <h2 class="label">Host</h2>
        <div class="boxes">
          <Box role={single("placement")} title="placement">
            where sessions go
          </Box>
          <Box role={single("agent")} title="agent">
            {figure(single("agent")?.values, "sessions").toLocaleString()} sessions
          </Box>
          <Box role={single("seed")} title="seed">
            {String(single("seed")?.values.code ?? "")}
          </Box>
          <Box role={single("keeper")} title="keeper">
            {figure(single("keeper")?.values, "kept").toLocaleString()} kept
          </Box>
        </div>
        <Processors agent={single("agent")} />
      </div>
      <Flow text="reads, and commits to the leader" />
      <div class="zones">
        {picture.azs.map((az) => (
          <Zone key={az} az={az} picture={picture} />
        ))}
      </div>
    </div>
  );
}

function Flow({ text }: { text: string }) {
  return (
    <p class="flow faint">
      <span aria-hidden="true">↓</span> {text}
    </p>
  );
}

function Box({ role, title, children }: { role: Role | undefined; title: string; children?: preact.ComponentChildren }) {
  const up = isUp(role);
  return (
    <div class={`box ${up ? "up" : "down"}`} data-role={title}>
      <strong>{title}</strong>
      <span class="faint">{up ? children : (role?.health ?? "not there")}</span>
    </div>
  );
}

const PROCESSORS_SHOWN = 40;

/** Query processors by state, each a dot. */
function Processors({ agent }: { agent: Role | undefined }) {
  const ours = figure(agent?.cluster, "processes");
  const ending = figure(agent?.cluster, "ending");
  const warm = figure(agent?.values, "warm");
  const all = figure(agent?.values, "query_processors");
  const states = [
    { state: "serving", count: Math.max(0, ours - ending), text: "serve this cluster" },
    { state: "ending", count: ending, text: "are ending" },
    { state: "warm", count: warm, text: "warm" },
    { state: "other", count: Math.max(0, all - ours - warm), text: "serve others" },
  ];
  return (
    <div class="processors">
      <span>Query processors</span>
      <span class="dots" aria-hidden="true">
        {states.flatMap(({ state, count }) =>
          Array.from({ length: Math.min(count, PROCESSORS_SHOWN) }, (_, at) => <i key={`${state}${at}`} class={state} />),
        )}
      </span>
      <span class="faint">
        {states
          .filter(({ state, count }) => count > 0 || state === "serving")
          .map(({ count, text }) => `${count} ${text}`)
          .join(", ")}
        {"; "}
        {figure(agent?.cluster, "sessions")} sessions in them, {figure(agent?.cluster, "parked")} parked,{" "}
        {figure(agent?.cluster, "waiting")} waiting
      </span>
    </div>
  );
}

function Zone({ az, picture }: { az: string; picture: Picture }) {
  const journal = roleOf(picture, "journal", az);
  const adjudicator = roleOf(picture, "adjudicator", az);
  const storage = roleOf(picture, "storage", az);
  const leads = picture.leader === az;
  const dead = ![journal, adjudicator, storage].some(isUp);
  return (
    <section class={`zone ${dead ? "down" : leads ? "leads" : ""}`} aria-label={`Zone ${az}`} data-zone={az}>
      <h2>
        {az} {leads && <span class="badge lead">★ leads</span>}
        {dead && <span class="badge bad">gone</span>}
      </h2>
      <Box role={adjudicator} title="adjudicator">
        {leads
          ? `${String(adjudicator?.cluster.phase ?? "").toLowerCase()}, epoch ${figure(adjudicator?.cluster, "epoch")}, ${figure(adjudicator?.cluster, "conflict_set_keys").toLocaleString()} keys watched`
          : picture.leader
            ? "stands by"
            : picture.severity === "fine"
              ? "at rest"
              : "no leader"}
      </Box>
      <Box role={journal} title="journal">
        {told(journal, (values) => `record ${figure(values, "last_sequence").toLocaleString()}`)}
      </Box>
      <Box role={storage} title="storage">
        {told(storage, (values) => `${String(values.state)}, ${watermark(values)}`)}
      </Box>
    </section>
  );
}

function told(role: Role | undefined, say: (values: Role["cluster"]) => string): string {
  return role && Object.keys(role.cluster).length ? say(role.cluster) : "at rest";
}

/** A commit timestamp counts microseconds since 1970. */
function watermark(values: Role["cluster"]): string {
  const behind = figure(values, "behind_seconds");
  if (behind >= 0.05) return `${behind.toFixed(1)} s behind`;
  const mark = figure(values, "watermark");
  return mark ? `up to ${new Date(mark / 1000).toISOString().slice(11, 23)}` : "empty";
}
