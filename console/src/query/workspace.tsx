// The query editor with all that is around it: whose session, what there is, what came of it.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Badge, Failure } from "../parts/pieces.tsx";
import { Connection, ServerError, type Status } from "../wire/connection.ts";
import { Editor, type EditorHandle } from "./editor.tsx";
import { type Entry, forget, readHistory, remember } from "./history.ts";
import { HistoryList, SchemaBrowser } from "./side.tsx";
import { type Outcome, Outcomes } from "./outcomes.tsx";
import { readPlan } from "./plan.ts";
import { completions, type Relation, readSchema } from "./schema.ts";
import { placeOf, split, type Statement, statementAt } from "./statements.ts";

const APPLICATION = "dsql console";
const FIRST_TEXT = `-- Ctrl+Enter runs the statement under the cursor, or what is selected.
select current_user, version();
`;
const draftKey = (cluster: string) => `dsql-console-draft-${cluster}`;

const EXPLAIN = { plan: "explain (format json) ", analyze: "explain (analyze, verbose, format json) " };
type Way = "run" | keyof typeof EXPLAIN;

export function Workspace({ cluster }: { cluster: string }) {
  const [user, setUser] = useState("admin");
  const [status, setStatus] = useState<Status>("closed");
  const [relations, setRelations] = useState<Relation[] | null>(null);
  const [names, setNames] = useState({});
  const [outcomes, setOutcomes] = useState<Outcome[]>([]);
  const [running, setRunning] = useState(false);
  const [refused, setRefused] = useState<Error | null>(null);
  const [history, setHistory] = useState<Entry[]>(() => readHistory(cluster));
  const [side, setSide] = useState<"schema" | "history">("schema");
  const editor = useRef<EditorHandle | null>(null);
  const session = useRef<Connection | null>(null);
  const browsing = useRef<Connection | null>(null); // so that looking around touches no transaction

  const connect = useCallback(() => {
    session.current?.close();
    browsing.current?.close();
    session.current = new Connection(cluster, user, APPLICATION, setStatus);
    browsing.current = new Connection(cluster, user, `${APPLICATION} (schema)`, () => {});
    setRefused(null);
  }, [cluster, user]);

  const refresh = useCallback(async () => {
    try {
      const found = await readSchema(browsing.current!);
      setRelations(found);
      setNames(completions(found));
    } catch (error) {
      setRefused(error as Error);
    }
  }, []);

  useEffect(() => {
    connect();
    setRelations(null);
    session.current?.open().catch(setRefused);
    void refresh();
    return () => {
      session.current?.close();
      browsing.current?.close();
    };
  }, [connect]);

  const run = async (way: Way) => {
    if (running || !editor.current) return;
    const statements = chosen(editor.current, way);
    if (!statements.length) return;
    setRunning(true);
    setRefused(null);
    editor.current.clearBlame();
    const found: Outcome[] = [];
    for (const statement of statements) {
      const outcome = await perform(session.current!, statement, way, editor.current);
      found.push(outcome);
      setOutcomes([...found]);
      setHistory(remember(cluster, { text: statement.text, at: Date.now(), failed: outcome.kind === "error" }));
      if (outcome.kind === "error") break;
    }
    setRunning(false);
    if (statements.some((one) => /^\s*(create|alter|drop|comment)\b/i.test(one.text))) void refresh();
  };

  return (
    <div class="workspace">
      <aside class="card flush" aria-label="What there is">
        <div class="choices" role="group" aria-label="Beside the editor">
          <button type="button" aria-pressed={side === "schema"} onClick={() => setSide("schema")}>
            Schema
          </button>
          <button type="button" aria-pressed={side === "history"} onClick={() => setSide("history")}>
            History
          </button>
        </div>
        {side === "schema" ? (
          <SchemaBrowser relations={relations} onInsert={(text) => editor.current?.insert(text)} onRefresh={refresh} />
        ) : (
          <HistoryList
            entries={history}
            onPick={(text) => editor.current?.insert(`${text};\n`)}
            onClear={() => {
              forget(cluster);
              setHistory([]);
            }}
          />
        )}
      </aside>
      <div class="desk">
        <div class="card flush">
          <div class="toolbar">
            <button type="button" class="primary" disabled={running} onClick={() => run("run")} title="Ctrl+Enter">
              Run
            </button>
            <button type="button" disabled={running} onClick={() => run("plan")}>
              Explain
            </button>
            <button type="button" disabled={running} onClick={() => run("analyze")} title="Runs it, and measures">
              Analyze
            </button>
            {running && (
              <button type="button" class="danger" onClick={() => session.current?.cancel()}>
                Cancel
              </button>
            )}
            <span class="gap" />
            <UserChoice user={user} onChoose={setUser} />
            <SessionState status={status} onReconnect={connect} />
          </div>
          <Editor
            initial={localStorage.getItem(draftKey(cluster)) ?? FIRST_TEXT}
            names={names}
            onReady={(handle) => {
              editor.current = handle;
            }}
            onRun={() => run("run")}
            onChange={(text) => localStorage.setItem(draftKey(cluster), text)}
          />
        </div>
        {refused && <Failure error={refused} />}
        <Outcomes outcomes={outcomes} running={running} onGoTo={(place) => editor.current?.blame(place)} />
      </div>
    </div>
  );
}

