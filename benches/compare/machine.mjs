// How busy the machine was, and how much of that was neither the server nor its load; from /proc.
import { readFileSync } from 'node:fs';

/** Clock ticks so far: of all processors together by kind, and of those that take part. */
export function reading(server) {
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/);
  const [user, nice, system, idle, wait, irq, softirq, steal] = ticks.map(Number);
  return {
    total: user + nice + system + idle + wait + irq + softirq + steal,
    idle: idle + wait,
    steal,
    // What the kernel does for sockets counts for nobody: it stands under softirq.
    processes: user + nice + system,
    known: times(server).own + times('self').own + times('self').children,
  };
}

/** Shares of all processors between two readings, in percent. */
export function shares(before, after) {
  const total = after.total - before.total;
  const grown = name => after[name] - before[name];
  const percent = ticks => Number(((100 * Math.max(0, ticks)) / total).toFixed(1));
  return {
    machine_idle_percent: percent(grown('idle')),
    machine_steal_percent: percent(grown('steal')),
    machine_others_percent: percent(grown('processes') - grown('known')),
  };
}

/** User and system time of a process, and of those of its children that have ended. */
function times(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The 2nd field, a name, may itself hold spaces; the 14th to 17th are the times.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number);
  return { own: user + system, children: childrenUser + childrenSystem };
}
