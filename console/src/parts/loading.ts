// Asking for something and showing it: once, or again and again while it is looked at.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  value: T | null;
  error: Error | null;
  reload: () => Promise<void>;
}

/** Ask when `key` changes, and then every `seconds` (0: not again) while the page is visible. */
export function useLoaded<T>(ask: () => Promise<T>, key: string, seconds = 0): Loaded<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const current = useRef(key);
  const latest = useRef(ask);
  latest.current = ask;
  const reload = useCallback(async () => {
    const asked = current.current;
    try {
      const found = await latest.current();
      if (asked !== current.current) return;
      setValue(found);
      setError(null);
    } catch (caught) {
      if (asked === current.current) setError(caught as Error);
    }
  }, []);
  useEffect(() => {
    if (current.current !== key) {
      current.current = key;
      setValue(null);
      setError(null);
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const turn = async () => {
      if (!document.hidden) await reload();
      if (seconds && !ended) timer = setTimeout(turn, seconds * 1000);
    };
    void turn();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [key, seconds, reload]);
  return { value, error, reload };
}
