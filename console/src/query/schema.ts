// What there is in a database, for the browser beside the editor and for completion.

import type { Connection } from "../wire/connection.ts";

export interface Column {
  name: string;
  type: string;
  nullable: boolean;
  key: boolean;
}

export interface Relation {
  schema: string;
  name: string;
  kind: "table" | "view" | "sequence";
  columns: Column[];
}

const KINDS: Record<string, Relation["kind"]> = { r: "table", p: "table", v: "view", m: "view", S: "sequence" };
const RELATIONS_MAX = 2_000;

const QUERY = `select n.nspname, c.relname, c.relkind, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
  a.attnotnull, coalesce(a.attnum = any (k.conkey), false)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  and c.relkind in ('r', 'p', 'v', 'm')
left join pg_catalog.pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
where c.relkind in ('r', 'p', 'v', 'm', 'S') and n.nspname not in ('pg_catalog', 'information_schema', 'sys')
order by 1, 2, a.attnum`;

/** Ask for all relations that are not the system's. Throws ServerError. */
export async function readSchema(connection: Connection): Promise<Relation[]> {
  const { rows } = await connection.run(QUERY);
  const found = new Map<string, Relation>();
  for (const [schema, name, kind, column, type, notNull, key] of rows) {
    const place = `${schema}.${name}`;
    let relation = found.get(place);
    if (!relation) {
      if (found.size >= RELATIONS_MAX) break;
      relation = { schema: schema!, name: name!, kind: KINDS[kind!] ?? "table", columns: [] };
      found.set(place, relation);
    }
    if (column) relation.columns.push({ name: column, type: type ?? "", nullable: notNull !== "t", key: key === "t" });
  }
  return [...found.values()];
}

/** Return a name as a statement has to have it. */
export function quoteName(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

export const nameOf = (relation: Relation) =>
  (relation.schema === "public" ? "" : `${quoteName(relation.schema)}.`) + quoteName(relation.name);

/** Return the names for the editor's completion: schema -> relation -> columns. */
export function completions(relations: Relation[]): Record<string, Record<string, string[]>> {
  const found: Record<string, Record<string, string[]>> = {};
  for (const one of relations) (found[one.schema] ??= {})[one.name] = one.columns.map((column) => column.name);
  return found;
}
