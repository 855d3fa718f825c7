// What came of the statements: rows, counts, plans and errors.

import { useEffect, useState } from "preact/hooks";
import { Empty } from "../parts/pieces.tsx";
import { ROWS_MAX, type Result, ServerError } from "../wire/connection.ts";
import type { Fields } from "../wire/messages.ts";
import { asCsv, Grid } from "./grid.tsx";
import type { Plan } from "./plan.ts";
import { PlanTree } from "./plan-tree.tsx";
import type { Statement } from "./statements.ts";

export type Outcome =
  | { kind: "result"; statement: Statement; result: Result }
  | { kind: "plan"; statement: Statement; plan: Plan; result: Result }
  | { kind: "error"; statement: Statement; error: Error; place?: number; line?: number; column?: number };

interface Props {
  outcomes: Outcome[];
  running: boolean;
  onGoTo: (place: number) => void;
}

export function Outcomes({ outcomes, running, onGoTo }: Props) {
  const [chosen, setChosen] = useState(0);
  useEffect(() => setChosen(Math.max(0, outcomes.length - 1)), [outcomes]);
  const outcome = outcomes[Math.min(chosen, outcomes.length - 1)];
  if (!outcome)
    return (
      <div class="card">
        <Empty title={running ? "Running…" : "Nothing was run yet"}>
          <p class="faint">Rows, plans and errors appear here.</p>
        </Empty>
      </div>
    );
  return (
    <div class="card flush outcome" aria-busy={running}>
      {outcomes.length > 1 && (
        <div class="choices" role="group" aria-label="Results">
          {outcomes.map((one, at) => (
            <button key={at} type="button" aria-pressed={at === chosen} onClick={() => setChosen(at)}>
              {at + 1} {one.kind === "error" ? "✕" : one.statement.text.slice(0, 20)}
            </button>
          ))}
        </div>
      )}
      {outcome.kind === "error" ? (
        <ErrorCard outcome={outcome} onGoTo={onGoTo} />
      ) : (
        <>
          <Summary outcome={outcome} />
          {outcome.result.notices.map((notice, at) => (
            <p key={at} class="notice">
              <strong>{notice.S}</strong> {notice.M}
            </p>
          ))}
          {outcome.kind === "plan" ? (
            <PlanTree plan={outcome.plan} />
          ) : (
            outcome.result.columns.length > 0 && <Grid result={outcome.result} />
          )}
        </>
      )}
    </div>
  );
}

function Summary({ outcome }: { outcome: Exclude<Outcome, { kind: "error" }> }) {
  const { result } = outcome;
  const count = result.rows.length;
  const rows = outcome.kind === "result" && result.columns.length > 0;
  const text = rows ? `${count.toLocaleString()} row${count === 1 ? "" : "s"}` : outcome.kind === "plan" ? "Plan" : result.tag || "Done";
  return (
    <div class="summary">
      <span role="status">
        <strong>{text}</strong> <span class="faint">in {result.milliseconds.toFixed(0)} ms</span>
      </span>
      {result.truncated && (
        <span class="wrong">only the first {count < ROWS_MAX ? "64 MB" : ROWS_MAX.toLocaleString()} are shown</span>
      )}
      <span class="gap" />
      {rows && count > 0 && (
        <button type="button" class="small quiet" onClick={() => download(result)}>
          Download CSV
        </button>
      )}
    </div>
  );
}

function download(result: Result): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asCsv(result)], { type: "text/csv" }));
  link.download = "result.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

function ErrorCard({ outcome, onGoTo }: { outcome: Extract<Outcome, { kind: "error" }>; onGoTo: (place: number) => void }) {
  const { error, place } = outcome;
  const fields: Fields = error instanceof ServerError ? error.fields : {};
  return (
    <div class="failure" role="alert">
      <p>
        <strong class="wrong">{fields.S ?? "Error"}</strong> {fields.C && <code>{fields.C}</code>} {error.message}
      </p>
      {place !== undefined && (
        <button type="button" class="small quiet" onClick={() => onGoTo(place)}>
          Line {outcome.line}, column {outcome.column}
        </button>
      )}
      {fields.D && <p>{fields.D}</p>}
      {fields.H && <p class="faint">Hint: {fields.H}</p>}
      {fields.C === "40001" && (
        <p class="faint">
          Somebody else has committed a change to the same rows since this transaction began. Nothing of it was done: run
          it again, from its first statement.
        </p>
      )}
      <pre class="mono faint">{outcome.statement.text}</pre>
    </div>
  );
}
