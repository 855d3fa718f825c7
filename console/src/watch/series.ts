// From pictures, one after the other, to the lines of charts: rates, quantiles and levels. Pure.

import { figure, type Picture, roleOf, type Usage } from "./picture.ts";

export interface Moment {
  at: number; // seconds since 1970
  picture: Picture;
}

export interface Line {
  label: string;
  values: (number | null)[];
}

export interface Chart {
  title: string;
  unit: string;
  lines: Line[];
}

export const KEPT_SECONDS = 300;
const RATE_SECONDS = 5; // rates are of so long, because query processors tell what they used in pieces
const GAP_SECONDS = 4; // longer ago than this nobody looked

/** Add a moment; what is too old goes. */
export function append(moments: Moment[], moment: Moment): Moment[] {
  return [...moments.filter((one) => one.at > moment.at - KEPT_SECONDS), moment];
}

export function charts(moments: Moment[]): Chart[] {
  const rate = (label: string, count: (usage: Usage) => number): Line => ({ label, values: rates(moments, count) });
  const level = (label: string, read: (picture: Picture) => number | null): Line => ({
    label,
    values: moments.map((one) => read(one.picture)),
  });
  const agent = (name: string) => (picture: Picture) => figure(roleOf(picture, "agent")?.cluster, name);
  const azs = moments.at(-1)?.picture.azs ?? [];
  return [
    {
      title: "Connections",
      unit: "",
      lines: [
        level("active", (picture) => agent("sessions")(picture)),
        level("parked", (picture) => agent("parked")(picture)),
      ],
    },
    {
      title: "Transactions",
      unit: "/s",
      lines: [
        rate("all", (usage) => usage.transactions),
        rate("read only", (usage) => usage.read_only_transactions),
      ],
    },
    {
      title: "OCC conflicts",
      unit: "/s",
      lines: [
        rate("conflicts", (usage) => usage.occ_conflicts),
        rate("timeouts", (usage) => usage.query_timeouts),
      ],
    },
    {
      title: "Commit latency",
      unit: "ms",
      lines: [0.5, 0.99].map((share) => ({
        label: share === 0.5 ? "median" : "99 %",
        values: quantiles(moments, share),
      })),
    },
    { title: "Commit stages", unit: "ms", lines: stages(moments) },
    {
      title: "Bytes",
      unit: "B/s",
      lines: [rate("read", (usage) => usage.bytes_read), rate("written", (usage) => usage.bytes_written)],
    },
    {
      title: "DPU",
      unit: "/s",
      lines: [
        rate("compute", (usage) => usage.compute_dpu),
        rate("read", (usage) => usage.read_dpu),
        rate("write", (usage) => usage.write_dpu),
      ],
    },
    {
      title: "Storage lag",
      unit: "ms",
      lines: azs.map((az) => level(az, (picture) => storageLag(picture, az))),
    },
    {
      title: "Journal lag",
      unit: "records",
      lines: azs.map((az) => level(az, (picture) => journalLag(picture, az))),
    },
  ];
}

interface Staged {
  commits: number;
  gathering: number; // seconds, of all commits together
  journal: number;
}

/** What a leader says of its commits; who leads anew counts from nothing. */
function stagedBy(picture: Picture): Staged | null {
  const values = roleOf(picture, "adjudicator", picture.leader)?.cluster;
  if (!values || !("committed" in values)) return null;
  const [gathering, journal] = [figure(values, "gathering_seconds"), figure(values, "journal_seconds")];
  return { commits: figure(values, "committed"), gathering, journal };
}

/** Where an average commit's time goes: behind the batch before it, in the journal, and elsewhere. */
function stages(moments: Moment[]): Line[] {
  const found = moments.map((moment, at) => {
    const before = earlier(moments, at);
    if (!before || before.picture.leader !== moment.picture.leader) return null;
    const now = stagedBy(moment.picture);
    const then = stagedBy(before.picture);
    if (!now || !then || now.commits <= then.commits) return null;
    const average = (name: "gathering" | "journal") => (1000 * (now[name] - then[name])) / (now.commits - then.commits);
    return { gathering: average("gathering"), journal: average("journal"), whole: averageCommit(before, moment) };
  });
  return [
    { label: "gathering", values: found.map((one) => one && one.gathering) },
    { label: "journal", values: found.map((one) => one && one.journal) },
    {
      label: "the rest",
      values: found.map((one) => one && (one.whole === null ? null : Math.max(0, one.whole - one.gathering - one.journal))),
    },
  ];
}

/** Return how long commits took on average, as their sessions have seen it. */
function averageCommit(before: Moment, now: Moment): number | null {
  const [one, other] = [before.picture.usage, now.picture.usage];
  if (!one || !other) return null;
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, count) => all + count, 0);
  const commits = sum(other.commit_seconds) - sum(one.commit_seconds);
  return commits > 0 ? (1000 * (other.commit_seconds_sum - one.commit_seconds_sum)) / commits : null;
}

function storageLag(picture: Picture, az: string): number | null {
  const values = roleOf(picture, "storage", az)?.cluster;
  return values && "behind_seconds" in values ? figure(values, "behind_seconds") * 1000 : null;
}

function journalLag(picture: Picture, az: string): number | null {
  const journals = picture.roles.filter((one) => one.role === "journal");
  const newest = Math.max(...journals.map((one) => figure(one.cluster, "last_sequence")));
  const values = journals.find((one) => one.az === az)?.cluster;
  return values && "last_sequence" in values ? newest - figure(values, "last_sequence") : null;
}

/** Return the moment with which to compare one, null if nobody looked for a while before. */
function earlier(moments: Moment[], at: number): Moment | null {
  if (at === 0 || moments[at]!.at - moments[at - 1]!.at > GAP_SECONDS) return null;
  let first = at - 1;
  while (
    first > 0 &&
    moments[at]!.at - moments[first]!.at < RATE_SECONDS &&
    moments[first]!.at - moments[first - 1]!.at <= GAP_SECONDS
  )
    first--;
  return moments[first]!;
}

function rates(moments: Moment[], count: (usage: Usage) => number): (number | null)[] {
  return moments.map((moment, at) => {
    const before = earlier(moments, at);
    if (!before) return null;
    const now = moment.picture.usage;
    const then = before.picture.usage;
    if (!now) return 0;
    // An account that began anew counts from nothing.
    const used = count(now) - (then ? count(then) : 0);
    return Math.max(0, used) / (moment.at - before.at);
  });
}

function quantiles(moments: Moment[], share: number): (number | null)[] {
  return moments.map((moment, at) => {
    const before = earlier(moments, at);
    const now = moment.picture.usage?.commit_seconds;
    if (!before || !now) return null;
    const then = before.picture.usage?.commit_seconds ?? {};
    const counts = Object.entries(now).map(([bound, all]) => [Number(bound.replace("+Inf", "Infinity")), all - (then[bound] ?? 0)]);
    return quantile(counts as [number, number][], share);
  });
}

/** Return a quantile in milliseconds of counts by their upper bounds (seconds), null without any. */
export function quantile(counts: [bound: number, count: number][], share: number): number | null {
  const sorted = counts.filter(([, count]) => count > 0).sort(([one], [other]) => one - other);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  let left = total * share;
  const bounds = counts.map(([bound]) => bound).sort((one, other) => one - other);
  for (const [bound, count] of sorted) {
    if (left > count) {
      left -= count;
      continue;
    }
    const below = bounds[bounds.indexOf(bound) - 1] ?? 0;
    const upper = bound === Infinity ? below : bound;
    return (below + (upper - below) * (left / count)) * 1000;
  }
  return null;
}