/** What is selected, or the statement under the cursor; of a selection EXPLAIN takes the first one. */
function chosen(editor: EditorHandle, way: Way): Statement[] {
  const text = editor.text();
  const { from, to } = editor.selection();
  if (from === to) {
    const one = statementAt(text, from);
    return one ? [one] : [];
  }
  const all = split(text.slice(from, to)).map((one) => ({ ...one, from: one.from + from, to: one.to + from }));
  return way === "run" ? all : all.slice(0, 1);
}

async function perform(session: Connection, statement: Statement, way: Way, editor: EditorHandle): Promise<Outcome> {
  const prefix = way === "run" ? "" : EXPLAIN[way];
  try {
    const result = await session.run(prefix + statement.text);
    const text = result.rows[0]?.[0] ?? "";
    if (prefix) return { kind: "plan", statement, plan: readPlan(text), result };
    return { kind: "result", statement, result };
  } catch (error) {
    const position = error instanceof ServerError ? Number(error.fields.P) : 0;
    const inside = position - prefix.length;
    if (!(inside > 0)) return { kind: "error", statement, error: error as Error };
    const place = statement.from + placeOf(statement.text, inside);
    return { kind: "error", statement, error: error as Error, place, ...editor.blame(place) };
  }
}

function UserChoice({ user, onChoose }: { user: string; onChoose: (user: string) => void }) {
  return (
    <label class="inline">
      as
      <input
        class="small"
        name="user"
        value={user}
        size={10}
        spellcheck={false}
        autocapitalize="off"
        maxLength={63}
        title="A database role; another one than admin needs AWS IAM GRANT"
        onChange={(event) => onChoose(event.currentTarget.value.trim() || "admin")}
      />
    </label>
  );
}

const STATES: Record<Status, { tone: "good" | "bad" | "busy" | "calm"; text: string }> = {
  closed: { tone: "calm", text: "not connected" },
  connecting: { tone: "busy", text: "connecting" },
  idle: { tone: "good", text: "connected" },
  busy: { tone: "busy", text: "running" },
  transaction: { tone: "busy", text: "in transaction" },
  failed: { tone: "bad", text: "transaction failed" },
};

function SessionState({ status, onReconnect }: { status: Status; onReconnect: () => void }) {
  const { tone, text } = STATES[status];
  return (
    <span role="status" class="session-state">
      <Badge tone={tone}>{text}</Badge>
      {status !== "connecting" && (
        <button type="button" class="small quiet" onClick={onReconnect} title="Leave this session; the next statement begins a new one">
          Reset
        </button>
      )}
    </span>
  );
}
