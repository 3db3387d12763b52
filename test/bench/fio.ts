// The workloads of the benchmark, and how fio's nbd engine runs them against a unix socket.

import { mustRun } from '../helpers/command.js';

/** One fixed workload. */
export interface Workload {
  readonly name: string;
  readonly pattern: 'randwrite' | 'randread' | 'write' | 'read';
  readonly blockBytes: number;
  readonly depth: number;
  /** A flush after each write. */
  readonly flush: boolean;
  /** By the generator of lean.c instead of fio. */
  readonly lean?: boolean;
}

/** Every workload, in the order of the table. */
export const WORKLOADS: readonly Workload[] = [
  { name: 'write4k-d32', pattern: 'randwrite', blockBytes: 4096, depth: 32, flush: false },
  { name: 'write4k-d1', pattern: 'randwrite', blockBytes: 4096, depth: 1, flush: false },
  { name: 'read4k-d32', pattern: 'randread', blockBytes: 4096, depth: 32, flush: false },
  { name: 'lean-read4k-d32', pattern: 'randread', blockBytes: 4096, depth: 32, flush: false, lean: true },
  { name: 'read4k-d1', pattern: 'randread', blockBytes: 4096, depth: 1, flush: false },
  { name: 'write1m-d8', pattern: 'write', blockBytes: 1048576, depth: 8, flush: false },
  { name: 'read1m-d8', pattern: 'read', blockBytes: 1048576, depth: 8, flush: false },
  { name: 'flush4k-d1', pattern: 'randwrite', blockBytes: 4096, depth: 1, flush: true },
];

/** What one run gave. */
export interface Measurement {
  readonly iops: number;
  readonly mibPerSecond: number;
  /** 99th percentile of the completion latency in microseconds (of the write and its flush together for flush workloads). */
  readonly p99Us: number;
  /** How much of one processor the load generator used, in percent: near 100 it is the limit, not the server. */
  readonly generatorPercent: number;
}

interface FioSide {
  iops: number;
  bw_bytes: number;
  clat_ns: { percentile?: Record<string, number> };
}
interface FioJob {
  error: number;
  usr_cpu: number;
  sys_cpu: number;
  read: FioSide;
  write: FioSide;
  sync: { lat_ns: { percentile?: Record<string, number> } };
}

/** Runs one workload for `seconds` against an NBD URI and returns its figures. */
export async function measure(workload: Workload, uri: string, sizeMib: number, seconds: number): Promise<Measurement> {
  const parameters = [
    ...['--name=bench', '--ioengine=nbd', `--uri=${uri}`, '--output-format=json', '--percentile_list=50:99'],
    ...[`--rw=${workload.pattern}`, `--bs=${workload.blockBytes}`, `--iodepth=${workload.depth}`, `--size=${sizeMib}M`],
    ...['--time_based', `--runtime=${Math.round(seconds * 1000)}ms`, '--ramp_time=300ms', '--randrepeat=0', '--norandommap'],
    ...(workload.flush ? ['--fsync=1'] : []),
  ];
  const output = await mustRun('fio', parameters, { timeoutMs: 60_000 + seconds * 2000 });
  // fio may print notices of its engine before the document.
  const document = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: FioJob[] };
  const job = document.jobs[0] as FioJob;
  if (job.error !== 0) throw new Error(`fio ended with error ${job.error}`);
  const side = workload.pattern.endsWith('read') ? job.read : job.write;
  const syncNs = workload.flush ? (job.sync.lat_ns.percentile?.['99.000000'] ?? 0) : 0;
  return {
    iops: side.iops,
    mibPerSecond: side.bw_bytes / 1048576,
    p99Us: ((side.clat_ns.percentile?.['99.000000'] ?? 0) + syncNs) / 1000,
    generatorPercent: job.usr_cpu + job.sys_cpu,
  };
}

/** Writes the whole export once, so that no run pays for allocating blocks. */
export async function prefill(uri: string, sizeMib: number): Promise<void> {
  const parameters = ['--name=fill', '--ioengine=nbd', `--uri=${uri}`, '--rw=write', '--bs=1M', '--iodepth=4', `--size=${sizeMib}M`];
  await mustRun('fio', [...parameters, '--end_fsync=1', '--output-format=json'], { timeoutMs: 300_000 });
}

/**
 * What the disk under `file` takes in MiB/s: 1 MiB writes with O_DIRECT, eight at a time, over blocks that were written before, as a log is
 * written. The ceiling of everything that keeps a log there.
 */
export async function measureDisk(file: string, seconds: number): Promise<number> {
  const parameters = [
    ...['--name=disk', '--ioengine=io_uring', '--direct=1', `--filename=${file}`, '--size=1G', '--overwrite=1', '--output-format=json'],
    ...['--rw=write', '--bs=1M', '--iodepth=8', '--time_based', `--runtime=${Math.round(seconds * 1000)}ms`, '--ramp_time=300ms'],
  ];
  const output = await mustRun('fio', parameters, { timeoutMs: 120_000 + seconds * 2000 });
  const document = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: FioJob[] };
  return (document.jobs[0] as FioJob).write.bw_bytes / 1048576;
}
