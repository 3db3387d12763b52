// fio jobs for test machines, and what they came to.

const MS_PER_NS = 1e-6;

/** What a job does; `more` is appended as it is. */
export interface FioOptions {
  readonly engine: 'libaio' | 'io_uring';
  readonly direct: 0 | 1;
  readonly size: string;
  readonly rw: string;
  readonly depth?: number;
  readonly more?: string;
}

/** What it came to. */
export interface FioResult {
  readonly error: number;
  readonly writes: number;
  readonly writesPerSecond: number;
  /** Longest time a request took. */
  readonly stallMs: number;
}

let jobs = 0;

/** The command line of a job on a device. */
export function fioJob(device: string, options: FioOptions): string {
  const { engine, direct, size, rw, depth = 16, more = '' } = options;
  const engineWords = `--ioengine=${engine} --direct=${direct} --iodepth=${depth}`;
  // Other content in each job: a write that is lost must not leave what it would have written.
  const fixed = `--bs=4k --randseed=${++jobs} --output-format=json`;
  return `fio --name=job --filename=${device} --size=${size} --rw=${rw} ${engineWords} ${fixed} ${more}`;
}

/** Reads the JSON of one job; throws when there is none. */
export function fioResult(text: string): FioResult {
  interface Side {
    iops: number;
    total_ios: number;
    lat_ns: { max: number };
  }
  const { jobs } = JSON.parse(text.slice(text.indexOf('{'))) as { jobs: { error: number; read: Side; write: Side }[] };
  const job = jobs[0];
  if (job === undefined) throw new Error(`fio ran no job: ${text.slice(0, 2000)}`);
  const stallMs = Math.max(job.read.lat_ns.max, job.write.lat_ns.max) * MS_PER_NS;
  return { error: job.error, writes: job.write.total_ios, writesPerSecond: job.write.iops, stallMs };
}
