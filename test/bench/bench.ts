// `make bench`: lvr beside its peers on this machine, in one run, as medians of interleaved rounds.
//
// Every target runs every workload WARMUPS times (1) before the rounds that count. A server that has been up for seconds is measured, not
// one that has just started: V8 compiles what a workload uses during its first three to six seconds, which takes a tenth of two processors,
// and what is not compiled yet runs slower. What the warm-up gave is printed like any round.
//
// Environment: ROUNDS (3), SECONDS per measurement (3), SIZE_MIB of each volume (256), ONLY: comma-separated names of targets,
// workloads or rows; COPY_MIB (1024) is what B9 replays and B10 copies. Prints a table and the ratios, writes bench.json. Exit code 1
// when a target could not be measured; a missed ratio is a result, not a failure.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestAgent } from '../helpers/agent.js';
import { mustRun, sleep } from '../helpers/command.js';
import { REPOSITORY, Workspace } from '../helpers/workspace.js';
import { type Measurement, measure, measureDisk, prefill, WORKLOADS, type Workload } from './fio.js';
import { buildLean, measureLean } from './lean.js';
import { RECOVERY_IDS, resyncRows, startAfterCrash } from './recovery.js';
import { comparisonRows, makeRow, neededBy, Results, type Row, rowLines, table } from './report.js';
import { LVR_TARGETS, residentBytes, TARGETS, type Target } from './targets.js';

const MIB = 1048576;
const RSS_SAMPLE_MS = 200;
/** What is replayed and copied. */
const COPY_MIB = setting('COPY_MIB', 1024);

function setting(name: string, fallback: number): number {
  const value = process.env[name];
  return value === undefined || value === '' ? fallback : Number(value);
}

/** Which targets and workloads to run: everything, or what ONLY names. */
function selection(): { targets: string[]; workloads: Workload[]; idle: boolean; recovery: readonly string[] } {
  const only = (process.env['ONLY'] ?? '').split(',').filter((name) => name !== '');
  const needed = neededBy(only);
  const targets = Object.keys(TARGETS).filter((name) => only.includes(name) || needed?.targets.has(name));
  const workloads = WORKLOADS.filter(({ name }) => only.includes(name) || needed?.workloads.has(name));
  const recovery = RECOVERY_IDS.filter((id) => only.length === 0 || only.includes(id));
  const isRecoveryOnly = only.length > 0 && only.every((name) => RECOVERY_IDS.includes(name));
  return {
    targets: targets.length > 0 || isRecoveryOnly ? targets : Object.keys(TARGETS),
    workloads: workloads.length > 0 || isRecoveryOnly ? workloads : [...WORKLOADS],
    recovery,
    idle: only.length === 0 || only.includes('B8'),
  };
}

/** Starts and fills the targets; what does not start is reported and left out. */
async function startTargets(workspace: Workspace, names: readonly string[], sizeMib: number): Promise<Map<string, Target>> {
  const running = new Map<string, Target>();
  for (const name of names) {
    try {
      const target = await (TARGETS[name] as (typeof TARGETS)[string])(workspace, sizeMib);
      running.set(name, target);
      await prefill(target.uri, sizeMib);
    } catch (error) {
      running.delete(name);
      console.error(`${name} cannot be measured: ${String(error)}`);
      process.exitCode = 1;
    }
  }
  return running;
}

/** Highest resident size of every lvr agent, by target name, kept up to date until stop(). */
function watchMemory(running: ReadonlyMap<string, Target>): { peaks: Map<string, number>; stop: () => void } {
  const peaks = new Map<string, number>();
  const sample = (): void => {
    for (const name of LVR_TARGETS) {
      for (const pid of running.get(name)?.pids ?? []) peaks.set(name, Math.max(peaks.get(name) ?? 0, residentBytes(pid).peak));
    }
  };
  const timer = setInterval(sample, RSS_SAMPLE_MS);
  return {
    peaks,
    stop: () => {
      sample();
      clearInterval(timer);
    },
  };
}

