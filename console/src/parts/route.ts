// Where we are: the part of the address behind #, so that the server has one page only.

import { useEffect, useState } from "preact/hooks";

export const TABS = ["overview", "query", "metrics", "topology", "connect", "policy"] as const;
export type Tab = (typeof TABS)[number];

export interface Route {
  cluster: string; // "" for the list
  tab: Tab;
}

export const linkTo = (cluster = "", tab: Tab = "overview") => (cluster ? `#/clusters/${cluster}/${tab}` : "#/");

export function goTo(cluster = "", tab: Tab = "overview"): void {
  location.hash = linkTo(cluster, tab);
}

export function useRoute(): Route {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const follow = () => setRoute(read());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

function read(): Route {
  const match = /^#\/clusters\/([a-z0-9]{26})(?:\/(\w+))?/.exec(location.hash);
  const tab = TABS.find((one) => one === match?.[2]) ?? "overview";
  return { cluster: match?.[1] ?? "", tab };
}
