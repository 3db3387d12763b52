// Power cuts: an agent with a primary group of two volumes runs under load in a machine whose disk has a volatile write cache. The
// machine dies at a random moment and starts again on what the disk kept: every flushed write is there, and the volumes are one prefix.
//
// The load, and the record of what was answered and flushed, live outside of the machine. Two machines run side by side; every third
// round takes the thread pool instead of io_uring. Negative control: the same with an agent whose syncs do nothing must be noticed.
// LVR_POWER_CUTS (20) rounds; SEED repeats the moments, as far as machines can repeat anything.

import { readFileSync } from 'node:fs';
import t from 'tap';
import { configText } from '../helpers/agent.js';
import { mustRun, sleep, until } from '../helpers/command.js';
import { BLOCK_BYTES, History, readImage } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import { NbdClient } from '../helpers/nbd-client.js';
import { Random } from '../helpers/random.js';
import { freePort, REPOSITORY, Workspace } from '../helpers/workspace.js';
import { GuestAgent } from './vm/guest-agent.js';
import { prepareImage, vmMissing } from './vm/image.js';
import { Vm } from './vm/vm.js';
import { VolatileDisk } from './vm/volatile-disk.js';

const ROUNDS = Number(process.env['LVR_POWER_CUTS'] ?? 20);
const CONTROL_ROUNDS = 6;
const VOLUMES = ['data', 'wal'];
const BLOCKS = (4 * 1048576) / BLOCK_BYTES;
const NBD_PORT = 10809;
const DISK_MIB = 64;
const CONNECT_MS = 20_000;
/** The kernel of the machine writes back what is dirty after 100 ms: unflushed writes reach the disk in any order. */
const PREPARE = `mount /dev/vda /mnt
echo 10 >/proc/sys/vm/dirty_writeback_centisecs
echo 10 >/proc/sys/vm/dirty_expire_centisecs`;
/** The load runs for up to this long before the cut. */
const LOAD_MS_MIN = 300;
const LOAD_MS_MAX = 2500;
/** Chances of an unflushed sector to survive, one is picked for each cut. */
const SURVIVAL_PERCENT = [0, 20, 50, 80, 95];
/** How lost content is noticed: by the history (the newest write, the other volume, the content before it), or by the agent itself. */
const LOST = /was promised|was answered on volume|holds write \d+, expected|: torn, |not its own content|LVR-E12\d\d/;
const PRELOAD = 'LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libeatmydata.so:';

const skip = vmMissing() ?? false;
const workspace = new Workspace('power');
t.teardown(() => workspace.dispose());
t.setTimeout(850_000);

interface Figures {
  rounds: number;
  answers: number;
  flushedRounds: number;
  lostRounds: number;
  sectorsKept: number;
  sectorsLost: number;
  readonly problems: string[];
}

/** A machine with its disk, and what was written to it. */
class Lane {
  readonly #random: Random;
  readonly #history = new History(VOLUMES.length, BLOCKS);
  readonly #disk: VolatileDisk;
  readonly #vm: Vm;
  readonly #agent: GuestAgent;
  readonly #port: number;
  readonly figures: Figures = { rounds: 0, answers: 0, flushedRounds: 0, lostRounds: 0, sectorsKept: 0, sectorsLost: 0, problems: [] };

  private constructor(name: string, random: Random, disk: VolatileDisk, port: number, io: 'buffered' | 'direct') {
    this.#random = random;
    this.#disk = disk;
    this.#port = port;
    const disks = [{ nbdSocket: disk.socket }];
    this.#vm = new Vm(workspace, { name, cpus: 1, memoryMib: 768, disks, forward: new Map([[NBD_PORT, port]]) });
    const options = { site: 'a', role: 'primary', volumes: { data: '4MiB', wal: '4MiB' }, logSize: '16MiB', io } as const;
    this.#agent = new GuestAgent(this.#vm, '/mnt', configText('/mnt', { ...options, nbdTcp: `10.0.2.15:${NBD_PORT}` }));
  }

  static async make(name: string, random: Random, io: 'buffered' | 'direct'): Promise<Lane> {
    const image = workspace.file(`${name}.img`);
    // No metadata_csum: with it ext4 cannot be mounted after a cut within its super block, which is two sectors long.
    await mustRun('mkfs.ext4', ['-q', '-F', '-O', '^metadata_csum', '-E', 'nodiscard', image, `${DISK_MIB}M`]);
    const disk = await VolatileDisk.make(workspace, name, readFileSync(image));
    return new Lane(name, random, disk, await freePort(), io);
  }

