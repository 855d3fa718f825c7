// Beside the editor: what there is in the database, and what was run before.

import { useState } from "preact/hooks";
import { Spinner } from "../parts/pieces.tsx";
import type { Entry } from "./history.ts";
import { nameOf, quoteName, type Relation } from "./schema.ts";

interface SchemaProps {
  relations: Relation[] | null;
  onInsert: (text: string) => void;
  onRefresh: () => void;
}

export function SchemaBrowser({ relations, onInsert, onRefresh }: SchemaProps) {
  const [filter, setFilter] = useState("");
  if (!relations) return <Spinner />;
  const wanted = filter.trim().toLowerCase();
  const found = relations.filter((one) => `${one.schema}.${one.name}`.toLowerCase().includes(wanted));
  const schemas = [...new Set(found.map((one) => one.schema))];
  return (
    <div class="side">
      <div class="side-head">
        <input
          class="small"
          type="search"
          aria-label="Filter"
          placeholder="Filter"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        <button type="button" class="small quiet" onClick={onRefresh} aria-label="Read the schema again">
          ↻
        </button>
      </div>
      {!relations.length && (
        <p class="faint">
          No tables yet. Try
          <code>create table item (id uuid primary key default gen_random_uuid(), name text)</code>
        </p>
      )}
      {schemas.map((schema) => (
        <section key={schema}>
          <h2 class="label">{schema}</h2>
          {found.filter((one) => one.schema === schema).map((one) => (
            <RelationItem key={one.name} relation={one} onInsert={onInsert} />
          ))}
        </section>
      ))}
    </div>
  );
}

function RelationItem({ relation, onInsert }: { relation: Relation; onInsert: (text: string) => void }) {
  return (
    <div class="relation">
      <details>
        <summary>
          <span class={`kind ${relation.kind}`} aria-hidden="true">
            {relation.kind[0]!.toUpperCase()}
          </span>
          <span class="mono name" title={relation.kind}>
            {relation.name}
          </span>
        </summary>
        <ul>
          {relation.columns.map((column) => (
            <li key={column.name}>
              <button type="button" class="column" onClick={() => onInsert(quoteName(column.name))}>
                <span class="mono">
                  {column.name}
                  {column.key && <span class="key">key</span>}
                </span>
                <span class="faint">
                  {column.type}
                  {column.nullable ? "" : " not null"}
                </span>
              </button>
            </li>
          ))}
        </ul>
      </details>
      <button
        type="button"
        class="small quiet"
        onClick={() => onInsert(nameOf(relation))}
        aria-label={`Insert ${relation.name}`}
      >
        +
      </button>
    </div>
  );
}

interface HistoryProps {
  entries: Entry[];
  onPick: (text: string) => void;
  onClear: () => void;
}

export function HistoryList({ entries, onPick, onClear }: HistoryProps) {
  if (!entries.length)
    return (
      <div class="side">
        <p class="faint">What you run is listed here, and kept in this browser only.</p>
      </div>
    );
  return (
    <div class="side">
      <ul class="history">
        {entries.map((entry) => (
          <li key={entry.at}>
            <button type="button" class="column" onClick={() => onPick(entry.text)}>
              <span class="mono">{entry.text}</span>
              <span class={entry.failed ? "wrong" : "faint"}>
                {new Date(entry.at).toLocaleTimeString()}
                {entry.failed && ", failed"}
              </span>
            </button>
          </li>
        ))}
      </ul>
      <button type="button" class="small quiet" onClick={onClear}>
        Clear
      </button>
    </div>
  );
}
