// Looking at a cluster, once a second while somebody does; what was seen is kept while the page is open.

import { useEffect, useState } from "preact/hooks";
import { getPicture } from "../account/api.ts";
import { changes, type Picture } from "./picture.ts";
import { append, type Moment } from "./series.ts";

const SECONDS = 1;
const EVENTS_MAX = 50;

export interface Happening {
  at: number;
  text: string;
  bad: boolean;
}

export interface Seen {
  moments: Moment[];
  events: Happening[];
  error: Error | null;
}

const seen = new Map<string, Seen>();
const NOTHING: Seen = { moments: [], events: [], error: null };

export function useSeen(cluster: string): Seen {
  const [state, setState] = useState<Seen>(seen.get(cluster) ?? NOTHING);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const turn = async () => {
      if (!document.hidden) {
        const found = await look(cluster);
        if (ended) return;
        seen.set(cluster, found);
        setState(found);
      }
      timer = setTimeout(turn, SECONDS * 1000);
    };
    void turn();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [cluster]);
  return state;
}

async function look(cluster: string): Promise<Seen> {
  const { moments, events } = seen.get(cluster) ?? NOTHING;
  try {
    const picture = await getPicture<Picture>(cluster);
    const at = Date.now() / 1000;
    const last = moments.at(-1);
    const news = last ? changes(last.picture, picture).map((one) => ({ ...one, at })) : [];
    return {
      moments: append(moments, { at, picture }),
      events: [...news.reverse(), ...events].slice(0, EVENTS_MAX),
      error: null,
    };
  } catch (error) {
    return { moments, events, error: error as Error };
  }
}
