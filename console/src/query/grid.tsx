// Rows as a grid that draws only what is in sight, so that ten thousand cost no more than fifty.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Result } from "../wire/connection.ts";
import type { Cell } from "../wire/messages.ts";

const ROW_PIXELS = 29; // as in console.css
const CHARACTER_PIXELS = 8;
const PADDING_PIXELS = 26;
const AROUND = 12; // rows drawn beyond what is in sight
const SHOWN_CHARACTERS = 300;
const MEASURED_ROWS = 60;
const NUMBERS = new Set([20, 21, 23, 26, 700, 701, 790, 1700]); // int8, int2, int4, oid, floats, money, numeric

export function Grid({ result }: { result: Result }) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  const [opened, setOpened] = useState<{ row: number; column: number } | null>(null);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setHeight(box.current?.clientHeight ?? 400));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    setTop(0);
    setOpened(null);
    box.current?.scrollTo(0, 0);
  }, [result]);
  const { columns, rows } = result;
  const first = Math.max(0, Math.floor(top / ROW_PIXELS) - AROUND);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW_PIXELS) + AROUND);
  const template = widths(result);
  return (
    <>
      <div
        ref={box}
        class="grid"
        role="table"
        tabIndex={0}
        aria-label={`${rows.length} rows`}
        aria-rowcount={rows.length + 1}
        aria-colcount={columns.length}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div class="grid-head" role="row" style={{ gridTemplateColumns: template }}>
          {columns.map((column, at) => (
            <span key={at} role="columnheader" class={alignment(column.type)} title={column.name}>
              {column.name}
            </span>
          ))}
        </div>
        <div class="grid-body" role="rowgroup" style={{ height: `${rows.length * ROW_PIXELS}px` }}>
          {rows.slice(first, last).map((row, at) => (
            <div
              key={first + at}
              role="row"
              aria-rowindex={first + at + 2}
              class="grid-row"
              style={{ gridTemplateColumns: template, top: `${(first + at) * ROW_PIXELS}px` }}
            >
              {row.map((cell, column) => (
                <span
                  key={column}
                  role="cell"
                  class={`${alignment(columns[column]?.type ?? 0)} ${cell === null ? "null" : ""}`}
                  onClick={() => setOpened({ row: first + at, column })}
                >
                  {shown(cell)}
                </span>
              ))}
            </div>
          ))}
        </div>
      </div>
      {opened && (
        <div class="cell">
          <strong>
            {columns[opened.column]?.name}, row {opened.row + 1}
          </strong>
          <button type="button" class="small quiet" onClick={() => setOpened(null)}>
            Close
          </button>
          <pre tabIndex={0}>{rows[opened.row]?.[opened.column] ?? "NULL"}</pre>
        </div>
      )}
    </>
  );
}

const alignment = (type: number) => (NUMBERS.has(type) ? "right" : "");

function shown(cell: Cell): string {
  if (cell === null) return "NULL";
  return cell.length > SHOWN_CHARACTERS ? `${cell.slice(0, SHOWN_CHARACTERS)}…` : cell;
}

/** Columns are as wide as what the first rows have in them, within bounds; a text at the end takes what is left. */
function widths({ columns, rows }: Result): string {
  const longest = columns.map(({ name }, at) =>
    rows.slice(0, MEASURED_ROWS).reduce((most, row) => Math.max(most, row[at]?.length ?? 4), name.length + 2),
  );
  const pixels = longest.map((length) => Math.ceil(Math.min(Math.max(length, 4), 48) * CHARACTER_PIXELS) + PADDING_PIXELS);
  const last = NUMBERS.has(columns.at(-1)?.type ?? 0) ? ["minmax(0, 1fr)"] : [`minmax(${pixels.pop()}px, 1fr)`];
  return [...pixels.map((width) => `${width}px`), ...last].join(" ");
}

/** Return a result as CSV (RFC 4180). A null is nothing, an empty text is "". */
export function asCsv({ columns, rows }: Result): string {
  const field = (cell: Cell) =>
    cell === null ? "" : /[",\r\n]/.test(cell) || cell === "" ? `"${cell.replaceAll('"', '""')}"` : cell;
  return [columns.map((column) => column.name), ...rows].map((row) => row.map(field).join(",")).join("\r\n");
}