  /** Starts machine and agent with the words in front of it, and checks what is there. */
  async startAndCheck(environment: string): Promise<NbdClient[]> {
    this.#disk.powerOn();
    await this.#vm.start();
    const said = await this.#agent.start(environment, PREPARE);
    if (said.includes('"event":"group-not-')) throw new Error(`${this.#vm.name}: the agent serves no volumes:\n${said}`);
    const clients = await Promise.all(VOLUMES.map((volume) => this.#connect(volume)));
    const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, BLOCKS)));
    const verdict = this.#history.check(images, this.#history.flushedMax);
    for (const problem of verdict.problems) this.figures.problems.push(`${this.#vm.name} after cut ${this.figures.rounds}: ${problem}`);
    if (this.#history.flushedMax.some((sequence) => sequence > 0)) this.figures.flushedRounds++;
    const beyond = (cut: number, volume: number): boolean => (this.#history.writes[volume]?.at(-1)?.sequence ?? 0) > cut;
    if (verdict.cuts.some(beyond)) this.figures.lostRounds++;
    this.#history.rebase(images);
    return clients;
  }

  /** Load on the volumes, then the power goes. */
  async loadAndCut(clients: readonly NbdClient[]): Promise<void> {
    const options = { depth: 8 + this.#random.below(25), blocksMax: 24, flushEvery: 40, fuaEvery: 60 };
    const load = new Load(clients, this.#history, this.#random, options);
    load.start();
    await sleep(LOAD_MS_MIN + this.#random.below(LOAD_MS_MAX));
    const percent = SURVIVAL_PERCENT[this.#random.below(SURVIVAL_PERCENT.length)] as number;
    // One turn: no answer counts that came after the disk had lost its power.
    for (const client of clients) client.destroy();
    const cut = this.#disk.cut(this.#random, percent);
    await this.#vm.kill();
    this.figures.rounds++;
    this.figures.answers += load.answers;
    this.figures.sectorsKept += cut.kept;
    this.figures.sectorsLost += cut.lost;
    if (load.errors > 0) this.figures.problems.push(`cut ${this.figures.rounds}: ${load.errors} requests were answered with an error`);
  }

  async close(): Promise<void> {
    await this.#vm.kill();
    await this.#disk.close();
  }

  async #connect(volume: string): Promise<NbdClient> {
    try {
      return await until(`app/${volume}`, CONNECT_MS, () => NbdClient.connect(this.#port, `app/${volume}`), 300);
    } catch (error) {
      const story = await this.#agent.story();
      throw new Error(`${String(error)}: ${String((error as Error).cause)}\n${story.slice(-3000)}`, { cause: error });
    }
  }
}

/** Rounds of cuts on one machine until `enough`; a machine or agent that does not come up is a problem too. */
async function rounds(lane: Lane, count: number, environment: (round: number) => string): Promise<Figures> {
  try {
    for (let round = 0; round <= count && lane.figures.problems.length === 0; round++) {
      const clients = await lane.startAndCheck(environment(round));
      if (round < count && lane.figures.problems.length === 0) await lane.loadAndCut(clients);
      else for (const client of clients) client.destroy();
    }
  } catch (error) {
    lane.figures.problems.push(String(error));
  } finally {
    await lane.close();
  }
  return lane.figures;
}

/** Rounds whose agent has no working syncs, until that is noticed. */
async function controlRounds(): Promise<Figures> {
  const shim = workspace.file('no-dsync.so');
  await mustRun('gcc', ['-shared', '-fPIC', '-O1', '-o', shim, `${REPOSITORY}/test/kernel/shims/no-dsync.c`]);
  const lane = await Lane.make('control', new Random(), 'buffered');
  // The thread pool, because nothing can be put in front of io_uring; libeatmydata does not know RWF_DSYNC, the shim does. The first
  // start makes log and volumes with working syncs, so that what is caught later is a lost write and not a half-made log.
  const environment = (round: number): string => `LVR_IO=threads ${round === 0 ? '' : PRELOAD + shim}`;
  return rounds(lane, CONTROL_ROUNDS, environment);
}

/** Runs beside the others: a machine has one processor and waits now and then. */
let control: Promise<Figures> | undefined;

t.test(`after each of ${ROUNDS} power cuts every flushed write is there and the volumes are one prefix`, { skip }, async (t) => {
  await prepareImage();
  const random = new Random();
  t.comment(`figures: SEED=${random.seed}`);
  control = controlRounds();
  const lanes = await Promise.all([
    Lane.make('cut1', new Random(random.seed), 'buffered'),
    Lane.make('cut2', new Random(random.seed + 1), 'direct'),
  ]);
  const engine = (round: number): string => (round % 3 === 2 ? 'LVR_IO=threads' : '');
  const all = await Promise.all(lanes.map((lane, at) => rounds(lane, Math.ceil((ROUNDS - at) / 2), engine)));
  const sum = (of: (figures: Figures) => number): number => all.reduce((total, figures) => total + of(figures), 0);
  t.comment(
    `figures: ${sum((f) => f.rounds)} cuts, ${sum((f) => f.answers)} answers; ${sum((f) => f.flushedRounds)} checks with flushed writes`,
  );
  t.comment(
    `figures: unflushed writes lost in ${sum((f) => f.lostRounds)}; sectors kept ${sum((f) => f.sectorsKept)}, lost ${sum((f) => f.sectorsLost)}`,
  );
  t.same(
    all.flatMap((figures) => figures.problems),
    [],
  );
  // Without these the test would prove nothing.
  t.equal(
    sum((figures) => figures.rounds),
    ROUNDS,
  );
  t.ok(sum((f) => f.answers) > ROUNDS * 20, 'the load did something');
  t.ok(sum((f) => f.flushedRounds) >= ROUNDS / 2, 'most cuts came after a flush');
  t.ok(sum((f) => f.sectorsLost) > 0, 'the disk lost something');
});

t.test('an agent whose syncs do nothing (eatmydata) is caught', { skip }, async (t) => {
  const figures = await (control as Promise<Figures>);
  t.comment(
    `figures: the control was caught after ${figures.rounds} of at most ${CONTROL_ROUNDS} cuts: ${figures.problems[0]?.slice(0, 300)}`,
  );
  t.ok(figures.rounds > 1, 'with working syncs the same machine passes');
  t.match(figures.problems[0] ?? 'nothing', LOST, 'lost writes are noticed');
});