/** Resident size of an agent that serves a volume of 1 TiB and does nothing. */
async function idleMemory(workspace: Workspace): Promise<number> {
  const agent = new TestAgent(workspace, { site: 'a', role: 'primary', volumes: { data: '1TiB' } }, 'idle');
  await agent.start();
  await sleep(2000);
  const { now } = residentBytes(agent.pid);
  await agent.kill();
  return now;
}

/** Long writes of a pair beside half of what the disk takes, because the logs of both sites are on it here. */
async function diskCeiling(workspace: Workspace, mibPerSecond: number, seconds: number): Promise<Row> {
  const disk = await measureDisk(workspace.file('disk.img'), seconds);
  return makeRow('S4c', 'async write1m-d8 mibPerSecond against half of the disk', mibPerSecond, disk / 2, 0.8, false);
}

function oneLine({ iops, mibPerSecond, p99Us }: Measurement): string {
  return `${iops.toFixed(0)} op/s ${mibPerSecond.toFixed(0)} MiB/s p99 ${p99Us.toFixed(0)} us`;
}

/** Waits until the site of a target, if it has one, has everything; says how long that took. */
async function settle(target: Target): Promise<string> {
  if (target.settle === undefined) return '';
  const since = performance.now();
  await target.settle();
  return ` site there after ${Math.round(performance.now() - since)} ms`;
}

async function main(): Promise<void> {
  const rounds = setting('ROUNDS', 3);
  const warmups = setting('WARMUPS', 1);
  const seconds = setting('SECONDS', 3);
  const sizeMib = setting('SIZE_MIB', 256);
  const { targets, workloads, idle, recovery } = selection();
  const workspace = new Workspace('bench');
  const results = new Results();
  const rows: Row[] = [];
  try {
    const running = await startTargets(workspace, targets, sizeMib);
    const lean = await buildLean(workspace);
    const memory = watchMemory(running);
    for (let round = 1 - warmups; round <= rounds; round++) {
      const title = round > 0 ? `round ${round}` : 'warm-up';
      for (const workload of workloads) {
        for (const [name, target] of running) {
          // Nobody pays for what the one before left behind: a site that is behind, dirty pages.
          await mustRun('sync', ['-f', workspace.path]);
          try {
            const measurement = workload.lean
              ? await measureLean(lean, workload, target.uri, seconds)
              : await measure(workload, target.uri, sizeMib, seconds);
            const behind = await settle(target);
            if (round > 0) results.add(name, workload.name, measurement);
            console.error(`${title}  ${workload.name.padEnd(15)} ${name.padEnd(9)} ${oneLine(measurement)}${behind}`);
          } catch (error) {
            console.error(`${name} is left out from here on: ${workload.name}: ${String(error)}\n${target.output()}`);
            running.delete(name);
            await target.stop();
            process.exitCode = 1;
          }
        }
      }
    }
    memory.stop();
    for (const target of running.values()) await target.stop();
    rows.push(...comparisonRows(results));
    const longWrites = results.median('async', 'write1m-d8', 'mibPerSecond');
    if (longWrites !== undefined) rows.push(await diskCeiling(workspace, longWrites, seconds));
    for (const [name, peak] of memory.peaks)
      rows.push(makeRow(`B8.${name}`, `${name}: peak resident MiB of an agent under load, of 512`, peak / MIB, 512, 1, true));
    if (idle && LVR_TARGETS.some((name) => running.has(name))) {
      rows.push(
        makeRow('B8.idle', 'resident MiB of an idle agent with a 1 TiB volume, of 150', (await idleMemory(workspace)) / MIB, 150, 1, true),
      );
    }
    if (recovery.includes('B9')) rows.push(await startAfterCrash(workspace, rounds, COPY_MIB));
    if (recovery.includes('B10')) rows.push(...(await resyncRows(workspace, rounds, COPY_MIB)));
    console.log(`medians of ${rounds} rounds of ${seconds} s after ${warmups} of warm-up, ${sizeMib} MiB volumes, unix sockets\n`);
    console.log(table(results, targets, workloads));
    console.log(`\n${rowLines(rows)}`);
    writeFileSync(join(REPOSITORY, 'bench.json'), `${JSON.stringify({ rows }, null, 1)}\n`);
  } finally {
    workspace.dispose();
  }
}

await main();
