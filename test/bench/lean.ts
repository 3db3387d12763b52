// The load generator of lean.c: for the servers that fio's nbd engine cannot load.

import { mustRun } from '../helpers/command.js';
import { REPOSITORY, type Workspace } from '../helpers/workspace.js';
import type { Measurement, Workload } from './fio.js';

/** Compiles it into the workspace; returns its path. */
export async function buildLean(workspace: Workspace): Promise<string> {
  const program = workspace.file('lean');
  await mustRun('gcc', ['-O2', '-Wall', '-Werror', '-o', program, `${REPOSITORY}/test/bench/lean.c`]);
  return program;
}

/** Runs a workload of random reads for `seconds` against an NBD URI of a unix socket. */
export async function measureLean(program: string, workload: Workload, uri: string, seconds: number): Promise<Measurement> {
  const { pathname, searchParams } = new URL(uri);
  const parameters = [searchParams.get('socket') ?? '', decodeURIComponent(pathname.slice(1)), String(workload.depth), String(seconds)];
  const output = await mustRun(program, parameters, { timeoutMs: 60_000 + seconds * 2000 });
  const [iops, p99Us, generatorPercent] = output.trim().split(' ').map(Number) as [number, number, number];
  return { iops, mibPerSecond: (iops * workload.blockBytes) / 1048576, p99Us, generatorPercent };
}
