import { Badge, Failure, Spinner } from "../parts/pieces.tsx";
import { ChartCard } from "./charts.tsx";
import type { Condition, Severity } from "./picture.ts";
import { charts } from "./series.ts";
import { Topology } from "./topology.tsx";
import { useSeen } from "./watching.ts";

export function MetricsPage({ cluster }: { cluster: string }) {
  const { moments, error } = useSeen(cluster);
  if (!moments.length) return error ? <Failure error={error} /> : <Spinner label="Looking" />;
  return (
    <>
      {error && <Failure error={error} />}
      <div class="charts">
        {charts(moments).map((chart) => (
          <ChartCard key={chart.title} chart={chart} moments={moments} />
        ))}
      </div>
      <p class="faint">
        Of the last five minutes, as long as this page was looked at. The same figures for longer, and for alarms:
        Prometheus at <code>/metrics</code> of the relays, <code>dsql usage</code>.
      </p>
    </>
  );
}

const TONES = { fine: "good", degraded: "busy", down: "bad" } as const;
const WORDS: Record<Severity, string> = { fine: "all is well", degraded: "degraded", down: "down" };

export function TopologyPage({ cluster }: { cluster: string }) {
  const { moments, events, error } = useSeen(cluster);
  const picture = moments.at(-1)?.picture;
  if (!picture) return error ? <Failure error={error} /> : <Spinner label="Looking" />;
  return (
    <>
      {error && <Failure error={error} />}
      <p class="severity" role="status">
        <Badge tone={TONES[picture.severity]}>{WORDS[picture.severity]}</Badge>
      </p>
      <div class="card">
        <Topology picture={picture} />
      </div>
      <div class="columns">
        <Conditions conditions={picture.conditions} />
        <div class="card">
          <h2>What has happened</h2>
          {!events.length && <p class="faint">Nothing since you look. Try dsql chaos, or kill a zone’s process.</p>}
          <ol class="events">
            {events.map((event, at) => (
              <li key={events.length - at} class={event.bad ? "bad" : "good"}>
                <time class="faint mono">{new Date(event.at * 1000).toLocaleTimeString()}</time> {event.text}
              </li>
            ))}
          </ol>
        </div>
      </div>
    </>
  );
}

/** Show what stands between backticks as code. */
function withCode(text: string) {
  return text.split("`").map((piece, at) => (at % 2 ? <code key={at}>{piece}</code> : piece));
}

function Conditions({ conditions }: { conditions: Condition[] }) {
  return (
    <div class="card">
      <h2>What is wrong</h2>
      {!conditions.length && <p class="faint">Nothing.</p>}
      <ul class="conditions">
        {conditions.map((one) => (
          <li key={one.word + one.az + one.role + one.text}>
            <Badge tone={one.severity === "down" ? "bad" : "busy"}>{one.word}</Badge>{" "}
            <strong>{[one.az, one.role].filter(Boolean).join(" ")}</strong> {one.text}
            <div class="faint">{withCode(one.advice)}</div>
          </li>
        ))}
      </ul>
    </div>
  );
}

