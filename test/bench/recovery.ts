// What it takes to come back, beside plain tools: B9, a start after a crash with much log to replay, against a copy of as much to the same
// file; B10, a resync of a whole volume, against nbdcopy between two nbdkit servers.
//
// Sources are read from the disk on both sides (the log is never in the page cache), destinations are files that exist. nbdcopy flushes at
// its end, because a resync is over only when everything is durable.

import { spawn } from 'node:child_process';
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentPair, makePair, startPair, TestAgent } from '../helpers/agent.js';
import { mustRun, until } from '../helpers/command.js';
import type { Workspace } from '../helpers/workspace.js';
import { prefill } from './fio.js';
import { makeRow, type Row } from './report.js';

const MIB = 1048576;
/** Ids of the rows made here. */
export const RECOVERY_IDS: readonly string[] = ['B9', 'B10'];
const TOOL_MS = 300_000;

/** Runs `work` and returns MiB per second for `sizeMib`. */
async function rate(sizeMib: number, work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (sizeMib * 1000) / (performance.now() - startMs);
}

function median(values: readonly number[]): number {
  return [...values].sort((x, y) => x - y)[values.length >> 1] as number;
}

/** The file is on the disk and not in the page cache. */
async function dropFromCache(path: string): Promise<void> {
  await mustRun('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { timeoutMs: TOOL_MS });
}

function randomFile(path: string, sizeMib: number): Promise<string> {
  return mustRun('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${sizeMib}`], { timeoutMs: TOOL_MS });
}

function note(round: number, what: string, mibPerSecond: number): number {
  console.error(`round ${round}  ${what.padEnd(36)} ${mibPerSecond.toFixed(0)} MiB/s`);
  return mibPerSecond;
}

/** B9, in seconds for the whole. */
export async function startAfterCrash(workspace: Workspace, rounds: number, sizeMib: number): Promise<Row> {
  const options = { site: 'a', role: 'primary', volumes: { data: `${sizeMib}MiB` }, logSize: `${3 * sizeMib}MiB` } as const;
  const agent = new TestAgent(workspace, options, 'crash');
  const source = workspace.file('crash-source');
  await randomFile(source, sizeMib);
  const volume = join(agent.directory, 'data.img');
  await agent.start();
  const figures = { lvr: [] as number[], peer: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    // Nothing is left to replay; what is written now is less than makes a checkpoint, and the kill comes before the agent is idle.
    await agent.waitStatus('everything is checkpointed', ({ log }) => log.trimmedLsn === log.appendedLsn, 60_000);
    await prefill(agent.uri('data'), sizeMib);
    await agent.kill();
    await mustRun('sync', ['-f', workspace.path], { timeoutMs: TOOL_MS });
    const ours = await rate(sizeMib, async () => {
      agent.spawn();
      await (await agent.connect('data', TOOL_MS)).close();
    });
    await mustRun('sync', ['-f', workspace.path], { timeoutMs: TOOL_MS });
    await dropFromCache(source);
    // The same file, under the running agent: nobody reads it any more.
    const copy = ['dd', `if=${source}`, `of=${volume}`, 'bs=1M', 'conv=notrunc'] as const;
    const theirs = await rate(sizeMib, () => mustRun(copy[0], copy.slice(1), { timeoutMs: TOOL_MS }));
    // The first round allocates.
    if (round === 0) continue;
    figures.lvr.push(sizeMib / note(round, 'B9 start after a crash', ours));
    figures.peer.push(sizeMib / note(round, 'B9 plain copy', theirs));
  }
  await agent.kill();
  return makeRow('B9', `seconds to start with ${sizeMib} MiB to replay, of a copy`, median(figures.lvr), median(figures.peer), 3, true);
}

/** Milliseconds of an event in what an agent printed, the last one. */
function eventMs(agent: TestAgent, event: string): number {
  const line = agent
    .output()
    .trimEnd()
    .split('\n')
    .findLast((text) => text.includes(`"event":"${event}"`));
  if (line === undefined) throw new Error(`agent ${agent.site} printed no ${event}\n${agent.story()}`);
  return Date.parse((JSON.parse(line) as { time: string }).time);
}

/** Fills the volume while b is away, so that all of it is dirty; then measures from the meeting to the end of the resync. */
async function resync({ a, b }: AgentPair, round: number, sizeMib: number): Promise<number> {
  await b.kill();
  await prefill(a.uri('data'), sizeMib);
  const done = (event: string): number => a.output().split(`"event":"${event}"`).length - 1;
  await until('the site is tracked by a bitmap', 60_000, async () => (done('bitmap-mode') > round ? true : undefined));
  await mustRun('sync', ['-f', a.directory], { timeoutMs: TOOL_MS });
  await dropFromCache(join(a.directory, 'data.img'));
  b.spawn();
  // Not by asking for the status: that would start a process each time.
  await until('the site is back on the log', TOOL_MS, async () => (done('bitmap-left') > round ? true : undefined), 50);
  return (sizeMib * 1000) / (eventMs(a, 'bitmap-left') - eventMs(a, 'link-connected'));
}

/** Two servers on files of their own, and a copy from one to the other. */
async function nbdcopy(workspace: Workspace, sizeMib: number): Promise<() => Promise<number>> {
  const uris: string[] = [];
  const files = ['copy-from', 'copy-to'].map((name) => workspace.file(`${name}.img`)) as [string, string];
  for (const file of files) {
    writeFileSync(file, '');
    truncateSync(file, sizeMib * MIB);
    const socket = `${file}.sock`;
    workspace.adopt(spawn('nbdkit', ['-f', '-U', socket, 'file', `file=${file}`], { stdio: ['ignore', 'ignore', 'inherit'] }));
    await until('nbdkit listens', 10_000, async () => (existsSync(socket) ? true : undefined));
    uris.push(`nbd+unix:///?socket=${socket}`);
    await randomFile(file, sizeMib);
  }
  return async () => {
    await mustRun('sync', ['-f', workspace.path], { timeoutMs: TOOL_MS });
    await dropFromCache(files[0]);
    return await rate(sizeMib, () => mustRun('nbdcopy', ['--flush', ...uris], { timeoutMs: TOOL_MS }));
  };
}

/** B10: without undo, as nbdcopy keeps nothing of what it overwrites, and as B10u with it. */
export async function resyncRows(workspace: Workspace, rounds: number, sizeMib: number): Promise<Row[]> {
  const copy = await nbdcopy(workspace, sizeMib);
  const pairs: Record<'off' | 'auto', AgentPair | undefined> = { off: undefined, auto: undefined };
  for (const undo of ['off', 'auto'] as const) {
    const pair = await makePair(workspace, 'async', { volumes: { data: `${sizeMib}MiB` }, logSize: '64MiB', undo }, `resync-${undo}-`);
    for (const agent of [pair.a, pair.b]) agent.writeConfig('[groups.app.resync]\nmin_dwell = 0\n');
    await startPair(pair);
    pairs[undo] = pair;
  }
  const figures = { off: [] as number[], auto: [] as number[], peer: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    for (const undo of ['off', 'auto'] as const) {
      const ours = await resync(pairs[undo] as AgentPair, round, sizeMib);
      if (round > 0) figures[undo].push(note(round, `B10 resync, undo = ${undo}`, ours));
    }
    const theirs = await copy();
    if (round > 0) figures.peer.push(note(round, 'B10 nbdcopy', theirs));
  }
  for (const pair of Object.values(pairs)) await Promise.all([pair?.a.kill(), pair?.b.kill()]);
  const peer = median(figures.peer);
  return [
    makeRow('B10', 'MiB/s of a resync against nbdcopy, undo = off', median(figures.off), peer, 0.7, false),
    makeRow('B10u', 'the same with undo = auto, which nbdcopy has not', median(figures.auto), peer, 0.7, false),
  ];
}
