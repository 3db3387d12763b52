// A test machine in which a file system on an attached volume is judged (judge.sh).

import type { Test } from 'tap';
import { configText } from '../../helpers/agent.js';
import { REPOSITORY, type Workspace } from '../../helpers/workspace.js';
import { GuestAgent } from '../vm/guest-agent.js';
import { type ScriptResult, Vm } from '../vm/vm.js';

const POINTS = Number(process.env['LVR_JUDGE_POINTS'] ?? 8);
const JUDGE_MS = 400_000;
const REPLAY = `${REPOSITORY}/dist/test/kernel/judge/replay.js`;

/** A kind of file system, and the smallest volume that holds it and its record. */
export interface Judged {
  readonly kind: 'ext4' | 'xfs';
  readonly size: string;
}

/** A machine with one volume for each kind of file system. */
export class JudgeVm {
  readonly #vm: Vm;
  readonly #agent: GuestAgent;

  private constructor(vm: Vm, agent: GuestAgent) {
    this.#vm = vm;
    this.#agent = agent;
  }

  static async start(workspace: Workspace, { kind, size }: Judged): Promise<JudgeVm> {
    const vm = await Vm.start(workspace, { name: kind, cpus: 1, memoryMib: 2560 });
    await vm.run(`modprobe brd rd_nr=2 rd_size=$((512 * 1024))
modprobe -a dm-log-writes dm-snapshot nbd loop fuse
mkfs.ext4 -q /dev/ram0 && mkdir -p /mnt && mount /dev/ram0 /mnt`);
    const options = { site: 'a', role: 'primary', volumes: { [kind]: size }, logSize: '64MiB' } as const;
    const agent = new GuestAgent(vm, '/mnt/agent', configText('/mnt/agent', options));
    await agent.start();
    return new JudgeVm(vm, agent);
  }

  /** Runs judge.sh on a device. */
  run(device: string, kind: string, points: number, environment = ''): Promise<ScriptResult> {
    const script = `${environment} bash ${REPOSITORY}/test/kernel/judge/judge.sh ${device} ${kind} ${points} ${REPLAY}`;
    return this.#vm.script(script, { timeoutMs: JUDGE_MS });
  }

  /** The attached volume must satisfy its file system at up to LVR_JUDGE_POINTS (8) flushes and at the end. */
  async judge(t: Test, { kind }: Judged): Promise<void> {
    const device = await this.#agent.attach(`app/${kind}`);
    const startMs = performance.now();
    const { code, output } = await this.run(device, kind, POINTS);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
    t.comment(`figures: ${kind} on ${device}, ${seconds} s: ${output.trim().split('\n').slice(-2).join('; ')}`);
    if (!t.equal(code, 0, `${kind} is content`)) t.comment(output.slice(-4000), await this.#agent.story());
    const checks = Number(/checks (\d+)/.exec(output)?.[1] ?? 0);
    t.ok(checks > POINTS / 2, `${checks} states were checked`);
  }

  async kill(): Promise<void> {
    await this.#vm.kill();
  }
}
