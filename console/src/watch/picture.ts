// What the control plane tells of a cluster, once in a while; see control_plane/console/picture.py.

export type Values = Record<string, unknown>;

export interface Role {
  role: string;
  az: string;
  pid: number;
  health: string; // "ok", or why it does not answer
  values: Values; // of itself
  cluster: Values; // of this cluster
}

export interface Condition {
  word: string;
  severity: Severity;
  cluster: string;
  az: string;
  role: string;
  text: string;
  advice: string;
}

export type Severity = "fine" | "degraded" | "down";

export interface Usage {
  transactions: number;
  read_only_transactions: number;
  occ_conflicts: number;
  query_timeouts: number;
  bytes_read: number;
  bytes_written: number;
  compute_dpu: number;
  read_dpu: number;
  write_dpu: number;
  commit_seconds_sum: number;
  commit_seconds: Record<string, number>; // counts by upper bound
}

export interface Picture {
  severity: Severity;
  azs: string[];
  leader: string; // a zone, "" if none leads
  roles: Role[];
  conditions: Condition[];
  usage: Usage | null;
}

export const isUp = (role: Role | undefined) => role?.health === "ok";

export function roleOf(picture: Picture, role: string, az?: string): Role | undefined {
  return picture.roles.find((one) => one.role === role && (az === undefined || one.az === az));
}

export const isRelay = (role: Role) => role.role.startsWith("relay-");

export function figure(values: Values | undefined, name: string): number {
  const value = values?.[name];
  return typeof value === "number" ? value : 0;
}

/** Say what has changed from one picture to the next, in sentences. Pure. */
export function changes(before: Picture, now: Picture): { text: string; bad: boolean }[] {
  const found: { text: string; bad: boolean }[] = [];
  for (const role of now.roles) {
    const last = roleOf(before, role.role, role.az);
    const name = role.az && role.role !== "agent" ? `${role.role} of ${role.az}` : role.role;
    if (isUp(last) && !isUp(role)) found.push({ text: `${name} does not answer (${role.health})`, bad: true });
    else if (last && !isUp(last) && isUp(role)) found.push({ text: `${name} is back, as process ${role.pid}`, bad: false });
    else if (last && isUp(role) && role.pid !== last.pid)
      found.push({ text: `${name} was started again, as process ${role.pid}`, bad: true });
  }
  if (now.leader && now.leader !== before.leader) found.push({ text: `${now.leader} leads`, bad: false });
  if (before.leader && !now.leader) {
    const resting = now.severity === "fine"; // of a cluster at rest nobody is missed
    found.push({ text: resting ? "the cluster is at rest" : "nobody leads: commits wait", bad: !resting });
  }
  const told = new Set(before.conditions.map(nameOf));
  for (const one of now.conditions)
    if (!told.has(nameOf(one)) && one.word !== "silent") found.push({ text: nameOf(one), bad: true });
  return found;
}

const nameOf = (one: Condition) => [one.az, one.role, one.text].filter(Boolean).join(" ");
