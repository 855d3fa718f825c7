// The statements that were run, in this browser only.

export interface Entry {
  text: string;
  at: number; // milliseconds since 1970
  failed: boolean;
}

const ENTRIES_MAX = 100;
const TEXT_MAX = 20_000;
const keyOf = (cluster: string) => `dsql-console-history-${cluster}`;

export function readHistory(cluster: string): Entry[] {
  try {
    const found = JSON.parse(localStorage.getItem(keyOf(cluster)) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

/** Put a statement in front; one that was there moves. */
export function remember(cluster: string, entry: Entry): Entry[] {
  const others = readHistory(cluster).filter((one) => one.text !== entry.text);
  const all = entry.text.length > TEXT_MAX ? others : [entry, ...others].slice(0, ENTRIES_MAX);
  try {
    localStorage.setItem(keyOf(cluster), JSON.stringify(all));
  } catch {
    // A browser that keeps nothing: the list lives as long as the page.
  }
  return all;
}

export function forget(cluster: string): void {
  localStorage.removeItem(keyOf(cluster));
}
